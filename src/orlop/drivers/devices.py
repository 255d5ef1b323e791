"""Checking an EROFS image's device table against the files at hand, before the kernel sees them.

The kernel mounts devices that are cut short, and a flat image without its devices, and fails when
their files are read.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from orlop.errors import InvalidImageError, SizeMismatchError
from orlop.fsimage.erofs.format import (
    DEVICE_SLOT,
    INCOMPAT_DEVICE_TABLE,
    MAGIC,
    MAX_BLOCK_BITS,
    MIN_BLOCK_BITS,
    SLOT_SIZE,
    SUPERBLOCK,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop._sys.handle import HasFileno
    from orlop.drivers.mounts import Place


def check_devices(
    index: Place, image: HasFileno, devices: Sequence[tuple[Place, HasFileno]]
) -> None:
    """Accept an image whose device table fits the devices.

    Features of the image are left to the kernel, which knows more of them than orlop reads.

    Args:
        index: The image's path, for messages.
        image: The image, open for reading.
        devices: Path and open file of each device, in the table's order.

    Raises:
        InvalidImageError: It is no EROFS image, or has another number of devices.
        SizeMismatchError: A device is shorter than its slot says.
        OSError: Reading failed.
    """
    where = os.fspath(index)
    _check_regular(index, image)
    block_bits, slots = _read_slots(where, image)
    if len(slots) != len(devices):
        raise InvalidImageError(
            f"the image has {len(slots)} devices, {len(devices)} are given", where=where
        )
    for (path, file), blocks in zip(devices, slots, strict=True):
        found = _check_regular(path, file)
        if found < blocks << block_bits:
            raise SizeMismatchError(
                f"device {os.fspath(path)} is cut short",
                expected=blocks << block_bits,
                actual=found,
            )


def _read_slots(where: str, image: HasFileno) -> tuple[int, list[int]]:
    """The block size as a power of two, and the size of each device in blocks."""
    raw = os.pread(image.fileno(), SUPERBLOCK_SIZE, SUPERBLOCK_OFFSET)
    if len(raw) < SUPERBLOCK_SIZE:
        raise InvalidImageError("too short for an EROFS image", where=where)
    fields = SUPERBLOCK.unpack(raw)
    magic, block_bits, features, count, start = (fields[i] for i in (0, 3, 14, 16, 17))
    if magic != MAGIC:
        raise InvalidImageError("no EROFS image", where=where)
    if not MIN_BLOCK_BITS <= block_bits <= MAX_BLOCK_BITS:
        raise InvalidImageError(f"blocks of 2**{block_bits} bytes", where=where)
    if not features & INCOMPAT_DEVICE_TABLE:
        return block_bits, []
    table = os.pread(image.fileno(), count * SLOT_SIZE, start * SLOT_SIZE)
    if len(table) < count * SLOT_SIZE:
        raise InvalidImageError("the device table is cut short", where=where)
    return block_bits, [high << 32 | low for _, low, _, high, _ in DEVICE_SLOT.iter_unpack(table)]


def _check_regular(path: Place, file: HasFileno) -> int:
    """The size of an open file that is a regular one."""
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise InvalidImageError("no regular file", where=os.fspath(path))
    return found.st_size
