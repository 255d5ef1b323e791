"""An output that bytes are put into at ascending positions, small ones together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orlop.fsimage.output import Output

_FLUSH: Final = 1 << 20
_LARGE: Final = 1 << 16
"""Bytes that are not gathered, and zeros that are skipped."""


class Sink:
    """Gathers what is written.

    Args:
        output: Takes the image, front to back.
    """

    __slots__ = ("_buffer", "_flushed", "_output")

    def __init__(self, output: Output) -> None:
        self._output = output
        self._buffer = bytearray()
        self._flushed = 0

    def put(self, position: int, data: bytes | bytearray | memoryview) -> None:
        """Put bytes at a position that is not before the end of the last; zeros between."""
        buffer = self._buffer
        gap = position - self._flushed - len(buffer)
        if gap:
            self._zeros(gap)
            buffer = self._buffer
        if len(data) < _LARGE:
            buffer += data
            if len(buffer) >= _FLUSH:
                self._flush()
        else:
            self._flush()
            self._output.write(data)
            self._flushed += len(data)

    def finish(self, size: int) -> None:
        """Fill up with zeros to the size, and hand on what is gathered."""
        gap = size - self._flushed - len(self._buffer)
        if gap:
            self._zeros(gap)
        self._flush()

    def _zeros(self, size: int) -> None:
        assert size > 0, "what was written is larger than what was measured"
        if size < _LARGE:
            self._buffer += bytes(size)
        else:
            self._flush()
            self._output.skip(size)
            self._flushed += size

    def _flush(self) -> None:
        if self._buffer:
            self._output.write(self._buffer)
            self._flushed += len(self._buffer)
            self._buffer = bytearray()
