"""Where the data of an inode lies: its layout turned into ranges of devices."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError, UnsupportedError
from orlop.fsimage.erofs.addresses import Extent, resolve
from orlop.fsimage.erofs.clusters import iter_clusters
from orlop.fsimage.erofs.format import (
    CHUNK_BITS_MASK,
    CHUNK_ENTRY,
    CHUNK_ENTRY_SIZE,
    CHUNK_INDEXES,
    HOLE,
    Layout,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.fsimage.erofs.access import Metadata
    from orlop.fsimage.erofs.inode import Inode
    from orlop.fsimage.erofs.superblock import Superblock

_TABLE_PIECE: Final = 1 << 10
_MAP_ENTRY: Final = Struct("<I")
_HOLE_ENTRY: Final = CHUNK_ENTRY.pack(0, 0, HOLE)
_HOLE_BLOCK: Final = _MAP_ENTRY.pack(HOLE)


def iter_extents(inode: Inode, superblock: Superblock, meta: Metadata) -> Iterator[Extent]:
    """The extents of an inode, ascending and without gaps; those that touch are joined.

    Raises:
        InvalidImageError: Data is said to lie where its device has none.
        UnsupportedError: The data is compressed in a way that is not known here.
    """
    last: Extent | None = None
    for extent in _iter_pieces(inode, superblock, meta):
        if last is not None and _joins(last, extent):
            last = last._replace(size=last.size + extent.size)
            continue
        if last is not None:
            yield last
        last = extent
    if last is not None:
        yield last


def _joins(last: Extent, extent: Extent) -> bool:
    if last.packed is not None or extent.packed is not None:
        return False
    return last.device == extent.device and (
        last.device is None or last.offset + last.size == extent.offset
    )


def _iter_pieces(inode: Inode, superblock: Superblock, meta: Metadata) -> Iterator[Extent]:
    if not inode.size:
        return
    if inode.layout == Layout.CHUNK_BASED:
        yield from _iter_chunks(inode, superblock, meta)
    elif inode.layout == Layout.FLAT_INLINE:
        yield from _iter_inline(inode, superblock)
    elif inode.layout == Layout.FLAT_PLAIN:
        yield resolve(superblock, inode, 0, inode.size, inode.union)
    else:
        yield from iter_clusters(inode, superblock, meta)


def _iter_inline(inode: Inode, superblock: Superblock) -> Iterator[Extent]:
    tail = inode.size % superblock.block_size
    whole = inode.size - tail
    if whole:
        yield resolve(superblock, inode, 0, whole, inode.union)
    if tail:
        first, last = inode.end, inode.end + tail - 1
        if (first ^ last) >> superblock.block_bits or last >= superblock.size:
            raise InvalidImageError("inline data crosses a block", where=f"inode {inode.nid}")
        yield Extent(whole, tail, 0, first)


def chunk_table(inode: Inode, superblock: Superblock) -> tuple[int, int, int, int]:
    """Of a chunk-based inode: log2 of the chunk size, where the table begins, entries, their size.

    Raises:
        InvalidImageError: The table is not in the image.
        UnsupportedError: Its format is not known.
    """
    form = inode.union
    if form & ~(CHUNK_BITS_MASK | CHUNK_INDEXES):
        raise UnsupportedError(f"inode {inode.nid} has the unknown chunk format {form:#x}")
    bits = (form & CHUNK_BITS_MASK) + superblock.block_bits
    width = CHUNK_ENTRY_SIZE if form & CHUNK_INDEXES else _MAP_ENTRY.size
    start = inode.end + -inode.end % width
    count = -(-inode.size >> bits)
    if start + count * width > superblock.size:
        raise InvalidImageError("the chunk table leaves the image", where=f"inode {inode.nid}")
    return bits, start, count, width


def _iter_chunks(inode: Inode, superblock: Superblock, meta: Metadata) -> Iterator[Extent]:
    bits, table, count, width = chunk_table(inode, superblock)
    start = 0
    for chunks, device, block in _iter_table(meta, table, count, width):
        size = min(chunks << bits, inode.size - start)
        if block == HOLE:
            yield Extent(start, size, None, 0)
        else:
            yield resolve(superblock, inode, start, size, block, device)
        start += size


def _iter_table(
    meta: Metadata, start: int, count: int, width: int
) -> Iterator[tuple[int, int, int]]:
    """Chunks, device and block of each entry; many holes in a row come as one."""
    end = start + count * width
    for offset in range(start, end, _TABLE_PIECE):
        piece = meta(offset, min(_TABLE_PIECE, end - offset))
        if piece == (_HOLE_ENTRY if width == CHUNK_ENTRY_SIZE else _HOLE_BLOCK) * (
            len(piece) // width
        ):
            yield len(piece) // width, 0, HOLE
        elif width == CHUNK_ENTRY_SIZE:
            for _, device, block in CHUNK_ENTRY.iter_unpack(piece):
                yield 1, device, block
        else:
            for (block,) in _MAP_ENTRY.iter_unpack(piece):
                yield 1, 0, block
