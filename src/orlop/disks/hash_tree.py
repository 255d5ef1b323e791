"""The dm-verity tree that follows a filesystem on its disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from orlop.fsimage.verity import DmVerityHasher, DmVerityOptions

if TYPE_CHECKING:
    from orlop.disks.options import DiskOptions
    from orlop.disks.target import DiskTarget
    from orlop.fsimage.verity import DmVerity

_PIECE: Final = 1 << 20
_BLOCK: Final = 4096


def append_hash_tree(target: DiskTarget, options: DiskOptions, uuid: bytes) -> DmVerity:
    """Hash what a disk has so far, and write the tree behind it.

    Args:
        target: The disk, whole but for the tree.
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
    verity = hasher.finish()
    target.skip(verity.hash_offset - target.size)
    hasher.write_tree(verity, target)
    return verity
