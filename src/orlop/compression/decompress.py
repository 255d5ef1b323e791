"""Decompression as a stream, in pieces of bounded size, within limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.compression.codecs import Codec, FrameDecoder, open_codec
from orlop.compression.detect import DETECT_SIZE, Compression, detect, is_cut_short
from orlop.compression.limits import DecompressionLimits
from orlop.errors import InvalidLayerError, LimitExceededError

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_SIZE: Final = 1 << 20
"""The most bytes that come out in one piece."""

_FIRST_SLICE: Final = 1 << 10
_LAST_SLICE: Final = 1 << 18
_NOTHING: Final = memoryview(b"")
_DEFAULT_LIMITS: Final = DecompressionLimits()
_MEMORY_MESSAGES: Final = ("too much memory", "Memory usage limit")  # of zstd, of xz


class Decompressor:
    """Turns a stream into what was compressed; whether it is compressed, its first bytes tell.

    A stream may have many gzip members or zstd frames, one after another. Whatever else follows
    one of them is refused, zeros too: what other readers make of it differs. After an error the
    decompressor cannot be used any more.

    Args:
        limits: Bounds of what may come out.
        foreign: Take bzip2 and xz too, which layers of images are not compressed with.

    Attributes:
        compression: What the first bytes tell, or None before they came.
        size: Bytes that came out so far.
    """

    def __init__(
        self, *, limits: DecompressionLimits = _DEFAULT_LIMITS, foreign: bool = False
    ) -> None:
        self.compression: Compression | None = None
        self.size = 0
        self._limits = limits
        self._foreign = foreign
        self._head = b""
        self._taken = 0
        self._frames = 0
        self._slice = _FIRST_SLICE
        self._codec: Codec | None = None
        self._decoder: FrameDecoder | None = None
        self._busy = False

    def feed(self, chunk: bytes | memoryview) -> Iterator[bytes]:
        """The pieces that come out when these next bytes go in, each at most `PIECE_SIZE` long.

        They are made as they are asked for, and must be taken to the last before the next call.

        Raises:
            InvalidLayerError: The stream is broken, or followed by something else.
            LimitExceededError: Too much comes out, or zstd wants too much memory.
            UnsupportedError: The stream is compressed by a method that layers do not have.
            ValueError: The pieces of the last call were not all taken.
        """
        if self._busy:
            raise ValueError("the pieces of the last chunk were not all taken")
        self._busy = True
        return self._feed(chunk)

    def close(self) -> Iterator[bytes]:
        """The last pieces, when the stream ends here and may do so.

        Raises:
            InvalidLayerError: The stream is cut short.
            ValueError: The pieces of the last call were not all taken.
        """
        if self._busy:
            raise ValueError("the pieces of the last chunk were not all taken")
        if self.compression is None:
            return self._close_short()
        if self._decoder is not None:
            raise self._invalid("the compressed stream is cut short")
        return iter(())

    def _close_short(self) -> Iterator[bytes]:
        if is_cut_short(self._head):
            raise self._invalid("the compressed stream is cut short")
        self.compression = Compression.NONE
        self._count(len(self._head))
        return iter((self._head,) if self._head else ())

    def _feed(self, chunk: bytes | memoryview) -> Iterator[bytes]:
        self._taken += len(chunk)
        if self.compression is None:
            chunk = self._head + bytes(chunk)
            if not self._decide(chunk):
                self._busy = False
                return
        if self._codec is None:
            yield from self._pass_on(chunk)
        else:
            yield from self._decompress(memoryview(chunk), self._codec)
        self._busy = False

    def _decide(self, head: bytes) -> bool:
        """Whether the bytes so far tell the compression; otherwise they are kept."""
        found = detect(head[:DETECT_SIZE], foreign=self._foreign)
        if found is Compression.NONE and len(head) < DETECT_SIZE:
            self._head = head
            return False
        self._head = b""
        self.compression = found
        if found is not Compression.NONE:
            self._codec = open_codec(found, self._limits)
        return True

    def _pass_on(self, chunk: bytes | memoryview) -> Iterator[bytes]:
        for start in range(0, len(chunk), PIECE_SIZE):
            piece = bytes(chunk[start : start + PIECE_SIZE])
            self._count(len(piece))
            yield piece

    def _decompress(self, chunk: memoryview, codec: Codec) -> Iterator[bytes]:
        position, end = 0, len(chunk)
        while position < end:
            decoder = self._decoder or self._begin_frame(codec)
            # What lies behind the end of a frame is copied by the decoder: with short slices at
            # first, a stream of many tiny frames stays cheap.
            part = chunk[position : position + self._slice]
            self._slice = min(2 * self._slice, _LAST_SLICE)
            position += len(part)
            yield from self._drain(decoder, part, codec)
            if decoder.eof:
                position -= len(decoder.unused_data)
                self._decoder = None

    def _drain(self, decoder: FrameDecoder, part: memoryview, codec: Codec) -> Iterator[bytes]:
        while True:
            piece = self._step(decoder, part, codec)
            if piece:
                yield piece
            if decoder.eof or decoder.needs_input:
                return
            if not piece and not part:
                raise self._invalid("the compressed stream is broken: it does not go on")
            part = _NOTHING

    def _begin_frame(self, codec: Codec) -> FrameDecoder:
        self._frames += 1
        if self._frames > self._limits.max_frames:
            raise LimitExceededError(
                "the compressed stream has too many frames",
                limit="max_frames",
                value=self._limits.max_frames,
            )
        self._slice = _FIRST_SLICE
        self._decoder = codec.new_decoder()
        return self._decoder

    def _step(self, decoder: FrameDecoder, part: memoryview, codec: Codec) -> bytes:
        try:
            piece = decoder.decompress(part, PIECE_SIZE)
        except codec.errors as error:
            if any(message in str(error) for message in _MEMORY_MESSAGES):
                raise LimitExceededError(
                    "the compressed stream wants too much memory",
                    limit="max_window_size",
                    value=self._limits.max_window_size,
                ) from None
            raise self._invalid(f"the compressed stream is broken: {error}") from None
        self._count(len(piece))
        return piece

    def _count(self, size: int) -> None:
        self.size += size
        limits = self._limits
        if self.size > limits.max_size:
            raise LimitExceededError(
                "the layer is too large", limit="max_size", value=limits.max_size
            )
        if self.size > limits.ratio_floor and self.size > self._taken * limits.max_ratio:
            raise LimitExceededError(
                f"{self._taken} compressed bytes become more than {self.size}",
                limit="max_ratio",
                value=limits.max_ratio,
            )

    def _invalid(self, message: str) -> InvalidLayerError:
        return InvalidLayerError(message, where=f"compressed offset {self._taken}")
