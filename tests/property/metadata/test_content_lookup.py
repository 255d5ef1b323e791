import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orlop.content import MemoryContent
from orlop.filters import quote
from orlop.metadata import Database
from orlop.metadata.content import LeasedContent
from orlop.metadata.lease import Lease

KEYS = st.sampled_from(["a", "b", "a.b", "x/y"])
VALUES = st.sampled_from(["1", "2", "a b", '"'])
CONTENT = st.dictionaries(
    st.binary(max_size=3), st.dictionaries(KEYS, VALUES, max_size=3), max_size=8
)
OPERATORS = st.sampled_from(["==", "!=", "~="])


@st.composite
def conditions(draw):
    field = draw(st.sampled_from(["digest", "size", "label", "label", "createdat"]))
    if field == "digest":
        return f"digest{draw(OPERATORS)}{draw(st.sampled_from(DIGESTS))}"
    if field == "size":
        return f"size{draw(st.sampled_from(['>', '<=', '==', '!=']))}{draw(st.integers(0, 3))}"
    if field == "createdat":
        return draw(st.sampled_from(["createdat>1h", "createdat<1h"]))
    path = f"labels.{quote(draw(KEYS))}"
    if draw(st.booleans()):
        return path
    return f"{path}{draw(OPERATORS)}{quote(draw(VALUES))}"


DIGESTS = [
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "nothing",
]
FILTERS = st.lists(st.lists(conditions(), max_size=3).map(",".join), max_size=3)


def fill(store, content):
    for data, labels in content.items():
        with store.ingest("r") as ingest:
            ingest.write(data)
            ingest.commit(labels=labels)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    with Database.open(tmp_path_factory.mktemp("lookup") / "orlop.db") as database:
        yield database


@settings(max_examples=100, deadline=None)
@given(content=CONTENT, filters=FILTERS)
@example(content={b"": {"a": "1"}, b"\0": {}}, filters=[f"digest=={DIGESTS[1]}", 'labels."a"'])
def test_indexes_answer_as_reading_everything_does(database, content, filters):
    """An empty list of filters matches everything; several are alternatives."""
    plain = MemoryContent()
    fill(plain, content)
    with Lease(database) as lease:
        store = LeasedContent(MemoryContent(), database, lease)
        fill(store, content)
        try:
            expected = [(info.digest, info.labels) for info in plain.walk(*filters)]
            assert [(info.digest, info.labels) for info in store.walk(*filters)] == expected
        finally:
            for digest in store.iter_digests():
                store.delete(digest)
