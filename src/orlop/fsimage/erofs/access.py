"""Bounded reads of images, through callables that read at an offset."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError
from orlop.fsimage.input import ReadAt, read_exactly

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Metadata", "ReadAt", "iter_range", "read_exactly"]

_PIECE: Final = 1 << 20
_WINDOW: Final = 1 << 16
_WINDOWS: Final = 16


def iter_range(read: ReadAt, offset: int, size: int) -> Iterator[bytes]:
    """`size` bytes from `offset` on, in pieces.

    Raises:
        InvalidImageError: There are fewer.
    """
    while size:
        piece = read_exactly(read, offset, min(size, _PIECE))
        yield piece
        offset += len(piece)
        size -= len(piece)


class Metadata:
    """The primary device, read in windows of which the last few are kept.

    Args:
        read: Reads the image.
        size: Bytes of the image that may be read.
    """

    def __init__(self, read: ReadAt, size: int) -> None:
        self._read = read
        self.size = size
        self._windows: OrderedDict[int, bytes] = OrderedDict()

    def __call__(self, offset: int, size: int) -> bytes:
        """`size` bytes at `offset`.

        Raises:
            InvalidImageError: They are not all inside the image.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            raise InvalidImageError(
                f"{size} bytes are not in the image, which has {self.size}",
                where=f"offset {offset}",
            )
        start = offset % _WINDOW
        if start + size <= _WINDOW:
            return self._window(offset - start)[start : start + size]
        return read_exactly(self._read, offset, size)

    def _window(self, start: int) -> bytes:
        window = self._windows.get(start)
        if window is None:
            window = read_exactly(self._read, start, min(_WINDOW, self.size - start))
            self._windows[start] = window
            if len(self._windows) > _WINDOWS:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(start)
        return window
