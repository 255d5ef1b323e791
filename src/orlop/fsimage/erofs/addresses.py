"""Ranges of files, and the addresses where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orlop.errors import InvalidImageError
from orlop.fsimage.erofs.format import MAX_BLOCKS

if TYPE_CHECKING:
    from orlop.fsimage.erofs.inode import Inode
    from orlop.fsimage.erofs.superblock import Superblock


class Packed(NamedTuple):
    """How an extent is compressed.

    Attributes:
        size: Bytes of the blocks that it takes.
        algorithm: Its number in images.
        padding: How many zeros come before it at most; 0 where what is left of its blocks is
            behind it.
    """

    size: int
    algorithm: int
    padding: int


class Extent(NamedTuple):
    """A range of a file that lies in one piece.

    Attributes:
        start: Offset in the file.
        size: Bytes.
        device: 0 for the image, n for the n-th device, None for a hole.
        offset: Offset in the device.
        packed: How it is compressed, None for what lies there as it is.
    """

    start: int
    size: int
    device: int | None
    offset: int
    packed: Packed | None = None


def resolve(
    superblock: Superblock, inode: Inode, start: int, size: int, block: int, device: int = 0
) -> Extent:
    """The extent at an address: in a numbered device, or in the unified space for device 0.

    Raises:
        InvalidImageError: No device has all of the bytes.
    """
    blocks = -(-size >> superblock.block_bits)
    if device > len(superblock.devices):
        raise InvalidImageError(f"there is no device {device}", where=f"inode {inode.nid}")
    if device:
        # Older mkfs.erofs writes no size; then reading finds the end of the device.
        capacity = superblock.devices[device - 1].blocks or MAX_BLOCKS
    elif block < superblock.blocks:
        capacity = superblock.blocks
    else:
        device, block, capacity = _unified(superblock, block)
    if block + blocks > capacity:
        raise InvalidImageError(
            f"{blocks} blocks from block {block} of device {device}, which has {capacity}",
            where=f"inode {inode.nid}",
        )
    return Extent(start, size, device, block << superblock.block_bits)


def _unified(superblock: Superblock, block: int) -> tuple[int, int, int]:
    for number, slot in enumerate(superblock.devices, 1):
        if slot.base and slot.base <= block < slot.base + slot.blocks:
            return number, block - slot.base, slot.blocks
    return 0, block, superblock.blocks
