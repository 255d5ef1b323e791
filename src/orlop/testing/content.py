"""The contract of every content store, as tests that a backend inherits.

class TestMyStore(ContentStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return MyStore(tmp_path)
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from orlop.digest import Digest
from orlop.errors import (
    DigestMismatchError,
    InUseError,
    LimitExceededError,
    NotFoundError,
    SizeMismatchError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from orlop.content import ContentStore, Ingest

HELLO = b"hello, hold"
DIGEST = Digest.of(HELLO)
UNKNOWN = Digest("blake3:" + "0" * 64)
FUTURE_NS = 2**62


def put(store: ContentStore, data: bytes, algorithm: str = "sha256") -> Digest:
    """Store `data` by an ingest of its own."""
    digest = Digest.of(data, algorithm)
    with store.ingest(f"put {digest}", digest=digest, size=len(data)) as ingest:
        ingest.write(data)
        return ingest.commit()


class ContentStoreContract:
    """What every content store does; a subclass provides the fixture `store`, an empty one."""

    @pytest.fixture
    def store(self) -> ContentStore:
        """An empty store."""
        pytest.fail("a subclass provides this fixture")

    # Blobs

    @pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
    @pytest.mark.parametrize("data", [b"", b"x", HELLO * 300_000], ids=["empty", "one", "large"])
    def test_what_goes_in_comes_out(self, store: ContentStore, data: bytes, algorithm: str) -> None:
        """A blob of any length and algorithm is read as it was written."""
        digest = put(store, data, algorithm)
        assert digest == Digest.of(data, algorithm)
        info = store.stat(digest)
        assert info is not None
        assert (info.digest, info.size) == (digest, len(data))
        assert info.created_ns > 0
        assert store.read(digest, len(data)) == data
        assert list(store.iter_digests()) == [digest]

    def test_read_in_pieces(self, store: ContentStore) -> None:
        """A reader hands out every byte once, and nothing past the end."""
        digest = put(store, HELLO)
        with store.open(digest, len(HELLO)) as reader:
            assert reader.read(0) == b""
            assert reader.read(5) == HELLO[:5]
            assert reader.tell() == 5
            assert reader.read(100) == HELLO[5:]
            assert reader.read(100) == reader.read() == b""

    def test_missing(self, store: ContentStore) -> None:
        """What is not stored has no info and cannot be opened."""
        assert store.stat(DIGEST) is None
        assert store.stat(UNKNOWN) is None
        with pytest.raises(NotFoundError):
            store.open(DIGEST)
        with pytest.raises(NotFoundError):
            store.read(DIGEST, 5)
        assert store.delete(DIGEST) is False

    def test_open_demands_the_size(self, store: ContentStore) -> None:
        """A blob of another length than its descriptor says is not handed out."""
        digest = put(store, HELLO)
        with pytest.raises(SizeMismatchError):
            store.open(digest, len(HELLO) + 1)
        with pytest.raises(SizeMismatchError):
            store.read(digest, len(HELLO) - 1)

    def test_read_is_bounded(self, store: ContentStore) -> None:
        """`read` takes no more into memory than its limit."""
        digest = put(store, HELLO)
        with pytest.raises(LimitExceededError) as caught:
            store.read(digest, len(HELLO), limit=len(HELLO) - 1)
        assert caught.value.value == len(HELLO) - 1
        assert store.read(digest, len(HELLO), limit=len(HELLO)) == HELLO

    def test_delete(self, store: ContentStore) -> None:
        """A deleted blob is gone, and can be stored again."""
        digest = put(store, HELLO)
        assert store.delete(digest) is True
        assert store.stat(digest) is None
        assert list(store.iter_digests()) == []
        assert store.delete(digest) is False
        store.empty_trash()
        assert store.read(put(store, HELLO), len(HELLO)) == HELLO

    def test_delete_leaves_readers_alone(self, store: ContentStore) -> None:
        """Who has opened a blob reads it to its end, even if it is deleted and freed meanwhile."""
        digest = put(store, HELLO)
        with store.open(digest) as reader:
            assert reader.read(3) == HELLO[:3]
            store.delete(digest)
            store.empty_trash()
            assert reader.read() == HELLO[3:]

    def test_iter_digests_is_sorted(self, store: ContentStore) -> None:
        """Digests come in order, and deleting while iterating disturbs nobody."""
        expected = sorted(put(store, b"%d" % number) for number in range(20))
        seen = []
        for digest in store.iter_digests():
            seen.append(digest)
            store.delete(digest)
        assert seen == expected

    # Ingests

    def test_status_moves(self, store: ContentStore) -> None:
        """The status of an ingest tells what has arrived."""
        assert list(store.statuses()) == []
        with store.ingest("b", digest=DIGEST, size=len(HELLO)) as ingest:
            assert (ingest.reference, ingest.offset) == ("b", 0)
            ingest.write(HELLO[:4])
            assert ingest.digest == Digest.of(HELLO[:4])
            (status,) = store.statuses()
            assert (status.reference, status.offset) == ("b", 4)
            assert (status.digest, status.size) == (DIGEST, len(HELLO))
            assert status.updated_ns > 0
            ingest.write(HELLO[4:])
            ingest.commit()
        assert list(store.statuses()) == []

    @pytest.mark.parametrize("written", [1, 5, 10, 11])
    @pytest.mark.parametrize("digest", [None, DIGEST], ids=["digest-unknown", "digest-known"])
    def test_resume(self, store: ContentStore, written: int, digest: Digest | None) -> None:
        """What an earlier writer left is kept, hashed, and completed by the next one."""
        with store.ingest("r", digest=digest) as ingest:
            ingest.write(HELLO[:written])
        with store.ingest("r", digest=digest) as ingest:
            assert ingest.offset == written
            assert ingest.digest == Digest.of(HELLO[:written])
            assert b"".join(ingest.pieces()) == HELLO[:written]
            ingest.write(HELLO[written:])
            assert ingest.commit(len(HELLO), DIGEST) == DIGEST
        assert store.read(DIGEST, len(HELLO)) == HELLO

    def test_resume_for_another_digest_begins_anew(self, store: ContentStore) -> None:
        """What was kept for one digest is nothing for another."""
        with store.ingest("r", digest=DIGEST) as ingest:
            ingest.write(HELLO)
        with store.ingest("r", digest=Digest.of(b"other")) as ingest:
            assert ingest.offset == 0
            ingest.write(b"other")
            ingest.commit()
        assert list(store.iter_digests()) == [Digest.of(b"other")]

    def test_resume_with_too_much_begins_anew(self, store: ContentStore) -> None:
        """A kept prefix that is longer than the content can be no prefix of it."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO * 2)
        with store.ingest("r", size=len(HELLO)) as ingest:
            assert ingest.offset == 0

    def test_restart(self, store: ContentStore) -> None:
        """After a restart nothing of the old bytes is left, not even behind the new end."""
        with store.ingest("r") as ingest:
            ingest.write(b"garbage " * 10)
            ingest.restart()
            assert (ingest.offset, ingest.digest) == (0, Digest.of(b""))
            ingest.write(HELLO)
            assert ingest.commit() == DIGEST
        assert store.read(DIGEST, len(HELLO)) == HELLO

    def test_empty_ingest_leaves_nothing(self, store: ContentStore) -> None:
        """An ingest that is closed before its first byte is not kept."""
        with store.ingest("nothing"):
            pass
        assert list(store.statuses()) == []

    @pytest.mark.parametrize("reference", ["a/b", "../../etc", "ünïcode", "x" * 5000, "\n", "\0"])
    def test_any_reference(self, store: ContentStore, reference: str) -> None:
        """A reference is any text; only the empty one is a mistake."""
        with store.ingest(reference) as ingest:
            ingest.write(HELLO)
        assert [status.reference for status in store.statuses()] == [reference]
        with store.ingest(reference) as ingest:
            ingest.commit()
        for refused in ("", "\udc80"):
            with pytest.raises(ValueError, match=r"reference|surrogates|UTF-8"):
                store.ingest(refused)

    def test_digest_mismatch_keeps_nothing(self, store: ContentStore) -> None:
        """Content that fails its digest is dropped, so that the next writer begins anew."""
        with store.ingest("r", digest=DIGEST) as ingest:
            ingest.write(b"evil")
            with pytest.raises(DigestMismatchError) as caught:
                ingest.commit()
        assert (caught.value.expected, caught.value.actual) == (DIGEST, Digest.of(b"evil"))
        self._assert_empty(store)

    def test_digest_mismatch_on_commit(self, store: ContentStore) -> None:
        """The digest may be learned at the end, and be of another algorithm."""
        with store.ingest("r") as ingest:
            ingest.write(b"evil")
            with pytest.raises(DigestMismatchError):
                ingest.commit(digest=Digest.of(HELLO, "sha512"))
        self._assert_empty(store)
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            expected = Digest.of(HELLO, "sha512")
            assert ingest.commit(digest=expected) == expected
        assert store.read(expected, len(HELLO)) == HELLO

    def test_too_little(self, store: ContentStore) -> None:
        """Content that is cut short is dropped at its commit."""
        with store.ingest("r", size=len(HELLO)) as ingest:
            ingest.write(HELLO[:-1])
            with pytest.raises(SizeMismatchError):
                ingest.commit()
        self._assert_empty(store)

    def test_too_much(self, store: ContentStore) -> None:
        """Content that is longer than promised is refused when it comes, not when it ends."""
        with store.ingest("r", size=len(HELLO)) as ingest:
            with pytest.raises(SizeMismatchError):
                ingest.write(HELLO + b"!")
            with pytest.raises(ValueError, match="ended"):
                ingest.write(b"!")
        self._assert_empty(store)

    def test_size_on_commit(self, store: ContentStore) -> None:
        """The length may be learned at the end."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            with pytest.raises(SizeMismatchError):
                ingest.commit(size=3)
        self._assert_empty(store)

    def test_seal_then_publish(self, store: ContentStore) -> None:
        """Sealed content is verified and has no name yet; published, it has."""
        with store.ingest("r", digest=DIGEST) as ingest:
            ingest.write(HELLO)
            with pytest.raises(ValueError, match="sealed"):
                ingest.publish()
            assert ingest.seal() == ingest.seal() == DIGEST
            assert store.stat(DIGEST) is None
            with pytest.raises(ValueError, match="sealed"):
                ingest.write(b"!")
            ingest.publish()
            assert store.stat(DIGEST) is not None
            with pytest.raises(ValueError, match="ended"):
                ingest.publish()
        assert list(store.statuses()) == []

    def test_sealed_is_kept(self, store: ContentStore) -> None:
        """Sealed content that was not published is left to the next writer, whole."""
        with store.ingest("r", digest=DIGEST) as ingest:
            ingest.write(HELLO)
            ingest.seal()
        with store.ingest("r", digest=DIGEST, size=len(HELLO)) as ingest:
            assert ingest.offset == len(HELLO)
            ingest.commit()

    def test_commit_twice(self, store: ContentStore) -> None:
        """Storing what is stored succeeds, and the reference is free again."""
        assert put(store, HELLO) == put(store, HELLO) == DIGEST
        with store.ingest("another", digest=DIGEST) as ingest:
            ingest.write(HELLO)
            ingest.commit()
        with store.ingest("another", digest=DIGEST) as ingest:
            assert ingest.offset == 0

    def test_abort(self, store: ContentStore) -> None:
        """An aborted ingest keeps nothing; to end one again does nothing."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            ingest.abort()
            ingest.abort()
            ingest.close()
        self._assert_empty(store)

    def test_abort_by_reference(self, store: ContentStore) -> None:
        """An ingest can be dropped by its name, unless it is being written."""
        with pytest.raises(NotFoundError):
            store.abort("r")
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            with pytest.raises(InUseError):
                store.abort("r")
            ingest.write(HELLO)
        store.abort("r")
        self._assert_empty(store)

    def test_prune(self, store: ContentStore) -> None:
        """Ingests that rest are dropped; not those that are recent, written or to be kept."""
        for reference in ("old", "kept"):
            with store.ingest(reference) as ingest:
                ingest.write(HELLO)
        assert store.prune_ingests(0) == 0
        with store.ingest("busy") as ingest:
            ingest.write(HELLO)
            assert store.prune_ingests(FUTURE_NS, keep={"kept"}) == 1
        assert [status.reference for status in store.statuses()] == ["busy", "kept"]

    def test_unknown_algorithm(self, store: ContentStore) -> None:
        """What cannot be verified is not stored."""
        with pytest.raises(UnsupportedError):
            store.ingest("r", digest=UNKNOWN)
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            with pytest.raises(UnsupportedError):
                ingest.commit(digest=UNKNOWN)

    # Many writers

    def test_one_writer(self, store: ContentStore) -> None:
        """An ingest has one writer; another one waits, or is refused."""
        with store.ingest("r"):
            with pytest.raises(InUseError, match="'r'"):
                store.ingest("r", wait=False)
            with pytest.raises(InUseError):
                store.ingest("r", wait=0.01)
            with store.ingest("other", wait=False):
                pass
        with store.ingest("r", wait=False):
            pass

    def test_waiting_writer(self, store: ContentStore) -> None:
        """One that waited gets the ingest when the other ends, empty after a commit."""
        offsets: list[int] = []
        ingest = store.ingest("r", digest=DIGEST)
        ingest.write(HELLO)
        waiting = threading.Thread(target=lambda: offsets.append(_offset(store.ingest("r"))))
        waiting.start()
        ingest.commit()
        waiting.join()
        assert offsets == [0]
        assert store.stat(DIGEST) is not None

    def test_five_ingests_at_once(self, store: ContentStore) -> None:
        """Different ingests do not disturb each other."""
        ingests = [store.ingest(f"c{number}") for number in range(5)]
        data = [bytes([number]) * 1000 for number in range(5)]
        for start in range(0, 1000, 32):
            for ingest, content in zip(ingests, data, strict=True):
                ingest.write(content[start : start + 32])
        committed = [ingest.commit() for ingest in ingests]
        assert committed == [Digest.of(content) for content in data]

    def test_same_digest_by_many(self, store: ContentStore) -> None:
        """Many writers of the same content all succeed, and it is there once."""
        ingests = [store.ingest(f"c{number}", digest=DIGEST) for number in range(4)]
        for ingest in ingests:
            ingest.write(HELLO)
        threads = [threading.Thread(target=ingest.commit) for ingest in ingests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert list(store.iter_digests()) == [DIGEST]
        assert store.read(DIGEST, len(HELLO)) == HELLO

    def _assert_empty(self, store: ContentStore) -> None:
        assert list(store.iter_digests()) == []
        assert list(store.statuses()) == []


def _offset(ingest: Ingest) -> int:
    with ingest:
        return ingest.offset
