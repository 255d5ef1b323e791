import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.content import MemoryContent
from orlop.filters import parse
from orlop.images import ImageRecord, ImageStore
from orlop.images.lookup import row_fields
from orlop.mediatype import OCI_MANIFEST
from orlop.metadata import Database, Images
from orlop.spec.descriptor import Descriptor

TARGETS = [Descriptor.of(OCI_MANIFEST, text) for text in (b"a", b"bb")]

texts = st.text("ab", max_size=2)
conditions = st.one_of(
    st.builds('name{}"{}"'.format, st.sampled_from(["==", "!=", "~="]), texts),
    st.builds('name~="^{}"'.format, st.text("ab?*.", max_size=3)),
    st.builds("labels.{}".format, st.sampled_from("ab")),
    st.builds(
        'labels.{}{}"{}"'.format, st.sampled_from("ab"), st.sampled_from(["==", "!="]), texts
    ),
    st.sampled_from([f"target.digest=={target.digest}" for target in TARGETS]),
    st.sampled_from(["target.digest==a", "size>1B", "labels", "nothing"]),
)
filters = st.lists(conditions, min_size=1, max_size=3).map(",".join)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    with Database.open(tmp_path_factory.mktemp("lookup") / "orlop.db") as database:
        store = ImageStore(database, MemoryContent())
        for number, name in enumerate(["a", "b", "aa", "ab", "ba", "bb", "aab"]):
            labels = {"a": name[0]} if number % 2 else {"a": name, "b": "b"} if number % 3 else {}
            store.create(ImageRecord(name=name, target=TARGETS[number % 2], labels=labels))
        yield database


@given(several=st.lists(filters, max_size=3))
def test_a_lookup_finds_what_reading_everything_finds(database, several):
    """An index changes what an answer costs, and never the answer."""
    try:
        meant = parse(*several)
    except ValueError:
        return
    with database.read() as tx:
        expected = [row.name for row in Images(tx).list() if meant(row_fields(row))]
    found = ImageStore(database, MemoryContent()).list(*several)
    assert [record.name for record in found] == expected
