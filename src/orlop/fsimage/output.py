"""Where the bytes of an image go, and where those of its files come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from orlop.digest import Digest

ReadContent: TypeAlias = Callable[[Digest, int, int], bytes]
"""Gives bytes of a source at an offset, as many as asked for: `read(source, offset, size)`."""

_PIECE: Final = 1 << 20
_ZEROS: Final = bytes(_PIECE)


class Stream(Protocol):
    """Takes bytes one after another, as a file that is open for writing does."""

    def write(self, data: bytes | bytearray | memoryview, /) -> object:
        """Take the next bytes, all of them."""


class Output(Stream, Protocol):
    """Takes an image from its first byte to its last."""

    def skip(self, size: int, /) -> object:
        """Take `size` bytes that are zero; where it can, without storing them."""


class PatchableOutput(Output, Protocol):
    """An output in which what was taken before can still be changed."""

    def write_at(self, offset: int, data: bytes | bytearray | memoryview, /) -> object:
        """Put these bytes in the place of those at the offset, which were taken before."""


class StreamOutput:
    """An `Output` over a stream that cannot be sought in: zeros are written out.

    Args:
        stream: Takes the bytes; neither flushed nor closed.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.write = stream.write

    def skip(self, size: int, /) -> None:
        """Write `size` zeros."""
        while size > 0:
            self.write(_ZEROS[:size])
            size -= _PIECE
