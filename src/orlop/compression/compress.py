"""Compression as a stream: the same bytes always become the same bytes.

Gzip has neither name nor time in its header, and one member; zstd one frame, with its checksum.
What ISA-L makes of a stream depends on how it is cut, so that it gets it in pieces of one size,
however it came. Another version of a library, or ISA-L on another processor, may compress
otherwise.

Spec: RFC 1952, section 2.3; RFC 8878, section 3.1.1.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

CompressionName: TypeAlias = Literal["none", "gzip", "zstd"]
"""How a stream is compressed, as users say it."""

COMPRESSED_PIECE: Final = 1 << 18
"""Bytes that are compressed at a time."""

_GZIP_LEVEL: Final = 2  # Level 3 takes twice the time for one and a half percent.
_GZIP_CONTAINER: Final = 31
_ZSTD_LEVEL: Final = 3


class _Encoder(Protocol):
    def compress(self, data: memoryview, /) -> bytes: ...

    def flush(self) -> bytes: ...


class Compressor:
    """Compresses one stream; both libraries let other threads run while they work.

    Args:
        compression: How; `none` passes everything on.

    Attributes:
        size: Bytes that came out so far.
    """

    def __init__(self, compression: CompressionName) -> None:
        self.size = 0
        self._encoder: _Encoder | None = _ENCODERS[compression]()
        self._held = bytearray()

    def feed(self, chunk: bytes | memoryview) -> bytes:
        """What comes out when these next bytes go in, often nothing.

        Raises:
            ValueError: The compressor was closed.
        """
        encoder = self._open_encoder()
        self._held += chunk
        whole = len(self._held) - len(self._held) % COMPRESSED_PIECE
        if not whole:
            return b""
        with memoryview(self._held) as held:
            pieces = [
                encoder.compress(held[start : start + COMPRESSED_PIECE])
                for start in range(0, whole, COMPRESSED_PIECE)
            ]
        del self._held[:whole]
        return self._counted(b"".join(pieces))

    def close(self) -> bytes:
        """What comes out at the end of the stream; nothing can be fed any more.

        Raises:
            ValueError: The compressor was closed before.
        """
        encoder = self._open_encoder()
        self._encoder = None
        with memoryview(self._held) as held:
            last = encoder.compress(held)
        self._held.clear()
        return self._counted(last + encoder.flush())

    def _open_encoder(self) -> _Encoder:
        if self._encoder is None:
            raise ValueError("the compressor is closed")
        return self._encoder

    def _counted(self, data: bytes) -> bytes:
        self.size += len(data)
        return data


class _Plain:
    """Compresses nothing."""

    def compress(self, data: memoryview, /) -> bytes:
        return bytes(data)

    def flush(self) -> bytes:
        return b""


def _gzip() -> _Encoder:
    from isal import isal_zlib

    return isal_zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_CONTAINER)


def _zstd() -> _Encoder:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: _ZSTD_LEVEL,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    return zstd.ZstdCompressor(options=options)


_ENCODERS: Final[dict[CompressionName, Callable[[], _Encoder]]] = {
    "none": _Plain,
    "gzip": _gzip,
    "zstd": _zstd,
}
