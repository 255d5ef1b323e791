"""Where compressed content lies: the index of an inode, read and verified. See `compressed`.

Other writers let extents begin inside a block of the file, `clusterofs` bytes after its start, and
end the index with an extent that begins where the file ends; see also `compacted`. They have a
second kind of extents with an algorithm of its own, 3, and leave out `delta` where a chain of
smaller steps leads back.

Spec: Linux, fs/erofs/erofs_fs.h, `struct z_erofs_map_header` and `z_erofs_lcluster_index`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from orlop.errors import InvalidImageError, LimitExceededError, UnsupportedError
from orlop.fsimage.erofs.addresses import Extent, Packed, resolve
from orlop.fsimage.erofs.compacted import Packs, divide, iter_entries
from orlop.fsimage.erofs.compressed import (
    BIG_PCLUSTERS,
    BLOCK_COUNT,
    ENTRY,
    ENTRY_SIZE,
    GOES_ON,
    HEADER,
    STORED,
)
from orlop.fsimage.erofs.format import INCOMPAT_COMPR_CFGS, INCOMPAT_LZ4_0PADDING, Layout
from orlop.fsimage.erofs.unpack import ALGORITHMS, LZ4
from orlop.tree.node import S_IFREG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.fsimage.erofs.access import Metadata
    from orlop.fsimage.erofs.inode import Inode
    from orlop.fsimage.erofs.superblock import Superblock

MAX_UNPACKED: Final = 12 << 20
"""Bytes of one extent of compressed content; Linux reads no longer ones."""
MAX_PACKED: Final = 1 << 20
"""Bytes of the blocks that one compressed extent takes; Linux reads no longer ones."""
_BEGINS_OTHER: Final = 3
_BIG_OTHER: Final = 0x4
_LARGE_PACKS: Final = 0x1  # of a compacted index
_KNOWN: Final = _LARGE_PACKS | BIG_PCLUSTERS | _BIG_OTHER
_HEADED: Final = INCOMPAT_COMPR_CFGS | 0x30  # features without which there is no header
_KIND: Final = 0x3
_COMPACTED_BITS: Final = 12
HEADER_USED: Final = 8
_ZEROS: Final = bytes(HEADER.size - HEADER_USED)
_PIECE: Final = 1 << 13


class ClusterIndex(NamedTuple):
    """The index of a compressed inode.

    Attributes:
        header: Where the header begins, in bytes.
        table: Where the entries begin, in bytes.
        end: Where they end, in bytes.
        algorithms: Of extents of the first and of the second kind.
        big: Of either kind, whether its extents may take more than one block.
        packs: How the entries are compacted, None if they are not.
    """

    header: int
    table: int
    end: int
    algorithms: tuple[int, int]
    big: tuple[bool, bool]
    packs: Packs | None


class _Head(NamedTuple):
    number: int  # of the entry
    start: int
    kind: int
    block: int


def read_cluster_index(inode: Inode, superblock: Superblock, meta: Metadata) -> ClusterIndex:
    """Where the index of a compressed inode lies, and what its header says.

    Raises:
        InvalidImageError: It is not in the image.
        UnsupportedError: The inode is compressed in a way that is not known here.
    """
    where = f"inode {inode.nid}"
    if inode.type != S_IFREG:
        raise UnsupportedError(f"{where} is compressed, and no regular file")
    compacted = inode.layout == Layout.COMPRESSED_COMPACT
    header = inode.end + -inode.end % ENTRY_SIZE
    advise = algorithms = bits = 0
    if compacted or superblock.incompat & _HEADED:
        _, advise, algorithms, bits = HEADER.unpack(meta(header, HEADER_USED) + _ZEROS)
    if advise & ~_KNOWN or bits:
        raise UnsupportedError(f"{where} is compressed in an unknown way ({advise:#x}, {bits:#x})")
    if compacted and superblock.block_bits != _COMPACTED_BITS:
        raise UnsupportedError(f"{where} has a compacted index of small blocks")
    big = bool(advise & BIG_PCLUSTERS), bool(advise & _BIG_OTHER)
    if compacted and any(big) and not all(big[: 1 + bool(algorithms >> 4)]):
        raise UnsupportedError(f"{where} is compressed in an unknown way ({advise:#x})")
    count = -(-inode.size >> superblock.block_bits)
    table = header + (HEADER_USED if compacted else HEADER.size)
    packs = divide(table, count, large=bool(advise & _LARGE_PACKS)) if compacted else None
    end = table + (ENTRY_SIZE * count if packs is None else packs.size)
    if end > superblock.size:
        raise InvalidImageError("the index of extents leaves the image", where=where)
    return ClusterIndex(header, table, end, (algorithms & 15, algorithms >> 4), big, packs)


def iter_clusters(inode: Inode, superblock: Superblock, meta: Metadata) -> Iterator[Extent]:
    """The extents of a compressed inode, ascending and without gaps.

    Raises:
        InvalidImageError: The index contradicts itself or leads out of the image.
        LimitExceededError: An extent is longer than `MAX_UNPACKED` or `MAX_PACKED`.
        UnsupportedError: The inode is compressed in a way that is not known here.
    """
    return _Clusters(inode, superblock, read_cluster_index(inode, superblock, meta)).iterate(meta)


class _Clusters:
    """One walk through the index of an inode."""

    def __init__(self, inode: Inode, superblock: Superblock, index: ClusterIndex) -> None:
        self._inode = inode
        self._superblock = superblock
        self._index = index

    def iterate(self, meta: Metadata) -> Iterator[Extent]:
        bits, size = self._superblock.block_bits, self._inode.size
        head: _Head | None = None
        blocks = 1
        for number, (advise, offset, value) in enumerate(self._entries(meta)):
            kind = advise & _KIND
            if kind == GOES_ON:
                self._require(head, "it goes on with an extent that has not begun")
                assert head is not None
                blocks = self._follow(head, number - head.number, value & 0xFFFF) or blocks
                continue
            start = (number << bits) + offset
            self._require(not offset >> bits, "an extent begins outside its block")
            if head is None:
                self._require(not start, "nothing begins where the file begins")
            else:
                yield self._extent(head, min(start, size), blocks)
            if start >= size:
                return
            head, blocks = _Head(number, start, kind, value), 1
        assert head is not None, "a file that is not empty has an entry"
        yield self._extent(head, size, blocks)

    def _entries(self, meta: Metadata) -> Iterator[tuple[int, int, int]]:
        start, end, packs = self._index.table, self._index.end, self._index.packs
        if packs is not None:
            yield from iter_entries(meta, start, packs, big=self._index.big[0])
            return
        for offset in range(start, end, _PIECE):
            yield from ENTRY.iter_unpack(meta(offset, min(_PIECE, end - offset)))

    def _follow(self, head: _Head, distance: int, back: int) -> int:
        """Check an entry so far behind its head; how many blocks it says there are, or 0."""
        big = head.kind != STORED and self._index.big[head.kind == _BEGINS_OTHER]
        if distance == 1 and big:
            self._require(back > BLOCK_COUNT, "an extent has no number of blocks")
            return back - BLOCK_COUNT
        self._require(0 < back <= distance, f"it leads {back} blocks back, not {distance}")
        return 0

    def _extent(self, head: _Head, end: int, blocks: int) -> Extent:
        superblock, size = self._superblock, end - head.start
        if head.kind == STORED:
            self._require(size <= superblock.block_size, "more is stored than a block takes")
            return resolve(superblock, self._inode, head.start, size, head.block)
        packed = blocks << superblock.block_bits
        self._require(
            blocks <= -(-size >> superblock.block_bits), f"{blocks} blocks are for {size} bytes"
        )
        self._limit(size, "MAX_UNPACKED", MAX_UNPACKED)
        self._limit(packed, "MAX_PACKED", MAX_PACKED)
        algorithm = self._index.algorithms[head.kind == _BEGINS_OTHER]
        self._require(superblock.algorithms >> algorithm & 1, "its algorithm is not announced")
        if algorithm not in ALGORITHMS:
            raise UnsupportedError(
                f"inode {self._inode.nid} is compressed with the algorithm {algorithm}"
            )
        padded = algorithm != LZ4 or bool(superblock.incompat & INCOMPAT_LZ4_0PADDING)
        place = resolve(superblock, self._inode, head.start, packed, head.block)
        padding = superblock.block_size - 1 if padded else 0
        return place._replace(size=size, packed=Packed(packed, algorithm, padding))

    def _require(self, condition: object, message: str) -> None:
        if not condition:
            raise InvalidImageError(
                f"its index of extents is broken: {message}", where=f"inode {self._inode.nid}"
            )

    def _limit(self, value: int, name: str, limit: int) -> None:
        if value > limit:
            raise LimitExceededError(
                f"an extent of inode {self._inode.nid} has {value} bytes", limit=name, value=limit
            )
