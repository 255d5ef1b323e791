"""The checksum of the superblock.

Spec: Linux, fs/erofs/super.c: CRC-32C (Castagnoli), started with all ones, not inverted at the end.
"""

from __future__ import annotations

from typing import Final

from orlop.fsimage.erofs.format import SUPERBLOCK_OFFSET

_POLYNOMIAL: Final = 0x82F63B78  # reflected


def _shifted(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE: Final = tuple(map(_shifted, range(256)))


def crc32c(data: bytes | bytearray | memoryview, state: int = 0xFFFFFFFF) -> int:
    """The register after `data`, without the inversion that other users of CRC-32C end with."""
    for byte in data:
        state = _TABLE[(state ^ byte) & 0xFF] ^ state >> 8
    return state


def checksum_size(block_size: int) -> int:
    """How many bytes from byte 1024 the checksum covers: the rest of the block, at least one."""
    return block_size - SUPERBLOCK_OFFSET if block_size > SUPERBLOCK_OFFSET else block_size


def superblock_checksum(covered: bytes) -> int:
    """The checksum of the covered bytes, whose checksum field counts as zero."""
    return crc32c(covered[8:], crc32c(bytes(4), crc32c(covered[:4])))
