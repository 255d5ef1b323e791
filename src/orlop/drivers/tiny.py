"""The smallest EROFS image whose one file lies on a second device: what probing mounts.

byte 1024  superblock: 512-byte blocks, one device, no checksum
     1152  device slot: 1 block, at unified block 3
     1280  inode 40: the root directory, its entries behind it
     1376  inode 43: the file `data`, 512 bytes from unified block 3
     1536  end
"""

from __future__ import annotations

import stat
import struct
from typing import Final

BLOCK: Final = 512
FILE_NAME: Final = b"data"
CONTENT: Final = b"orlop".ljust(BLOCK, b"\n")
"""What the second device holds."""

_SIZE: Final = 3 * BLOCK
_ROOT: Final = 40
_FILE: Final = 43
_FLAT_PLAIN: Final = 0
_FLAT_INLINE: Final = 2
_SUPERBLOCK: Final = struct.Struct("<3I2BH2Q4I16s16sI3H2BIQ24x")
_INODE: Final = struct.Struct("<4H4I2HI")
_ENTRY: Final = struct.Struct("<QHBx")


def tiny_image() -> bytes:
    """Encode the image; its device holds `CONTENT`."""
    entries = _entries()
    image = bytearray(_SIZE)
    _SUPERBLOCK.pack_into(
        image, 1024, 0xE0F5E1E2, 0, 0, 9, 0, _ROOT, 2, 0, 0, 3, 0, 0, b"orlop probe", b"", 0x8,
        0, 1, 9, 0, 0, 0, 0,
    )  # fmt: skip
    struct.pack_into("<64sII", image, 1152, b"tiny", 1, 3)
    root = _inode(_FLAT_INLINE, stat.S_IFDIR | 0o555, 2, len(entries), 0)
    image[1280 : 1280 + len(root + entries)] = root + entries
    image[1376:1408] = _inode(_FLAT_PLAIN, stat.S_IFREG | 0o444, 1, BLOCK, 3)
    return bytes(image)


def _inode(layout: int, mode: int, links: int, size: int, start: int) -> bytes:
    return _INODE.pack(layout << 1, 0, mode, links, size, 0, start, 1, 0, 0, 0)


def _entries() -> bytes:
    names = ((b".", _ROOT, 2), (b"..", _ROOT, 2), (FILE_NAME, _FILE, 1))
    offset = _ENTRY.size * len(names)
    heads = b""
    for name, nid, kind in names:
        heads += _ENTRY.pack(nid, offset, kind)
        offset += len(name)
    return heads + b"".join(name for name, _, _ in names)
