"""Checking an EROFS image's device table against the files at hand, before the kernel sees them.

The kernel mounts truncated devices, and a flat image without its devices, and fails at reading.

    offset in the superblock (at byte 1024), size, meaning
    0    u32  magic 0xE0F5E1E2
    12   u8   blkszbits: log2 of the block size
    80   u32  feature_incompat: 0x8 device table
    86   u16  extra_devices
    88   u16  devt_slotoff: where the table is, in units of 128 bytes

    offset in a slot of 128 bytes
    0    64   tag
    64   u32  blocks_lo
    72   u16  blocks_hi
"""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError, SizeMismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop._sys.handle import HasFileno
    from orlop.drivers.mounts import Place

SUPERBLOCK_OFFSET: Final = 1024
SUPERBLOCK_SIZE: Final = 128
MAGIC: Final = 0xE0F5E1E2

_SLOT: Final = struct.Struct("<64sIIH54x")
_DEVICE_TABLE: Final = 0x8
_BLOCK_BITS: Final = range(9, 17)


def check_devices(
    index: Place, image: HasFileno, devices: Sequence[tuple[Place, HasFileno]]
) -> None:
    """Accept an image whose device table fits the devices.

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
    if not stat.S_ISREG(os.fstat(image.fileno()).st_mode):
        raise InvalidImageError("no regular file", where=where)
    block = os.pread(image.fileno(), SUPERBLOCK_SIZE, SUPERBLOCK_OFFSET)
    if len(block) < SUPERBLOCK_SIZE or int.from_bytes(block[:4], "little") != MAGIC:
        raise InvalidImageError("no EROFS superblock", where=where)
    bits = block[12]
    if bits not in _BLOCK_BITS:
        raise InvalidImageError(f"block size of 2**{bits} bytes", where=where)
    features, count, slot = struct.unpack_from("<I2xHH", block, 80)
    count = count if features & _DEVICE_TABLE else 0
    if count != len(devices):
        raise InvalidImageError(f"has {count} devices, {len(devices)} are given", where=where)
    table = os.pread(image.fileno(), _SLOT.size * count, slot * _SLOT.size)
    if len(table) < _SLOT.size * count:
        raise InvalidImageError("the device table is cut short", where=where)
    for (path, file), fields in zip(devices, _SLOT.iter_unpack(table), strict=True):
        _, blocks_low, _, blocks_high = fields
        _check_size(path, file, blocks_high << 32 | blocks_low, bits)


def _check_size(path: Place, file: HasFileno, blocks: int, bits: int) -> None:
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise InvalidImageError("no regular file", where=os.fspath(path))
    # The last block of a device need not be whole.
    if found.st_size <= (blocks - 1) << bits:
        raise SizeMismatchError(
            f"device {os.fspath(path)} is cut short",
            expected=f"{blocks} blocks of {1 << bits} bytes",
            actual=f"{found.st_size} bytes",
        )
