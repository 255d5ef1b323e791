import pytest

from orlop.content import MemoryContent
from orlop.filters import parse
from orlop.images.lookup import find_rows, row_fields
from orlop.images.record import ImageRecord
from orlop.images.store import ImageStore
from orlop.mediatype import OCI_INDEX, OCI_MANIFEST
from orlop.metadata import Database, Images
from orlop.spec.descriptor import Descriptor

DAY = 86400 * 10**9


def image(name, tag):
    content, kind = b"x" * (1000 * tag + 1), OCI_INDEX if tag else OCI_MANIFEST
    return ImageRecord(
        name=f"docker.io/library/{name}:{tag}",
        target=Descriptor.of(kind, content, annotations={"tag": str(tag)}),
        labels={"tier": name[0], "a.b/c": str(tag)} if tag % 2 else {},
    )


MANY = [image(name, tag) for name in ("debian", "alpine", "dev") for tag in range(4)]
DIGEST = MANY[1].target.digest


class Explaining:
    """A transaction that collects the plans of what it is asked."""

    def __init__(self, tx):
        self.tx = tx
        self.plans = []

    def rows(self, sql, values=()):
        self.plans += [row[3] for row in self.tx.rows(f"EXPLAIN QUERY PLAN {sql}", values)]
        return self.tx.rows(sql, values)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    with Database.open(tmp_path_factory.mktemp("images") / "orlop.db") as database:
        days = iter(range(1, 100))
        store = ImageStore(database, MemoryContent(), now_ns=lambda: next(days) * DAY)
        for record in MANY:
            store.create(record)
        yield database


@pytest.fixture(scope="module")
def store(database):
    return ImageStore(database, MemoryContent(), now_ns=lambda: 20 * DAY)


BY_INDEX = [
    ('name=="docker.io/library/debian:1"', 1),
    ("name==docker.io/library/debian:1,labels.tier", 1),
    ("name==docker.io/library/debian:1,name==docker.io/library/debian:2", 0),
    (r"name~=^docker\.io/library/de", 8),
    (r"name~=^docker\.io/library/de.*:3$", 2),
    (f"target.digest=={DIGEST}", 3),
    (f"target.digest=={DIGEST},labels.tier==a", 1),
    ("target.digest==nonsense", 0),
    ("labels.tier==d", 4),
    ("labels.tier", 6),
    ("labels", 0),
    ('labels.tier==""', 0),
    ('labels."a.b/c"==3', 3),
    ('labels.a."b/c"==3,size>2kB', 3),
    ("labels.tier==nothing", 0),
]
BY_READING_ALL = [
    ("", 12),
    ("name", 12),
    ("name!=docker.io/library/debian:1", 11),
    ("name~=alpine", 4),
    ("name~=^docker|nothing", 12),
    ("target.mediatype==application/vnd.oci.image.manifest.v1+json", 3),
    ("target.mediatype~=index", 9),
    (f"target.digest!={DIGEST}", 9),
    ("labels.tier!=d", 8),
    ("annotations.tag==2", 3),
    ("size>1kB", 9),
    ("size==1B", 3),
    ("createdat<15d", 4),
    ("createdat>15d", 7),
    ("createdat==15d", 1),
    ("updatedat<=1970-01-03", 2),
    (f"id=={DIGEST}", 3),
    ("platform", 0),
    ("nothing==x", 0),
    ("nothing!=x", 12),
    ("target", 0),
    ("name.x", 0),
]


@pytest.mark.parametrize(("text", "count"), BY_INDEX + BY_READING_ALL)
def test_lookup_finds_what_reading_all_finds(database, store, text, count):
    meant = parse(text, now_ns=20 * DAY)
    with database.read() as tx:
        expected = [row.name for row in Images(tx).list() if meant(row_fields(row))]
    assert [record.name for record in store.list(text)] == expected
    assert len(expected) == count


@pytest.mark.parametrize("text", [text for text, _ in BY_INDEX])
def test_some_conditions_are_looked_up(database, text):
    with database.read() as tx:
        explaining = Explaining(tx)
        list(find_rows(explaining, parse(text)))
    assert not [plan for plan in explaining.plans if plan.startswith("SCAN images")]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["labels.tier==a", "labels.tier==d"], 6),
        (["labels.tier==d", r"name~=^docker\.io/library/debian:"], 6),
        (["labels.tier==a", "labels.tier==a"], 2),
        (["labels.tier==a", "size==1B"], 5),
        (["labels.tier==a", ""], 12),
    ],
)
def test_each_alternative_is_looked_up(store, filters, count):
    found = [record.name for record in store.list(*filters)]
    assert len(found) == count
    assert found == sorted(set(found))
