"""The hash that the entries of large directories are sorted by: half of MD4, with a seed.

Spec: Linux, Documentation/filesystems/ext4/directory.rst, "Hash Tree Directories"; RFC 1320 for
the three rounds, of which eight steps each are done.
"""

from __future__ import annotations

import struct
from typing import Final

_MASK: Final = 0xFFFFFFFF
_CHUNK: Final = 32
_ROUND_2: Final = 0x5A827999
_ROUND_3: Final = 0x6ED9EBA1
_LAST: Final = 0xFFFFFFFE
"""What the kernel keeps for the end of a directory; no name has it."""
_ORDER_1: Final = (0, 1, 2, 3, 4, 5, 6, 7)
_ORDER_2: Final = (1, 3, 5, 7, 0, 2, 4, 6)
_ORDER_3: Final = (3, 7, 2, 6, 1, 5, 0, 4)
_unpack_words: Final = struct.Struct(">8I").unpack


def hash_name(name: bytes, seed: tuple[int, int, int, int]) -> int:
    """The hash of a name, 32 bits of which the lowest is 0.

    Args:
        name: The name, whose bytes count as unsigned.
        seed: The four words of the superblock's `hash_seed`, not all of them zero.
    """
    state = seed
    for start in range(0, len(name), _CHUNK):
        state = _mix(state, _words(name[start : start + _CHUNK], len(name) - start))
    value = state[1] & ~1
    return value - 2 if value == _LAST else value


def _words(chunk: bytes, left: int) -> tuple[int, ...]:
    """Eight big-endian words of a chunk, padded with how many bytes of the name are left."""
    pad = bytes([left & 0xFF])
    odd = len(chunk) & 3
    if odd:
        chunk = chunk[:-odd] + pad * (4 - odd) + chunk[-odd:]
    return _unpack_words(chunk.ljust(_CHUNK, pad))


def _mix(state: tuple[int, int, int, int], words: tuple[int, ...]) -> tuple[int, int, int, int]:
    a, b, c, d = state
    shifts = (3, 7, 11, 19) * 2
    for index, shift in zip(_ORDER_1, shifts, strict=True):
        value = a + (d ^ b & (c ^ d)) + words[index] & _MASK
        a, b, c, d = d, (value << shift | value >> 32 - shift) & _MASK, b, c
    shifts = (3, 5, 9, 13) * 2
    for index, shift in zip(_ORDER_2, shifts, strict=True):
        value = a + (b & c) + ((b ^ c) & d) + words[index] + _ROUND_2 & _MASK
        a, b, c, d = d, (value << shift | value >> 32 - shift) & _MASK, b, c
    shifts = (3, 9, 11, 15) * 2
    for index, shift in zip(_ORDER_3, shifts, strict=True):
        value = a + (b ^ c ^ d) + words[index] + _ROUND_3 & _MASK
        a, b, c, d = d, (value << shift | value >> 32 - shift) & _MASK, b, c
    return a + state[0] & _MASK, b + state[1] & _MASK, c + state[2] & _MASK, d + state[3] & _MASK
