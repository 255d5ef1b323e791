"""Extents: where the blocks of a file lie.

A node of the tree is a header and entries of 12 bytes; the root, with up to 4 entries, is in the
inode, the others, with up to 340, have blocks of their own:

    0      u16     magic                0xF30A
    2      u16[3]  entries, max, depth  depth 0: the entries are extents
    8      u32     generation           0
           an extent:
    0      u32     block                the first in the file
    4      u16     len                  up to 32768
    6      u16     start_hi
    8      u32     start_lo             the first in the filesystem
           an index:
    0      u32     block                the first that the node below covers
    4      u32     leaf_lo              where that node lies
    8      u16[2]  leaf_hi, unused

Spec: Linux, Documentation/filesystems/ext4/ifork.rst, "Extent Tree".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeAlias

from orlop.fsimage.ext4.format import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Extent: TypeAlias = tuple[int, int, int]
"""First block in the file, first block in the filesystem, how many."""

MAX_LENGTH: Final = 32768
_HEADER: Final = struct.Struct("<4HI")
_EXTENT: Final = struct.Struct("<IHHI")
_INDEX: Final = struct.Struct("<IIHH")
_MAGIC: Final = 0xF30A
_IN_INODE: Final = 4
_IN_BLOCK: Final = (BLOCK - _HEADER.size) // _EXTENT.size


def tree_size(count: int) -> int:
    """How many blocks the tree of so many extents has outside the inode."""
    total = 0
    while count > _IN_INODE:
        count = -(-count // _IN_BLOCK)
        total += count
    return total


def split_run(logical: int, runs: Iterable[tuple[int, int]]) -> list[Extent]:
    """Extents for blocks of a file from `logical` on that lie in these runs (start, length)."""
    extents = []
    for start, length in runs:
        for done in range(0, length, MAX_LENGTH):
            part = min(length - done, MAX_LENGTH)
            extents.append((logical + done, start + done, part))
        logical += length
    return extents


def encode_one(start: int, length: int) -> bytes:
    """The root of a tree of at most one extent, as it is in the inode."""
    if not length:
        return _HEADER.pack(_MAGIC, 0, _IN_INODE, 0, 0)
    return _HEADER.pack(_MAGIC, 1, _IN_INODE, 0, 0) + _EXTENT.pack(0, length, 0, start)


def encode_tree(extents: Sequence[Extent], blocks: Sequence[int]) -> tuple[bytes, list[bytes]]:
    """The root of a tree, as it is in the inode, and what is in its blocks.

    Args:
        extents: All extents, ascending.
        blocks: Where the blocks of the tree lie, as many as `tree_size` says.
    """
    entries = [_EXTENT.pack(logical, length, 0, start) for logical, start, length in extents]
    firsts = [logical for logical, _, _ in extents]
    nodes: list[bytes] = []
    depth = 0
    while len(entries) > _IN_INODE:
        cuts = range(0, len(entries), _IN_BLOCK)
        first_block = len(nodes)
        nodes += [_node(entries[cut : cut + _IN_BLOCK], _IN_BLOCK, depth) for cut in cuts]
        firsts = [firsts[cut] for cut in cuts]
        entries = [
            _INDEX.pack(first, block, 0, 0)
            for first, block in zip(firsts, blocks[first_block : len(nodes)], strict=True)
        ]
        depth += 1
    return _node(entries, _IN_INODE, depth), nodes


def _node(entries: Sequence[bytes], most: int, depth: int) -> bytes:
    return _HEADER.pack(_MAGIC, len(entries), most, depth, 0) + b"".join(entries)
