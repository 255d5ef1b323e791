"""Writers: several at once, of different ingests or of one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from orlop.digest import Digest
from orlop.errors import InUseError
from orlop.testing.content.base import DIGEST, HELLO, ContractBase

if TYPE_CHECKING:
    from orlop.content import ContentStore, Ingest

_LARGE = 8 << 20


class WriterContract(ContractBase):
    """What every content store does with several writers."""

    def test_five_ingests_at_once(self, store: ContentStore) -> None:
        """Ingests do not disturb each other, whatever is known of their content before."""
        contents = [bytes([number]) * 1000 for number in range(4)] + [b"large " * (_LARGE // 6)]
        digests = [Digest.of(content) for content in contents]
        sizes = [len(content) for content in contents]
        ingests = [
            store.ingest("c1"),
            store.ingest("c2", size=sizes[1]),
            store.ingest("c3", digest=digests[2]),
            store.ingest("c4", digest=digests[3], size=sizes[3]),
            store.ingest("c5", digest=digests[4], size=sizes[4]),
        ]
        for step in range(32):
            for ingest, content in zip(ingests, contents, strict=True):
                part = -(-len(content) // 32)
                ingest.write(content[step * part : (step + 1) * part])
        assert [status.reference for status in store.statuses()] == ["c1", "c2", "c3", "c4", "c5"]
        window = self.window()
        assert [ingest.commit() for ingest in ingests] == digests
        for digest, size in zip(digests, sizes, strict=True):
            info = store.stat(digest)
            assert info is not None
            assert info.size == size
            assert info.created_ns in window
            with store.reader_at(digest) as reader:
                reader.verify()

    def test_one_writer(self, store: ContentStore) -> None:
        """An ingest has one writer; another one waits, or is refused."""
        with store.ingest("pull 7"):
            with pytest.raises(InUseError, match="pull 7"):
                store.ingest("pull 7", wait=False)
            with pytest.raises(InUseError):
                store.ingest("pull 7", wait=0.01)
            with store.ingest("other", wait=False):
                pass
        with store.ingest("pull 7", wait=False):
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

    @pytest.mark.parametrize("end", ["close", "commit", "abort"])
    def test_a_writer_that_has_ended_harms_nobody(self, store: ContentStore, end: str) -> None:
        """Whatever an ended writer is asked to do, the next one's ingest is the next one's."""
        ended = store.ingest("r")
        ended.write(HELLO)
        getattr(ended, end)()
        with store.ingest("r") as ingest:
            ingest.restart()
            for use in (ended.commit, ended.seal, ended.publish, ended.restart, ended.pieces):
                with pytest.raises(ValueError, match="ended"):
                    use()
            with pytest.raises(ValueError, match="ended"):
                ended.write(b"!")
            ended.abort()
            ended.close()
            with pytest.raises(InUseError):
                store.ingest("r", wait=False)
            ingest.write(b"the next one's")
            assert ingest.commit() == Digest.of(b"the next one's")

    def test_aborting_while_it_is_written(self, store: ContentStore) -> None:
        """An abort and a writer never have the same ingest, however they meet."""
        content = bytes(range(256)) * 40
        digest = Digest.of(content)
        done = threading.Event()

        def abort() -> None:
            while not done.is_set():
                with suppress(InUseError, LookupError):
                    store.abort("r")

        aborting = threading.Thread(target=abort)
        aborting.start()
        try:
            for _ in range(20):
                with store.ingest("r") as ingest:
                    ingest.restart()
                    for start in range(0, len(content), 1024):
                        ingest.write(content[start : start + 1024])
                    assert ingest.commit() == digest
                assert store.read(digest, len(content)) == content
                store.delete(digest)
        finally:
            done.set()
            aborting.join()

    def test_same_digest_by_many(self, store: ContentStore) -> None:
        """Many writers of the same content all succeed, and it is there once."""
        ingests = [store.ingest(f"c{number}", digest=DIGEST) for number in range(4)]
        for ingest in ingests:
            ingest.write(HELLO)
        with ThreadPoolExecutor(4) as threads:
            digests = list(threads.map(lambda ingest: ingest.commit(), ingests))
        assert digests == [DIGEST] * 4
        assert list(store.iter_digests()) == [DIGEST]
        assert store.read(DIGEST, len(HELLO)) == HELLO


def _offset(ingest: Ingest) -> int:
    with ingest:
        return ingest.offset
