"""Chunk tables: files with holes, and files that point into a device by its number.

The chunk size is chosen per file: the largest that cuts the file nowhere but at the ends of its
segments, so that a table is short; and never one that would need a table of more than
`MAX_FILE_CHUNKS` entries. A chunk that no address can name (its stored bytes begin inside a block,
or it is partly hole) is copied into the primary device, holes inside it as zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidLayerError, LimitExceededError
from orlop.fsimage.erofs.format import (
    CHUNK_BITS_MASK,
    CHUNK_ENTRY,
    CHUNK_ENTRY_SIZE,
    CHUNK_INDEXES,
    HOLE,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_FILE_CHUNKS: Final = 1 << 20
"""Entries in the chunk table of one file."""
_HOLE_ENTRY: Final = CHUNK_ENTRY.pack(0, 0, HOLE)

_pack = CHUNK_ENTRY.pack


class ChunkMap:
    """How a file is cut into chunks, before any address is known.

    Attributes:
        bits: log2 of the chunk size in bytes.
        count: How many chunks.
        runs: Chunks that lie in the device as they are: first chunk, count, offset in the device.
        copied: Chunks that are copied into the primary device: first chunk, count.
    """

    __slots__ = ("bits", "copied", "count", "runs")

    def __init__(self, bits: int, size: int) -> None:
        self.bits = bits
        self.count = -(-size >> bits)
        self.runs: list[tuple[int, int, int]] = []
        self.copied: list[tuple[int, int]] = []

    def copied_ranges(self, size: int) -> Iterator[tuple[int, int]]:
        """Start and end, in the file of `size` bytes, of what is copied."""
        for first, count in self.copied:
            yield first << self.bits, min(first + count << self.bits, size)

    def copied_blocks(self, size: int, block_bits: int) -> int:
        """How many blocks the copied chunks take; only the last chunk of a file may be short."""
        return sum(-(start - end >> block_bits) for start, end in self.copied_ranges(size))

    def _copy(self, first: int, end: int) -> None:
        if self.copied and sum(self.copied[-1]) >= first:
            first, _ = self.copied.pop()
        if first < end:
            self.copied.append((first, end - first))

    def copy(self, start: int, end: int) -> None:
        """Have the chunks copied that the segment from `start` to `end` of the file lies in."""
        self._copy(start >> self.bits, end + (1 << self.bits) - 1 >> self.bits)

    def add(
        self, start: int, end: int, offset: int, size: int, *, block_size: int, capacity: int
    ) -> None:
        """Place the segment from `start` to `end` of the file, stored at `offset`.

        Args:
            start: Where the segment begins in the file.
            end: Where it ends in the file.
            offset: Where its bytes begin in the device.
            size: The size of the file; a segment may end there inside a chunk.
            block_size: What addresses are multiples of.
            capacity: Bytes of the device that can be addressed.
        """
        mask = (1 << self.bits) - 1
        first = start + mask >> self.bits
        last = self.count if end == size else end >> self.bits
        address = offset + (first << self.bits) - start
        if end == size and offset + end - start > capacity:
            last -= 1  # its last block is cut off by the end of the device
        if first >= last or address % block_size:
            self.copy(start, end)
            return
        if start & mask:
            self._copy(first - 1, first)
        self.runs.append((first, last - first, address))
        self._copy(last, end + mask >> self.bits)

    def table(self, device: int, copied_at: int, block_bits: int) -> bytes:
        """The chunk table, with the copied chunks from block `copied_at` of the primary on."""
        table = bytearray(_HOLE_ENTRY * self.count)
        step = 1 << self.bits - block_bits
        for first, count, offset in self.runs:
            _fill(table, first, count, device, offset >> block_bits, step)
        for first, count in self.copied:
            _fill(table, first, count, 0, copied_at, step)
            copied_at += count * step
        return bytes(table)

    def format(self, block_bits: int) -> int:
        """The field of the inode that says how it is cut."""
        return self.bits - block_bits | CHUNK_INDEXES


def _fill(table: bytearray, first: int, count: int, device: int, block: int, step: int) -> None:
    entries = b"".join(_pack(0, device, block + i * step) for i in range(count))
    table[first * CHUNK_ENTRY_SIZE : (first + count) * CHUNK_ENTRY_SIZE] = entries


def map_chunks(
    segments: Sequence[tuple[int, int]],
    size: int,
    offset: int,
    block_bits: int,
    capacity: int = 0,
    *,
    copy: bool = False,
) -> ChunkMap:
    """Cut a file into chunks.

    Args:
        segments: Start and length of what is stored, as in `Node.segments`.
        size: The size of the file, more than 0.
        offset: Where the stored bytes begin in the device.
        block_bits: log2 of the block size.
        capacity: Bytes of the device in whole blocks.
        copy: Whether all that is stored is copied, whatever could be addressed.

    Raises:
        InvalidLayerError: The segments overlap, are not ascending, or leave the file.
        LimitExceededError: The file is too large for any table.
    """
    extents = list(checked_segments(segments, size))
    chunks = ChunkMap(_chunk_bits(extents, size, block_bits), size)
    for start, end in extents:
        if copy:
            chunks.copy(start, end)
        else:
            chunks.add(start, end, offset, size, block_size=1 << block_bits, capacity=capacity)
        offset += end - start
    return chunks


def checked_segments(segments: Sequence[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """Start and end of each segment, those that touch as one.

    Raises:
        InvalidLayerError: The segments overlap, are not ascending, or leave the file.
    """
    last_start = last_end = 0
    for start, length in segments:
        if start < last_end or length < 0 or start + length > size:
            raise InvalidLayerError(f"the segment of {length} bytes at {start} is out of place")
        if start > last_end:
            if last_end > last_start:
                yield last_start, last_end
            last_start = start
        last_end = start + length
    if last_end > last_start:
        yield last_start, last_end


def _chunk_bits(extents: Sequence[tuple[int, int]], size: int, block_bits: int) -> int:
    cuts = 0
    for start, end in extents:
        cuts |= start if end == size else start | end
    whole = (size - 1).bit_length()
    bits = min((cuts & -cuts).bit_length() - 1, whole) if cuts else whole
    smallest = (-(-size // MAX_FILE_CHUNKS) - 1).bit_length()
    bits = max(bits, smallest, block_bits)
    largest = block_bits + CHUNK_BITS_MASK
    if smallest > largest:
        raise LimitExceededError(
            f"a sparse file of {size} bytes", limit="MAX_FILE_CHUNKS", value=MAX_FILE_CHUNKS
        )
    return min(bits, largest)
