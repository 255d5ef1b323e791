"""Undo the compression of extents; what comes out is bounded by what is to come out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError, UnsupportedError
from orlop.fsimage.erofs.access import read_exactly

if TYPE_CHECKING:
    from orlop.fsimage.erofs.access import ReadAt
    from orlop.fsimage.erofs.addresses import Extent

LZ4: Final = 0
ZSTD: Final = 3
ALGORITHMS: Final = frozenset({LZ4, ZSTD})
_WINDOW_LOG: Final = 20  # as large as Linux lets it be
_MIN_MATCH: Final = 4
_MARGIN: Final = 64  # more than must lie behind a match where the room for content ends
_LAST_LITERALS: Final = 5
_MAX_REST: Final = 1 << 16
_MORE: Final = 15
_FULL: Final = 255


def read_packed(read: ReadAt, extent: Extent) -> bytes:
    """The content of a compressed extent.

    Raises:
        InvalidImageError: It cannot be undone, or is not as long as the extent.
        UnsupportedError: What undoes it is not installed.
    """
    packed = extent.packed
    assert packed is not None, "it lies there as it is"
    data = read_exactly(read, extent.offset, packed.size)
    if packed.padding:
        data = data.lstrip(b"\0")
        if len(data) < packed.size - packed.padding:
            raise _broken(extent, "it takes more blocks than it needs")
    unpack = _unpack_lz4 if packed.algorithm == LZ4 else _unpack_zstd
    try:
        if packed.padding:
            content = unpack(data, extent.size)
        else:
            content = _unpack_start(data, extent.size)
    except _BrokenError as error:
        raise _broken(extent, str(error)) from error.__cause__
    if len(content) != extent.size:
        raise _broken(extent, f"it has {len(content)} bytes")
    return content


def _broken(extent: Extent, what: str) -> InvalidImageError:
    return InvalidImageError(
        f"what should be {extent.size} bytes compressed is broken: {what}",
        where=f"offset {extent.offset}",
    )


class _BrokenError(Exception):
    """What is compressed breaks its format."""


def _unpack_lz4(data: bytes, size: int) -> bytes:
    try:
        from lz4.block import LZ4BlockError, decompress
    except ImportError:
        raise UnsupportedError(
            "reading what LZ4 compressed needs a library that is not installed",
            hint="install orlop with it: pip install 'orlop[lz4]'",
        ) from None
    try:
        return bytes(decompress(data, uncompressed_size=size))
    except (LZ4BlockError, ValueError) as error:
        raise _BrokenError(str(error)) from error


def _unpack_start(data: bytes, size: int) -> bytes:
    """The first `size` bytes of a block of LZ4, of which neither length is known."""
    end, content = _lz4_end(data, size)
    if content > size + _MAX_REST:
        raise _BrokenError(f"it goes on for {content - size} bytes")
    return _unpack_lz4(data[:end], content + _MARGIN)[:size]


def _lz4_end(data: bytes, size: int) -> tuple[int, int]:
    """Where a block may be cut off, and how many bytes up to there come out: at least `size`.

    That is behind literals, of which there are as many at the end of every block as there are here.

    Spec: LZ4 block format description, "Compressed block format".
    """
    position = content = 0
    try:
        while True:
            token = data[position]
            literals, position = _length(data, position + 1, token >> 4)
            position += literals
            content += literals
            if content >= size and (literals >= _LAST_LITERALS or literals == content):
                return position, content
            matched, position = _length(data, position + 2, token & _MORE)
            content += matched + _MIN_MATCH
    except IndexError:
        raise _BrokenError("it ends inside a sequence") from None


def _length(data: bytes, position: int, length: int) -> tuple[int, int]:
    """A length that begins in a token, and where what comes next begins."""
    if length == _MORE:
        while data[position] == _FULL:
            length += _FULL
            position += 1
        length += data[position]
        position += 1
    return length, position


def _unpack_zstd(data: bytes, size: int) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
    decoder = zstd.ZstdDecompressor(options=options)
    try:
        content = decoder.decompress(data, size)
        content += decoder.decompress(b"", 1) if not decoder.eof else b""
    except zstd.ZstdError as error:
        raise _BrokenError(str(error)) from error
    if not decoder.eof or decoder.unused_data:
        raise _BrokenError("its frame does not end where it should")
    return bytes(content)
