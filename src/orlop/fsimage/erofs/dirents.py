"""Blocks of directory entries, between bytes and names.

Spec: Linux, fs/erofs/erofs_fs.h, `struct erofs_dirent`; fs/erofs/namei.c looks names up by
binary search, over the first names of blocks and then inside a block.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from orlop.errors import InvalidImageError
from orlop.fsimage.erofs.format import DIRENT, DIRENT_SIZE
from orlop.fsimage.names import MAX_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_pack = DIRENT.pack


class Dirent(NamedTuple):
    """One name in a directory.

    Attributes:
        name: The name.
        nid: The number of its inode.
        ftype: The type of its inode, as `format.FTYPE_TO_TYPE` knows it.
    """

    name: bytes
    nid: int
    ftype: int


def split_names(names: Sequence[bytes], block_size: int) -> tuple[list[int], int]:
    """Fill blocks with sorted names: where each block ends in `names`, and the directory's size."""
    whole = DIRENT_SIZE * len(names) + sum(map(len, names))
    if whole <= block_size:
        return [len(names)], whole
    ends: list[int] = []
    used = 0
    for position, name in enumerate(names):
        length = DIRENT_SIZE + len(name)
        used += length
        if used > block_size:
            ends.append(position)
            used = length
    size = len(ends) * block_size + used
    ends.append(len(names))
    return ends, size


def encode_block(names: Sequence[bytes], nids: Iterable[int], ftypes: Iterable[int]) -> bytes:
    """One block of entries, without padding."""
    offsets = accumulate(map(len, names), initial=DIRENT_SIZE * len(names))
    return b"".join([*map(_pack, nids, offsets, ftypes), *names])


def decode_block(block: bytes) -> list[Dirent]:
    """The entries of one block, in the order that they are in.

    Raises:
        InvalidImageError: The block breaks the format.
    """
    count = block_count(block)
    entries = list(DIRENT.iter_unpack(block[: count * DIRENT_SIZE]))
    starts = [offset for _, offset, _ in entries]
    ends = [*starts[1:], len(block)]
    return [
        Dirent(_name(block, start, end, count, position + 1 == count), nid, ftype)
        for position, ((nid, start, ftype), end) in enumerate(zip(entries, ends, strict=True))
    ]


def block_count(block: bytes) -> int:
    """How many entries a block has, as the offset of its first name says.

    Raises:
        InvalidImageError: The offset cannot be one.
    """
    if len(block) < DIRENT_SIZE:
        raise InvalidImageError(f"a directory block of {len(block)} bytes")
    _, first, _ = DIRENT.unpack_from(block)
    if first < DIRENT_SIZE or first % DIRENT_SIZE or first >= len(block):
        raise InvalidImageError(f"a directory block whose names begin at {first}")
    return int(first) // DIRENT_SIZE


def first_name(block: bytes) -> bytes:
    """The first name in a block.

    Raises:
        InvalidImageError: The block breaks the format.
    """
    count = block_count(block)
    _, start, _ = DIRENT.unpack_from(block)
    end = len(block) if count == 1 else DIRENT.unpack_from(block, DIRENT_SIZE)[1]
    return _name(block, start, end, count, count == 1)


def _name(block: bytes, start: int, end: int, count: int, last: bool) -> bytes:
    if not count * DIRENT_SIZE <= start < end <= len(block):
        raise InvalidImageError(f"a name from {start} to {end} in a block of {len(block)} bytes")
    name = block[start:end]
    if last:
        name = name.partition(b"\0")[0]
    if not 0 < len(name) <= MAX_NAME or b"/" in name or b"\0" in name:
        raise InvalidImageError(f"{name[: MAX_NAME + 1]!r} is no name")
    return name
