"""Ingests: how content comes in, is verified and gets its name; or fails, and leaves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orlop.digest import Digest
from orlop.errors import (
    DigestMismatchError,
    InUseError,
    NotFoundError,
    SizeMismatchError,
    UnsupportedError,
)
from orlop.testing.content.base import DIGEST, HELLO, UNKNOWN, ContractBase, assert_empty, put

if TYPE_CHECKING:
    from orlop.content import ContentStore

_REFERENCES = ["a/b", "../../etc", "/", ".", "ünïcode", "船", "x" * 5000, "\n", "\0", " ", "*"]


class IngestContract(ContractBase):
    """What every content store does with one ingest at a time."""

    def test_status_moves(self, store: ContentStore) -> None:
        """The status of an ingest tells what is expected, what has arrived, and when."""
        data = bytes(range(256))
        digest = Digest.of(data)
        assert store.status("b") is None
        window = self.window()
        with store.ingest("b", digest=digest, size=256) as ingest:
            started = None
            for offset, end in ((0, 0), (0, 64), (64, 192), (192, 256)):
                written = self.window()
                ingest.write(data[offset:end])
                assert (ingest.reference, ingest.offset) == ("b", end)
                assert ingest.digest == Digest.of(data[:end])
                status = store.status("b")
                assert status is not None
                assert list(store.statuses()) == [status]
                assert (status.reference, status.offset) == ("b", end)
                assert (status.digest, status.size) == (digest, 256)
                assert status.started_ns == (started or status.started_ns)
                assert status.started_ns in window
                assert status.updated_ns in written
                assert status.started_ns <= status.updated_ns
                started = status.started_ns
            ingest.commit()
        assert store.status("b") is None
        assert list(store.statuses()) == []

    def test_what_is_expected_may_be_unknown(self, store: ContentStore) -> None:
        """An ingest whose writer expects nothing says so."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            status = store.status("r")
            assert status is not None
            assert (status.digest, status.size) == (None, None)

    def test_created_when_it_is_committed(self, store: ContentStore) -> None:
        """A blob is stored when it gets its name, not when its bytes came."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            window = self.window()
            ingest.commit()
        info = store.stat(DIGEST)
        assert info is not None
        assert info.created_ns in window

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
        """An ingest that is closed without a byte in it is not kept."""
        with store.ingest("nothing"):
            pass
        with store.ingest("restarted") as ingest:
            ingest.write(HELLO)
            ingest.restart()
        assert_empty(store)
        with store.ingest("restarted") as ingest:
            assert ingest.offset == 0

    @pytest.mark.parametrize("reference", _REFERENCES)
    def test_any_reference(self, store: ContentStore, reference: str) -> None:
        """A reference is any text, and nothing but a name."""
        with store.ingest(reference) as ingest:
            ingest.write(HELLO)
        assert [status.reference for status in store.statuses()] == [reference]
        with store.ingest(reference) as ingest:
            assert ingest.offset == len(HELLO)
        store.abort(reference)
        assert_empty(store)

    @pytest.mark.parametrize("reference", ["", "\udc80"], ids=["empty", "no-text"])
    def test_no_reference(self, store: ContentStore, reference: str) -> None:
        """The empty text names nothing, and what is no text neither."""
        for use in (store.ingest, store.status, store.abort):
            with pytest.raises(ValueError, match=r"reference|surrogates|UTF-8"):
                use(reference)

    def test_digest_mismatch_keeps_nothing(self, store: ContentStore) -> None:
        """Content that fails its digest is dropped, so that the next writer begins anew."""
        with store.ingest("r", digest=DIGEST) as ingest:
            ingest.write(b"evil")
            with pytest.raises(DigestMismatchError) as caught:
                ingest.commit()
        assert (caught.value.expected, caught.value.actual) == (DIGEST, Digest.of(b"evil"))
        assert_empty(store)

    def test_digest_mismatch_on_commit(self, store: ContentStore) -> None:
        """The digest may be learned at the end, and be of another algorithm."""
        with store.ingest("r") as ingest:
            ingest.write(b"evil")
            with pytest.raises(DigestMismatchError):
                ingest.commit(digest=Digest.of(HELLO, "sha512"))
        assert_empty(store)
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
        assert_empty(store)

    def test_too_much(self, store: ContentStore) -> None:
        """Content that is longer than promised is refused when it comes, not when it ends."""
        with store.ingest("r", size=len(HELLO)) as ingest:
            with pytest.raises(SizeMismatchError):
                ingest.write(HELLO + b"!")
            with pytest.raises(ValueError, match="ended"):
                ingest.write(b"!")
        assert_empty(store)

    def test_size_on_commit(self, store: ContentStore) -> None:
        """The length may be learned at the end."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            with pytest.raises(SizeMismatchError):
                ingest.commit(size=3)
        assert_empty(store)

    def test_zero_is_a_size(self, store: ContentStore) -> None:
        """A promise of no bytes is a promise, not the lack of one."""
        with store.ingest("r", size=0) as ingest, pytest.raises(SizeMismatchError):
            ingest.write(b"!")
        with store.ingest("r") as ingest:
            ingest.write(b"!")
            with pytest.raises(SizeMismatchError):
                ingest.commit(size=0)
        assert_empty(store)

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

    def test_commit_what_is_stored(self, store: ContentStore) -> None:
        """Storing what is stored succeeds, told the digest or not, and frees the reference."""
        put(store, HELLO)
        for digest in (DIGEST, None):
            for reference in ("c1", "c2"):
                with store.ingest(reference, digest=digest) as ingest:
                    ingest.write(HELLO)
                    assert ingest.commit() == DIGEST
                with store.ingest(reference, digest=digest) as ingest:
                    assert ingest.offset == 0
        assert list(store.iter_digests()) == [DIGEST]
        assert list(store.statuses()) == []

    def test_errors_leave_the_reference_free(self, store: ContentStore) -> None:
        """After each way for a commit to fail or to succeed, the reference can be used again."""
        put(store, HELLO)
        content = HELLO + b"more"
        for failure, arguments in (
            (None, {}),
            (DigestMismatchError, {"digest": DIGEST}),
            (SizeMismatchError, {"size": len(content) + 1}),
            (None, {"size": len(content), "digest": Digest.of(content)}),
        ):
            with store.ingest("r") as ingest:
                assert ingest.offset == 0
                with pytest.raises(InUseError):
                    store.ingest("r", wait=False)
                ingest.write(content if arguments else HELLO)
                if failure is None:
                    ingest.commit(**arguments)
                else:
                    with pytest.raises(failure):
                        ingest.commit(**arguments)
        assert set(store.iter_digests()) == {DIGEST, Digest.of(content)}

    def test_abort(self, store: ContentStore) -> None:
        """An aborted ingest keeps nothing; to end one again does nothing."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            ingest.abort()
            ingest.abort()
            ingest.close()
        assert_empty(store)

    def test_abort_by_reference(self, store: ContentStore) -> None:
        """An ingest can be dropped by its name, unless it is being written."""
        with pytest.raises(NotFoundError, match="pull 7"):
            store.abort("pull 7")
        with store.ingest("pull 7") as ingest:
            ingest.write(HELLO)
            with pytest.raises(InUseError, match="pull 7"):
                store.abort("pull 7")
            ingest.write(HELLO)
        store.abort("pull 7")
        assert_empty(store)

    def test_unknown_algorithm(self, store: ContentStore) -> None:
        """What cannot be verified is not stored."""
        with pytest.raises(UnsupportedError):
            store.ingest("r", digest=UNKNOWN)
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            with pytest.raises(UnsupportedError):
                ingest.commit(digest=UNKNOWN)
            assert list(store.iter_digests()) == []
            assert ingest.commit() == DIGEST
