import pytest

from orlop.content import LocalContent, MemoryContent
from orlop.digest import Digest
from orlop.errors import DigestMismatchError, InUseError, NotFoundError
from orlop.metadata import BlobRecord, Blobs, Database, Lease, Leases
from orlop.metadata.content import LeasedContent
from orlop.metadata.gc import collect

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
def store(content, database, lease):
    return LeasedContent(content, database, lease, lambda: 7)


def record(database, digest=DIGEST):
    with database.read() as tx:
        return Blobs(tx).get(digest)


def items(database):
    with database.read() as tx:
        return set(Leases(tx).items())


def test_steps_of_an_ingest(store, content, database):
    """The digest is under the lease before the bytes have their name, and recorded after."""
    with store.ingest("r", media_type="text/plain", children=[Digest.of(b"c")]) as ingest:
        assert items(database) == {("ingest", "r")}
        ingest.write(DATA)
        ingest.seal()
        assert items(database) == {("ingest", "r"), ("blob", DIGEST)}
        assert content.stat(DIGEST) is None
        assert record(database) is None
        ingest.publish()
    assert items(database) == {("blob", DIGEST)}
    assert content.stat(DIGEST) is not None
    assert record(database) == BlobRecord(
        digest=DIGEST, size=len(DATA), media_type="text/plain", created_at_ns=7, updated_at_ns=7
    )
    with database.read() as tx:
        assert Blobs(tx).children(DIGEST) == (Digest.of(b"c"),)


def test_digest_that_is_known_is_held_from_the_first_byte(store, database):
    with store.ingest("r", digest=DIGEST):
        assert items(database) == {("ingest", "r"), ("blob", DIGEST)}


def test_stat_wants_record_and_bytes(store, content, database):
    with content.ingest("x") as ingest:
        ingest.write(DATA)
        ingest.commit()
    assert store.stat(DIGEST) is None
    assert list(store.iter_digests()) == []
    assert store.claim(DIGEST).size == len(DATA)
    assert store.stat(DIGEST).size == len(DATA)
    content.delete(DIGEST)
    assert store.stat(DIGEST) is None
    assert store.claim(DIGEST) is None


def test_claiming_what_is_recorded(store, database, content):
    with Lease(database) as other:
        LeasedContent(content, database, other).put(DATA, media_type="text/plain")
    assert items(database) == set()
    assert store.claim(DIGEST).digest == DIGEST
    assert items(database) == {("blob", DIGEST)}
    assert record(database).media_type == "text/plain"
    assert store.claim(Digest.of(b"missing")) is None


def test_put(store, database):
    assert store.put(DATA, digest=DIGEST, media_type="a/b") == DIGEST
    assert store.put(DATA) == DIGEST
    assert record(database).media_type == "a/b"
    with pytest.raises(DigestMismatchError):
        store.put(b"evil", digest=Digest.of(b"good"))
    with store.ingest(Digest.of(b"good"), digest=Digest.of(b"good")) as ingest:
        ingest.write(b"go")
    assert store.put(b"good") == Digest.of(b"good")


def test_describe(store, database):
    store.put(DATA)
    store.describe(DIGEST, "text/plain", [Digest.of(b"c")])
    assert record(database).media_type == "text/plain"
    with database.read() as tx:
        assert Blobs(tx).children(DIGEST) == (Digest.of(b"c"),)


def test_delete_refuses_what_others_keep(store, database, content):
    store.put(DATA)
    with Lease(database) as other:
        other.hold("blob", DIGEST)
        with pytest.raises(InUseError, match=DIGEST):
            store.delete(DIGEST)
    assert record(database) is not None
    assert ("blob", DIGEST) in items(database)
    assert store.delete(DIGEST) is True
    assert record(database) is content.stat(DIGEST) is None


def test_lease_that_has_ended_stores_nothing(content, database):
    with Lease(database) as lease:
        store = LeasedContent(content, database, lease)
        late = store.ingest("r")
        late.write(DATA)
    with pytest.raises(NotFoundError, match="has ended"):
        late.commit()
    with pytest.raises(NotFoundError, match="has ended"):
        store.put(b"other")
    assert list(content.iter_digests()) == []
    late.close()


def test_lease_that_others_end_records_nothing(store, database, content):
    """Nothing keeps what has come, though its digest was held before it came."""
    with store.ingest("r", digest=DIGEST) as ingest:
        ingest.write(DATA)
        with database.write() as tx:
            for lease in list(Leases(tx).list()):
                Leases(tx).delete(lease.id)
        with pytest.raises(NotFoundError, match="has ended"):
            ingest.commit()
    assert record(database) is None
    collect(database, content)
    assert content.stat(DIGEST) is None


def test_two_leases_share_an_ingest(database, tmp_path):
    content = LocalContent(tmp_path)
    with Lease(database) as one, Lease(database) as two:
        with LeasedContent(content, database, one).ingest("r", digest=DIGEST) as ingest:
            ingest.write(DATA[:3])
        with LeasedContent(content, database, two).ingest("r", digest=DIGEST) as ingest:
            assert ingest.offset == 3
            ingest.write(DATA[3:])
            ingest.commit()
        assert items(database) == {("ingest", "r"), ("blob", DIGEST)}


@pytest.fixture
def before_write(monkeypatch):
    """Lets somebody else act just before the transaction of this number."""

    def arrange(number, act):
        write = Database.write
        seen = []

        def racing(self):
            seen.append(self)
            if len(seen) == number:
                monkeypatch.setattr(Database, "write", write)
                act()
            return write(self)

        monkeypatch.setattr(Database, "write", racing)

    return arrange


def test_what_goes_while_it_is_claimed_is_not_there(store, database, content, before_write):
    store.put(DATA)
    store.delete(DIGEST)
    with content.ingest("r") as ingest:
        ingest.write(DATA)
        ingest.commit()
    before_write(1, lambda: content.delete(DIGEST))
    assert store.claim(DIGEST) is None
    assert record(database) is None


def test_what_is_stored_anew_while_it_is_deleted_stays(store, database, content, before_write):
    """Between the record and the bytes somebody else has claimed them."""
    store.put(DATA)
    with Lease(database) as other:
        before_write(2, lambda: LeasedContent(content, database, other).claim(DIGEST))
        assert store.delete(DIGEST) is True
        assert record(database) is not None
        assert content.read(DIGEST, len(DATA)) == DATA
