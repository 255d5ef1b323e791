"""The dm-verity tree of a disk: behind the filesystem, or in a file of its own."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from orlop.fsimage.verity import DmVerity, DmVerityHasher, DmVerityOptions, read_dm_verity
from orlop.fsimage.verity.dm import BLOCK_SIZES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orlop.disks.options import DiskOptions
    from orlop.disks.target import DiskTarget

_PIECE: Final = 1 << 20
_BLOCK: Final = 4096
_MAGIC: Final = b"verity\0\0"
_ANY_UUID: Final = b"u" * 16


def write_hash_tree(
    target: DiskTarget, tree: DiskTarget | None, options: DiskOptions, uuid: bytes
) -> DmVerity:
    """Hash what a disk has so far, and write the tree.

    Args:
        target: The disk, whole but for the tree.
        tree: Where the tree goes; behind the filesystem where None.
        options: The filesystem's; blocks are not larger than its own, which its kernel reads.
        uuid: The 16 bytes that name the tree.

    Raises:
        LimitExceededError: The tree is larger than memory may be, or than the device.
        OSError: The disk could not be read or written.
    """
    target.skip(-target.size % _BLOCK)
    block = min(options.bytes_of_block, _BLOCK)
    hasher = DmVerityHasher(
        DmVerityOptions(uuid=uuid, salt=options.salt, data_block_size=block, hash_block_size=block)
    )
    for at in range(0, target.size, _PIECE):
        wanted = min(_PIECE, target.size - at)
        piece = os.pread(target.fd, wanted, at)
        hasher.write(piece)
        hasher.skip(wanted - len(piece))  # a hole at the end of a file
    verity = hasher.finish(hash_offset=None if tree is None else 0)
    if tree is None:
        target.skip(verity.hash_offset - target.size)
    hasher.write_tree(verity, tree or target)
    return verity


def find_hash_tree(path: Path) -> DmVerity | None:
    """The hash tree behind the filesystem of a disk that was written here; None without one.

    The root hash is that of the tree as it is: it proves nothing against whoever could change it.

    Raises:
        InvalidImageError: There is one, and it contradicts itself.
        OSError: The disk cannot be read.
    """
    with open(path, "rb") as disk:

        def read(offset: int, size: int) -> bytes:
            return os.pread(disk.fileno(), size, offset)

        size = os.fstat(disk.fileno()).st_size
        for block in BLOCK_SIZES:
            offset = _tree_of(size, block)
            if offset is not None and read(offset, len(_MAGIC)) == _MAGIC:
                return _read_tree(read, offset, block)
    return None


def _tree_of(size: int, block: int) -> int | None:
    """Where the tree begins on a disk of this size with such blocks, if it has one."""
    low, high = 1, size // block
    while low < high:
        blocks = (low + high) // 2
        low, high = (blocks + 1, high) if _whole(blocks, block) < size else (low, blocks)
    return low * block if _whole(low, block) == size else None


def _whole(blocks: int, block: int) -> int:
    """Bytes of a disk that has so many blocks of data, and their tree."""
    options = DmVerityOptions(uuid=_ANY_UUID, data_block_size=block, hash_block_size=block)
    found = DmVerity(
        options=options, root_hash=bytes(32), data_blocks=blocks, hash_offset=blocks * block
    )
    return found.hash_offset + found.tree_size


def _read_tree(read: Callable[[int, int], bytes], offset: int, block: int) -> DmVerity:
    found = read_dm_verity(read, bytes(32), hash_offset=offset)
    at = 0 if found.data_blocks == 1 else found.hash_start_block * block
    hashing = found.options.tree_hash() if found.level_blocks else found.options.data_hash()
    return replace(found, root_hash=bytes(hashing.digests(read(at, block))))
