"""The checksum of group descriptors.

Spec: Linux, lib/crc16.c: polynomial 0x8005, reflected, started with all ones; over the UUID, the
group's number as u32, and the descriptor before the checksum.
"""

from __future__ import annotations

from typing import Final

_POLYNOMIAL: Final = 0xA001  # reflected


def _shifted(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE: Final = tuple(map(_shifted, range(256)))


def crc16(data: bytes, state: int = 0xFFFF) -> int:
    """The register after `data`."""
    for byte in data:
        state = _TABLE[(state ^ byte) & 0xFF] ^ state >> 8
    return state
