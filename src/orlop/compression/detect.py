"""Compressions told by the first bytes of a stream.

    1f 8b 08               gzip, with the only method that there is
    28 b5 2f fd            zstd frame
    50…5f 2a 4d 18         zstd skippable frame, which may come first
    42 5a 68               bzip2, which no OCI layer is compressed with
    fd 37 7a 58 5a 00      xz, likewise

Spec: RFC 1952, section 2.3.1; RFC 8878, section 3.1.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from orlop.errors import UnsupportedError

DETECT_SIZE: Final = 10
"""Bytes from which `detect` is certain; with fewer it tells what they can be."""

GZIP_MAGIC: Final = b"\x1f\x8b\x08"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_SKIPPABLE_MAGICS: Final = tuple(bytes((byte, 0x2A, 0x4D, 0x18)) for byte in range(0x50, 0x60))

# The names of files may begin with most of these letters, hence the whole signatures.
_OTHERS: Final = {
    "bzip2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    "lzma": re.compile(rb"\x5d\0\0(?!\0\0)..", re.DOTALL),
    "lz4": re.compile(rb"\x04\x22\x4d\x18"),
    "lzip": re.compile(rb"LZIP[\0\x01]"),
    "zip": re.compile(rb"PK(?:\x03\x04|\x05\x06)"),
    "7z": re.compile(rb"7z\xbc\xaf\x27\x1c"),
    "compress": re.compile(rb"\x1f\x9d"),
}


class Compression(Enum):
    """How a layer is compressed; the value is what media types have behind the plus.

    BZIP2 and XZ have no media type: they are for tars that come without an image.
    """

    NONE = ""
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"


_FOREIGN: Final = {"bzip2": Compression.BZIP2, "xz": Compression.XZ}


def detect(head: bytes, *, foreign: bool = False) -> Compression:
    """The compression of a stream that begins with `head`; NONE when none is recognised.

    Args:
        head: The first `DETECT_SIZE` bytes, or all when there are fewer. No bytes at all count
            as not compressed.
        foreign: Take bzip2 and xz too.

    Raises:
        UnsupportedError: The stream is compressed by another, known method.
    """
    if head.startswith(GZIP_MAGIC):
        return Compression.GZIP
    if head.startswith(ZSTD_MAGIC) or _SKIPPABLE.match(head):
        return Compression.ZSTD
    for name, signature in _OTHERS.items():
        if signature.match(head):
            if foreign and name in _FOREIGN:
                return _FOREIGN[name]
            raise UnsupportedError(
                f"the layer is compressed with {name}",
                hint="OCI layers are tar, tar with gzip, or tar with zstd",
            )
    return Compression.NONE


def is_cut_short(head: bytes) -> bool:
    """Whether these bytes, being all there are, are the beginning of a magic."""
    magics = (GZIP_MAGIC, ZSTD_MAGIC, *_SKIPPABLE_MAGICS)
    return bool(head) and any(len(head) < len(magic) and magic.startswith(head) for magic in magics)
