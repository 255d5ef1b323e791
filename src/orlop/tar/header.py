"""The header block of a tar member, field by field.

    offset  size  field      V7  ustar  GNU
    0       100   name       x   x      x      ends at its first NUL
    100     8     mode       x   x      x      octal, or base-256 (GNU)
    108     8     uid        x   x      x
    116     8     gid        x   x      x
    124     12    size       x   x      x
    136     12    mtime      x   x      x      may be negative in base-256
    148     8     chksum     x   x      x      sum of all bytes, this field taken as blanks
    156     1     typeflag   x   x      x
    157     100   linkname   x   x      x
    257     6     magic          x      x      "ustar" NUL; GNU: "ustar" blank
    263     2     version        x      x      "00";        GNU: blank NUL
    265     64    uname, gname   x      x      not used: ids count
    329     16    devmajor, devminor
    345     155   prefix         x             star: 131, when 508 holds "tar" NUL
    386     96    sparse                x      four pairs (offset 12, numbytes 12)
    482     1     isextended            x      not zero: a block of 21 more pairs follows
    483     12    realsize              x      length of a sparse file with its holes

Spec: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, TypeVar
from zlib import adler32

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

BLOCK_SIZE: Final = 512
ZERO_BLOCK: Final = bytes(BLOCK_SIZE)
MAX_SIZE: Final = (1 << 63) - 1

USTAR_MAGIC: Final = b"ustar\0"
GNU_MAGIC: Final = b"ustar  \0"
V7_MAGIC: Final = bytes(8)
_STAR_TRAILER: Final = b"tar\0"
_STAR_PREFIX_SIZE: Final = 131
_MEMO_SIZE: Final = 4096

unpack_header: Final = Struct("100s24s12s12s8sc100s8s64x16s155s8x4s").unpack
"""name, mode+uid+gid, size, mtime, chksum, typeflag, linkname, magic+version, devmajor+devminor,
prefix, trailer."""


class MalformedError(Exception):
    """A part of an archive is broken; the scanner, who knows where, reports it."""


class UnsafeNameError(MalformedError):
    """A name would leave the root."""


class UnknownError(MalformedError):
    """A part of an archive is known, and not supported."""


class TooLargeError(MalformedError):
    """A part of an archive is over the limit that `TarLimits` has under the name `limit`."""

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


def byte_sum(block: bytes) -> int:
    """The sum of all bytes of a block.

    The low half of an Adler-32 is one plus the sum of the bytes, as long as that stays below
    65521; for half a block it does, and this is six times as fast as adding in Python.
    """
    return (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2


def check_sum(block: bytes, field: bytes) -> None:
    """Refuse a block whose bytes do not add up to its `chksum` field.

    Raises:
        MalformedError: The sums differ, whether bytes are taken as unsigned or signed.
    """
    total = byte_sum(block) + 256 + 1 - (adler32(field) & 0xFFFF)
    if field != b"%06o\0 " % total:
        _check_unusual_sum(block, field, total)


def _check_unusual_sum(block: bytes, field: bytes, total: int) -> None:
    stored = decode_octal(field, "checksum") if field.strip(b"\0 ") else -1
    counted = block[:148] + block[156:]
    signed = total - 256 * sum(byte > 127 for byte in counted)
    if stored not in (total, signed):
        raise MalformedError("the header's checksum is wrong")


def decode_octal(field: bytes, what: str) -> int:
    """The value of an octal field: blanks, digits, and then only blanks and NULs.

    An empty field counts as zero, as every reader takes it.

    Raises:
        MalformedError: Something else is in the field.
    """
    digits = field.strip(b" ").rstrip(b"\0 ")
    if not digits:
        return 0
    if digits.isdigit():
        try:
            return int(digits, 8)
        except ValueError:
            pass
    raise MalformedError(f"{what} is not a number: {field!r}")


def decode_number(field: bytes, what: str) -> int:
    """The value of a field in octal or in base-256; only the latter can be negative.

    Raises:
        MalformedError: The field is neither.
    """
    lead = field[0]
    if lead < 0x80:
        return decode_octal(field, what)
    if lead == 0x80:
        return int.from_bytes(field[1:], "big")
    if lead == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    raise MalformedError(f"{what} is not a number: {field!r}")


def decode_size(field: bytes, what: str = "size") -> int:
    """The value of a field that counts bytes, 0 to 2**63 - 1.

    Raises:
        MalformedError: The field is no such number.
    """
    size = decode_number(field, what)
    if not 0 <= size <= MAX_SIZE:
        raise MalformedError(f"{what} is out of range: {size}")
    return size


def decode_name(name: bytes, magic: bytes, prefix: bytes, trailer: bytes) -> bytes:
    """The name in a header, with its prefix where the format has one.

    Raises:
        MalformedError: The magic is none that is known, so that readers would disagree.
    """
    name = name.partition(b"\0")[0]
    if magic[:6] == USTAR_MAGIC:
        if not prefix[0]:
            return name
        if trailer == _STAR_TRAILER:
            prefix = prefix[:_STAR_PREFIX_SIZE]
        return prefix.partition(b"\0")[0] + b"/" + name
    if magic not in (GNU_MAGIC, V7_MAGIC):
        raise MalformedError(f"unknown magic {magic!r}")
    return name


class Memo(dict[bytes, T]):
    """Values of header fields that were decoded before; many fields come again and again.

    Args:
        decode: Makes the value of a field.
    """

    def __init__(self, decode: Callable[[bytes], T]) -> None:
        super().__init__()
        self._decode = decode

    def __missing__(self, field: bytes) -> T:
        if len(self) >= _MEMO_SIZE:
            self.clear()
        value = self[field] = self._decode(field)
        return value


def padding(size: int) -> int:
    """How many bytes follow `size` bytes of data until the next block."""
    return -size % BLOCK_SIZE
