import pytest

from orlop.content import MemoryContent
from orlop.digest import Digest
from orlop.errors import InUseError, InvalidError, NotFoundError
from orlop.metadata import BlobRecord, Blobs, Database, Labels, Lease
from orlop.metadata.content import LeasedContent
from orlop.metadata.gclabels import GC_PREFIX, GC_ROOT
from orlop.metadata.recorded import RecordedContent

DATA = b"hello, hold"
DIGEST = Digest.of(DATA)


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path / "orlop.db") as database:
        yield database


@pytest.fixture
def content():
    return MemoryContent()


@pytest.fixture
def lease(database):
    with Lease(database) as lease:
        yield lease


@pytest.fixture
def leased(content, database, lease):
    return LeasedContent(content, database, lease, lambda: 5)


@pytest.fixture
def recorded(content, database):
    return RecordedContent(content, database, lambda: 9)


def test_reads_what_a_lease_has_stored(leased, recorded):
    leased.put(DATA, labels={"k": "v"})
    (info,) = recorded.walk()
    assert (info.created_ns, info.updated_ns, info.labels) == (5, 5, {"k": "v"})
    assert recorded.stat(DIGEST) == info == leased.claim(DIGEST)
    assert recorded.read(DIGEST, len(DATA)) == DATA
    with recorded.open(DIGEST) as stream, recorded.reader_at(DIGEST) as reader:
        assert stream.read() == reader.read_at(0, 100) == DATA


def test_many_blobs_come_in_pages(database, recorded):
    """A walk has no transaction open while somebody works on what it met."""
    digests = sorted(Digest.of(b"%d" % number) for number in range(2500))
    with database.write() as tx:
        for number, digest in enumerate(digests):
            labels = {"even": "yes"} if number % 2 == 0 else {}
            record = BlobRecord(digest=digest, size=number, created_at_ns=1, labels=labels)
            Blobs(tx).put(record)
    assert [info.digest for info in recorded.walk()] == digests
    assert [info.digest for info in recorded.walk("labels.even")] == digests[::2]
    walk = recorded.walk("labels.even==yes", "size>=2498")
    assert [info.digest for info in walk] == [*digests[::2], digests[-1]]
    assert [info.size for info in recorded.walk("size>2400,labels.even", "size==1")] == [
        1,
        *range(2402, 2500, 2),
    ]


def test_what_goes_during_a_walk_is_passed_over(database, recorded, leased):
    for number in range(3):
        leased.put(b"%d" % number, labels={"k": "v"})
    walk = recorded.walk("labels.k==v")
    for digest in recorded.iter_digests():
        leased.delete(digest)
    assert list(walk) == []


def test_labels_of_the_collector_are_checked(leased, recorded):
    leased.put(DATA)
    with pytest.raises(InvalidError):
        recorded.update(DIGEST, {f"{GC_PREFIX}ref.content.x": "no digest"})
    with leased.ingest("r") as ingest:
        ingest.write(b"more")
        with pytest.raises(InvalidError):
            ingest.commit(labels={f"{GC_PREFIX}ref.content.x": "no digest"})
        assert ingest.commit(labels={f"{GC_PREFIX}ref.content.x": DIGEST}) == Digest.of(b"more")


def test_labels_are_recorded_with_the_blob(leased, database):
    """There is no moment at which a blob is recorded and its labels are not."""
    with leased.ingest("r") as ingest:
        ingest.write(DATA)
        ingest.seal()
        with database.read() as tx:
            assert (Blobs(tx).get(DIGEST), Labels(tx).get("blob", DIGEST)) == (None, {})
        ingest.publish({"k": "v"})
    with database.read() as tx:
        assert Blobs(tx).get(DIGEST).labels == {"k": "v"}


def test_nothing_is_deleted_that_is_kept(leased, recorded, lease, content):
    leased.put(DATA)
    with pytest.raises(InUseError, match=DIGEST):
        recorded.delete(DIGEST)
    recorded.update(DIGEST, {GC_ROOT: "yes"})
    lease.release()
    with pytest.raises(InUseError):
        recorded.delete(DIGEST)
    recorded.update(DIGEST, {}, f"labels.{GC_ROOT}")
    assert recorded.delete(DIGEST) is True
    assert content.stat(DIGEST) is None
    with pytest.raises(NotFoundError):
        recorded.update(DIGEST, {"k": "v"})


def test_ingests_can_be_looked_after_without_a_lease(leased, recorded):
    with leased.ingest("r") as ingest:
        ingest.write(DATA)
        assert recorded.status("r").offset == len(DATA)
        with pytest.raises(InUseError):
            recorded.abort("r")
    assert [status.reference for status in recorded.statuses("ref==r")] == ["r"]
    recorded.abort("r")
    assert list(recorded.statuses()) == []
    assert recorded.prune_ingests(2**62) == recorded.empty_trash() == 0


def test_a_lease_of_another_store_keeps_nothing(content, lease, tmp_path):
    with (
        Database.open(tmp_path / "other.db") as other,
        pytest.raises(ValueError, match="another store"),
    ):
        LeasedContent(content, other, lease)
