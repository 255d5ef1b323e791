"""Reading blobs: from the beginning with verification, and anywhere without."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from orlop.testing.content.base import DIGEST, HELLO, ContractBase, put

if TYPE_CHECKING:
    from orlop.content import ContentStore

_LARGE = bytes(range(251)) * 9000
"""Long enough for several reads, and of a period that no buffer has."""


class ReadingContract(ContractBase):
    """What every content store does for readers."""

    def test_read_in_pieces(self, store: ContentStore) -> None:
        """A reader hands out every byte once, and nothing past the end."""
        digest = put(store, HELLO)
        with store.open(digest, len(HELLO)) as reader:
            assert reader.read(0) == b""
            assert reader.read(5) == HELLO[:5]
            assert reader.tell() == 5
            assert reader.read(100) == HELLO[5:]
            assert reader.read(100) == reader.read() == b""

    @pytest.mark.parametrize("size", [0, 1, 6, len(_LARGE)])
    def test_read_one_byte_too_many(self, store: ContentStore, size: int) -> None:
        """Asked for more than there is, readers give what there is, and then the end."""
        data = _LARGE[:size]
        digest = put(store, data)
        with store.open(digest) as stream:
            assert stream.readall() == data
            assert stream.read(1) == b""
        with store.reader_at(digest, size) as reader:
            assert (reader.digest, reader.size) == (digest, size)
            assert reader.read_at(0, size + 1) == data
            assert reader.read_at(size, 1) == b""
            reader.verify()

    @pytest.mark.parametrize(
        ("offset", "size"),
        [(0, 0), (3, 1), (10, 1), (10, 2), (11, 0), (11, 7), (12, 7), (2**40, 1), (2**70, 2**70)],
    )
    def test_read_at_odd_places(self, store: ContentStore, offset: int, size: int) -> None:
        """A part is what a slice would be, also where there is nothing left."""
        with store.reader_at(put(store, HELLO)) as reader:
            assert reader.read_at(offset, size) == HELLO[offset : offset + size]
            assert reader.read_at(0, len(HELLO)) == HELLO

    def test_read_at_negative_places(self, store: ContentStore) -> None:
        """There is nothing before the beginning, and no less than nothing."""
        with store.reader_at(put(store, HELLO)) as reader:
            for offset, size in ((-1, 1), (0, -1)):
                with pytest.raises(ValueError, match="negative"):
                    reader.read_at(offset, size)

    def test_read_by_several_threads(self, store: ContentStore) -> None:
        """Threads that share a reader do not move each other."""
        with store.reader_at(put(store, _LARGE)) as reader, ThreadPoolExecutor(4) as threads:
            offsets = range(0, len(_LARGE), 70_001)
            parts = threads.map(lambda offset: reader.read_at(offset, 70_001), offsets)
            assert b"".join(parts) == _LARGE

    def test_closed_reader(self, store: ContentStore) -> None:
        """A closed reader reads nothing; to close it again does nothing."""
        reader = store.reader_at(put(store, HELLO))
        reader.close()
        reader.close()
        with pytest.raises(ValueError, match="closed"):
            reader.read_at(0, 1)
        stream = store.open(DIGEST)
        stream.close()
        with pytest.raises(ValueError, match="closed"):
            stream.read(1)

    def test_delete_leaves_readers_alone(self, store: ContentStore) -> None:
        """Who has opened a blob reads it to its end, even if it is deleted and freed meanwhile."""
        digest = put(store, HELLO)
        with store.open(digest) as stream, store.reader_at(digest) as reader:
            assert stream.read(3) == reader.read_at(0, 3) == HELLO[:3]
            store.delete(digest)
            store.empty_trash()
            assert stream.read() == reader.read_at(3, 100) == HELLO[3:]
            reader.verify()
