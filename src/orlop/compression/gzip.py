"""One gzip member, decompressed by ISA-L behind a header that is parsed here.

    0   2  magic       1f 8b
    2   1  CM          8
    3   1  FLG         1 FTEXT, 2 FHCRC, 4 FEXTRA, 8 FNAME, 16 FCOMMENT; others are reserved
    4   6  MTIME, XFL, OS
    10     FEXTRA: length (2), bytes · FNAME: text NUL · FCOMMENT: text NUL · FHCRC (2)
           deflate blocks · CRC32 (4) · ISIZE (4), both verified by ISA-L

ISA-L's own parser loses its place in a header with several optional fields that comes in parts.

Spec: RFC 1952, section 2.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

from isal.igzip_lib import DECOMP_GZIP_NO_HDR_VER, IgzipDecompressor

from orlop.compression.detect import GZIP_MAGIC

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HEADER_SIZE: Final = 1 << 17
"""The most bytes of a member's header; its names and comments have no bound of their own."""

_FIXED_SIZE: Final = 10
_FHCRC: Final = 2
_FEXTRA: Final = 4
_FNAME: Final = 8
_FCOMMENT: Final = 16
_RESERVED: Final = 0xE0


class GzipHeaderError(Exception):
    """A gzip header is broken."""


def header_size(data: bytes) -> int:
    """The length of the header that `data` begins with; 0 while it is incomplete.

    Raises:
        GzipHeaderError: It is no gzip header, or its checksum is wrong.
    """
    if data[:3] != GZIP_MAGIC[: len(data)]:
        raise GzipHeaderError("no gzip header")
    if len(data) < _FIXED_SIZE:
        return 0
    flags, end = data[3], _FIXED_SIZE
    if flags & _RESERVED:
        raise GzipHeaderError("reserved flags are set")
    if flags & _FEXTRA:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for flag in (_FNAME, _FCOMMENT):
        if flags & flag:
            end = data.find(b"\0", end) + 1
            if not end:
                return 0
    if flags & _FHCRC:
        stored = data[end : end + 2]
        if len(stored) == 2 and int.from_bytes(stored, "little") != crc32(data[:end]) & 0xFFFF:
            raise GzipHeaderError("the header's checksum is wrong")
        end += 2
    return end if end <= len(data) else 0


class GzipDecoder:
    """Decompresses one gzip member, as `bz2.BZ2Decompressor` does its stream."""

    __slots__ = ("_body", "_decompress", "_header")

    def __init__(self) -> None:
        self._header = b""
        self._body = IgzipDecompressor(flag=DECOMP_GZIP_NO_HDR_VER)
        self._decompress: Callable[..., bytes] = self._begin

    @property
    def eof(self) -> bool:
        """Whether the end was reached and the checksum was right."""
        return self._body.eof

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before more goes in."""
        return self._body.needs_input

    @property
    def unused_data(self) -> bytes:
        """What was given and lies behind the end."""
        return self._body.unused_data

    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes:
        """Take `data` and give at most `max_length` bytes.

        Raises:
            GzipHeaderError: The header is broken or too long.
            IsalError: The data are broken.
        """
        return self._decompress(data, max_length)

    def _begin(self, data: bytes | memoryview, max_length: int) -> bytes:
        header = self._header + bytes(data)
        size = header_size(header)
        if (size or len(header)) > MAX_HEADER_SIZE:
            raise GzipHeaderError(f"the header is longer than {MAX_HEADER_SIZE} bytes")
        if not size:
            self._header = header
            return b""
        self._header = b""
        self._decompress = self._body.decompress
        return self._decompress(header[size:], max_length)
