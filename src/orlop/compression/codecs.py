"""The libraries that decompress, behind one shape; each is loaded when a stream asks for it.

All let other threads run while they work, verify the checksums of their formats, and end after
one gzip member, zstd frame, or stream of bzip2 or xz.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, cast

from orlop.compression.detect import Compression

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.compression.limits import DecompressionLimits


class FrameDecoder(Protocol):
    """Decompresses one gzip member or one zstd frame, as `bz2.BZ2Decompressor` does its stream."""

    @property
    def eof(self) -> bool:
        """Whether the end was reached and its checksum was right."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before more goes in."""

    @property
    def unused_data(self) -> bytes:
        """What was given and lies behind the end."""

    def decompress(self, data: bytes | memoryview, max_length: int = -1) -> bytes:
        """Take `data` and give at most `max_length` bytes."""


class Codec:
    """A library that decompresses.

    Attributes:
        new_decoder: Makes a decoder of the next member or frame.
        errors: What its decoders raise when a stream is broken.
    """

    __slots__ = ("errors", "new_decoder")

    def __init__(
        self, new_decoder: Callable[[], FrameDecoder], errors: tuple[type[Exception], ...]
    ) -> None:
        self.new_decoder = new_decoder
        self.errors = errors


def open_codec(compression: Compression, limits: DecompressionLimits) -> Codec:
    """The codec of a compression, which must not be NONE."""
    if compression is Compression.GZIP:
        return _gzip()
    if compression is Compression.ZSTD:
        return _zstd(limits)
    if compression is Compression.BZIP2:
        return _bzip2()
    assert compression is Compression.XZ
    return _xz(limits)


def _gzip() -> Codec:
    from isal.igzip_lib import IsalError

    from orlop.compression.gzip import GzipDecoder, GzipHeaderError

    isal_error = cast("type[Exception]", IsalError)  # a class; its stub says an instance
    return Codec(GzipDecoder, (isal_error, GzipHeaderError))


def _zstd(limits: DecompressionLimits) -> Codec:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    window_log = limits.max_window_size.bit_length() - 1
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: window_log}

    def new_decoder() -> FrameDecoder:
        return zstd.ZstdDecompressor(options=options)

    return Codec(new_decoder, (zstd.ZstdError,))


def _bzip2() -> Codec:
    from bz2 import BZ2Decompressor

    return Codec(BZ2Decompressor, (OSError,))


def _xz(limits: DecompressionLimits) -> Codec:
    import lzma

    def new_decoder() -> FrameDecoder:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.max_window_size)

    return Codec(new_decoder, (lzma.LZMAError,))
