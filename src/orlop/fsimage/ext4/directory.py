"""Directories: a list of entries in one block, or a tree of blocks that is searched by hashes.

    0      u32     inode                0: none
    4      u16     rec_len              to the next entry; the last reaches to the block's end
    6      u8      name_len
    7      u8      file_type            see `format.TYPES`
    8      u8[…]   name, padded to 4 bytes

A directory of several blocks is a tree (htree). Its block 0 is the root: an entry for `.`, one for
`..` that covers the rest of the block, and in that rest

    24     u32     reserved_zero        0
    28     u8[4]   hash_version, info_length, indirect_levels, unused_flags   1, 8, 0 or 1, 0
    32     u16[2]  limit, count         of the entries of 8 bytes from here on, this one counted
    36     u32     block                in the directory, of the names that hash lowest
    40     u32[2]  hash, block          of the names that hash from there on; and so on

A node of the level between root and leaves is an entry without inode that covers the block, then
the same from byte 8 on. A hash whose lowest bit is set goes on from the block before.

Every block keeps as many bytes free as tune2fs needs to add a checksum: 16 of a list
of entries, 8 of a table.

Spec: Linux, Documentation/filesystems/ext4/directory.rst.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError
from orlop.fsimage.ext4.format import BLOCK
from orlop.fsimage.ext4.names_hash import hash_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_ENTRY: Final = struct.Struct("<IHBB")
_DOTS: Final = 24
_DIRECTORY: Final = 2
_HALF_MD4: Final = 1
_LIST: Final = BLOCK - 16
"""Bytes of entries in a block."""
_ROOT_LIMIT: Final = (BLOCK - _DOTS - 8) // 8
_NODE_LIMIT: Final = (BLOCK - 8) // 8
_ROOT_ENTRIES: Final = _ROOT_LIMIT - 1
_NODE_ENTRIES: Final = _NODE_LIMIT - 1
MAX_LEAVES: Final = _ROOT_ENTRIES * _NODE_ENTRIES
"""Blocks of entries in a directory whose tree has two levels."""


def fits_one_block(names: Sequence[bytes]) -> bool:
    """Whether the entries of a directory with these names fit in one block."""
    return _DOTS + sum((len(name) + 11) & ~3 for name in names) <= _LIST


class Index:
    """The leaves of the tree of a large directory.

    Args:
        names: All names in the directory.
        seed: The seed of their hashes.

    Attributes:
        leaves: The names in each leaf, in the order of their hashes.
        hashes: Where each leaf begins, the lowest bit set where its first name hashes like the
            last of the leaf before.

    Raises:
        LimitExceededError: There are more leaves than two levels can hold.
    """

    __slots__ = ("hashes", "leaves")

    def __init__(self, names: Sequence[bytes], seed: tuple[int, int, int, int]) -> None:
        hashed = sorted((hash_name(name, seed), name) for name in names)
        self.leaves: list[list[bytes]] = []
        self.hashes: list[int] = []
        free, last = 0, -1
        for value, name in hashed:
            size = (len(name) + 11) & ~3
            if size > free:
                free = _LIST
                self.leaves.append([])
                self.hashes.append(value | (value == last))
            free -= size
            self.leaves[-1].append(name)
            last = value
        if len(self.leaves) > MAX_LEAVES:
            raise LimitExceededError(
                f"a directory of {len(names)} entries", limit="MAX_LEAVES", value=MAX_LEAVES
            )

    @property
    def nodes(self) -> int:
        """Blocks of the level between root and leaves."""
        count = len(self.leaves)
        return 0 if count <= _ROOT_ENTRIES else -(-count // _NODE_ENTRIES)

    @property
    def blocks(self) -> int:
        """Blocks of the directory."""
        return 1 + self.nodes + len(self.leaves)

    def iter_blocks(
        self, inode: int, parent: int, find: Callable[[bytes], tuple[int, int]]
    ) -> Iterator[bytes]:
        """The blocks of the directory.

        Args:
            inode: The directory's own number.
            parent: The number of the directory that it is in.
            find: Gives number and type of a name.
        """
        nodes = self.nodes
        first_leaf = 1 + nodes
        pairs = list(zip(self.hashes, range(first_leaf, self.blocks), strict=True))
        cuts = range(0, len(pairs), _NODE_ENTRIES)
        top = [(pairs[cut][0], 1 + number) for number, cut in enumerate(cuts)] if nodes else pairs
        info = struct.pack("<IBBBB", 0, _HALF_MD4, 8, 1 if nodes else 0, 0)
        yield _dots(inode, parent, BLOCK - 12) + info + _table(top, _ROOT_LIMIT)
        if nodes:
            for cut in cuts:
                table = _table(pairs[cut : cut + _NODE_ENTRIES], _NODE_LIMIT)
                yield empty_block()[:8] + table
        for leaf in self.leaves:
            yield _entries(leaf, find, BLOCK)


def _table(pairs: Sequence[tuple[int, int]], limit: int) -> bytes:
    """The entries of a node of the tree, padded to the node's end."""
    (_, first), *others = pairs
    table = struct.pack("<HHI", limit, len(pairs), first)
    table += b"".join(struct.pack("<II", value, block) for value, block in others)
    return table.ljust(limit * 8, b"\0")


def _dots(inode: int, parent: int, rest: int) -> bytes:
    return (
        _ENTRY.pack(inode, 12, 1, _DIRECTORY) + b".\0\0\0"
        + _ENTRY.pack(parent, rest, 2, _DIRECTORY) + b"..\0\0"
    )  # fmt: skip


def encode_list(
    names: Sequence[bytes], inode: int, parent: int, find: Callable[[bytes], tuple[int, int]]
) -> bytes:
    """The one block of a small directory; arguments as of `Index.iter_blocks`."""
    if not names:
        return _dots(inode, parent, BLOCK - 12).ljust(BLOCK, b"\0")
    return _dots(inode, parent, 12) + _entries(names, find, BLOCK - _DOTS)


def _entries(names: Sequence[bytes], find: Callable[[bytes], tuple[int, int]], size: int) -> bytes:
    """Entries that fill so many bytes."""
    block = bytearray()
    start = 0
    for name in names:
        start = len(block)
        inode, kind = find(name)
        length = len(name)
        room = length + 11 & ~3
        block += _ENTRY.pack(inode, room, length, kind)
        block += name.ljust(room - 8, b"\0")
    struct.pack_into("<H", block, start + 4, size - start)
    return bytes(block.ljust(size, b"\0"))


def empty_block() -> bytes:
    """A block of a directory that has no entries in it."""
    return _ENTRY.pack(0, BLOCK, 0, 0).ljust(BLOCK, b"\0")
