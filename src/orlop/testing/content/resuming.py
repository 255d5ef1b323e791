"""Resuming: what one writer left, the next one goes on with, or drops."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from orlop.content import fill
from orlop.digest import Digest
from orlop.errors import SizeMismatchError
from orlop.testing.content.base import DIGEST, HELLO, ContractBase, put

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.content import ContentStore, Ingest

_FUTURE_NS = 2**62
_PARTS = (0.0, 0.1, 0.5, 0.9, 1.0)


class _Stream:
    """A stream that only goes forward, in pieces of its own choice."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, 777))

    def close(self) -> None:
        self._file.close()


class ResumeContract(ContractBase):
    """What every content store does with ingests that were left."""

    @pytest.mark.parametrize("digest", [None, DIGEST], ids=["digest-unknown", "digest-known"])
    @pytest.mark.parametrize("written", [1, 5, 10, 11])
    def test_resume(
        self,
        store: ContentStore,
        reopen: Callable[[], ContentStore],
        written: int,
        digest: Digest | None,
    ) -> None:
        """What an earlier writer left is kept, hashed, and completed by the next one."""
        with store.ingest("r", digest=digest) as ingest:
            ingest.write(HELLO[:written])
        again = reopen()
        with again.ingest("r", digest=digest) as ingest:
            assert ingest.offset == written
            assert ingest.digest == Digest.of(HELLO[:written])
            assert b"".join(ingest.pieces()) == HELLO[:written]
            ingest.write(HELLO[written:])
            assert ingest.commit(len(HELLO), DIGEST) == DIGEST
        assert store.read(DIGEST, len(HELLO)) == HELLO

    def test_status_outlives_its_writer(
        self, store: ContentStore, reopen: Callable[[], ContentStore]
    ) -> None:
        """What is expected, what arrived and when is known while nobody writes, and afterwards."""
        window = self.window()
        with store.ingest("r", digest=DIGEST, size=len(HELLO)) as ingest:
            ingest.write(HELLO[:5])
            written = store.status("r")
        assert written is not None
        assert written.started_ns in window
        again = reopen()
        assert again.status("r") == written
        with again.ingest("r", digest=DIGEST, size=len(HELLO)) as ingest:
            assert again.status("r") == written
            ingest.write(HELLO[5:7])
            status = again.status("r")
        assert status is not None
        assert (status.started_ns, status.offset) == (written.started_ns, 7)
        assert status.updated_ns >= written.updated_ns

    @pytest.mark.parametrize("size", [500, 5_000, 50_000])
    @pytest.mark.parametrize("how", ["restart", "append", "stream", "file", "reader"])
    def test_ways_to_complete(self, store: ContentStore, how: str, size: int) -> None:
        """Whatever part is there, each way to get the rest makes the content whole."""
        for number, part in enumerate(_PARTS):
            data = bytes(range(number, number + 250)) * (size // 250)
            digest = Digest.of(data)
            written = int(size * part)
            with store.ingest("r", digest=digest, size=size) as ingest:
                ingest.write(data[:written])
            with store.ingest("r", digest=digest, size=size) as ingest:
                assert ingest.offset == written
                _complete(ingest, data, how, store)
                assert ingest.commit() == digest
            assert store.read(digest, size) == data

    def test_what_is_there_need_not_be_there_again(self, store: ContentStore) -> None:
        """A source that is shorter than what is kept adds nothing."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            short = HELLO[:5]
            assert fill(ingest, _Stream(short)) == fill(ingest, io.BytesIO(short)) == 0
            assert ingest.commit() == DIGEST

    def test_another_digest_begins_anew(self, store: ContentStore) -> None:
        """What was kept for one digest is nothing for another: no tail of it stays behind."""
        with store.ingest("r", digest=DIGEST) as ingest:
            ingest.write(HELLO)
        started = self.window()
        for digest in (Digest.of(b"other"), None):
            with store.ingest("r", digest=digest) as ingest:
                assert ingest.offset == 0
                ingest.write(b"other")
                status = store.status("r")
                assert status is not None
                assert (status.digest, status.offset) == (digest, 5)
                assert status.started_ns in started
        with store.ingest("r") as ingest:
            assert ingest.commit() == Digest.of(b"other")
        assert store.read(Digest.of(b"other"), 5) == b"other"
        assert list(store.iter_digests()) == [Digest.of(b"other")]

    def test_too_much_begins_anew(self, store: ContentStore) -> None:
        """A kept prefix that is longer than the content can be no prefix of it."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO * 2)
        with store.ingest("r", size=len(HELLO)) as ingest:
            assert ingest.offset == 0
            ingest.write(HELLO)
            assert ingest.commit() == DIGEST
        assert store.read(DIGEST, len(HELLO)) == HELLO

    def test_bad_bytes_are_not_resumed(self, store: ContentStore) -> None:
        """Content that proves wrong does not wait for the next writer."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO + b"!")
            with pytest.raises(SizeMismatchError):
                ingest.commit(size=len(HELLO))
        with store.ingest("r") as ingest:
            assert ingest.offset == 0
            ingest.write(HELLO)
            assert ingest.commit(size=len(HELLO)) == DIGEST

    def test_sealed_is_kept(self, store: ContentStore) -> None:
        """Sealed content that was not published is left to the next writer, whole."""
        with store.ingest("r", digest=DIGEST) as ingest:
            ingest.write(HELLO)
            ingest.seal()
        with store.ingest("r", digest=DIGEST, size=len(HELLO)) as ingest:
            assert ingest.offset == len(HELLO)
            ingest.commit()

    def test_prune(self, store: ContentStore) -> None:
        """Ingests that rest are dropped; not those that are recent, written or to be kept."""
        for reference in ("old", "kept"):
            with store.ingest(reference) as ingest:
                ingest.write(HELLO)
        assert store.prune_ingests(0) == 0
        with store.ingest("busy") as ingest:
            ingest.write(HELLO)
            assert store.prune_ingests(_FUTURE_NS, keep={"kept"}) == 1
        assert [status.reference for status in store.statuses()] == ["busy", "kept"]


def _complete(ingest: Ingest, data: bytes, how: str, store: ContentStore) -> None:
    left = len(data) - ingest.offset
    match how:
        case "restart":
            ingest.restart()
            ingest.write(data)
        case "append":
            ingest.write(data[ingest.offset :])
        case "stream":
            assert fill(ingest, _Stream(data)) == left
        case "file":
            assert fill(ingest, io.BytesIO(data)) == left
        case "reader":
            with store.reader_at(put(store, data)) as reader:
                assert fill(ingest, reader) == left
