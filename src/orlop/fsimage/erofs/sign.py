"""The superblock of an image that is being written."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from orlop.fsimage.erofs.crc32c import checksum_size, superblock_checksum
from orlop.fsimage.erofs.format import (
    CHECKSUM_OFFSET,
    COMPAT_MTIME,
    COMPAT_SB_CHKSUM,
    EPOCH,
    MAGIC,
    SUPERBLOCK,
    SUPERBLOCK_OFFSET,
)

if TYPE_CHECKING:
    from orlop.fsimage.erofs.plan import Plan


def encode_superblock(
    plan: Plan,
    uuid: bytes,
    *,
    incompat: int = 0,
    algorithms: int = 0,
    devices: int = 0,
    slots_at: int = 0,
) -> bytes:
    """The superblock of what a plan has placed, without its checksum.

    Args:
        plan: Where everything is.
        uuid: The 16 bytes that identify the image.
        incompat: The features that readers must know.
        algorithms: A bit for each algorithm that content is compressed with.
        devices: How many devices there are.
        slots_at: Where the device table begins, in slots.
    """
    return SUPERBLOCK.pack(
        MAGIC, 0, COMPAT_SB_CHKSUM | COMPAT_MTIME, plan.block_bits, 0, plan.nids[plan.root],
        len(plan.order), EPOCH, 0, plan.blocks, plan.base_block, 0, uuid, b"", incompat,
        algorithms, devices, slots_at, 0, 0, 0, 0, 0, 0, 0, 0,
    )  # fmt: skip


def sign_superblock(start: bytearray, block_size: int) -> None:
    """Put the checksum into the first bytes of an image, which have all that it covers.

    Args:
        start: The image from its first byte on; what it lacks of the first block is zero.
        block_size: In bytes.
    """
    size = checksum_size(block_size)
    covered = bytes(start[SUPERBLOCK_OFFSET : SUPERBLOCK_OFFSET + size])
    struct.pack_into("<I", start, CHECKSUM_OFFSET, superblock_checksum(covered.ljust(size, b"\0")))
