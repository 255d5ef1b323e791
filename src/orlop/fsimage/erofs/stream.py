"""A file of an image as a stream."""

from __future__ import annotations

import io
from bisect import bisect_right
from typing import TYPE_CHECKING

from orlop.fsimage.erofs.access import read_exactly
from orlop.fsimage.erofs.unpack import read_packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import WriteableBuffer

    from orlop.fsimage.erofs.access import ReadAt
    from orlop.fsimage.erofs.addresses import Extent


class ExtentReader(io.RawIOBase):
    """Reads extents one after another, holes as zeros; seekable.

    Args:
        extents: Ascending, without gaps.
        devices: Read the image and the devices, as the extents number them.
    """

    def __init__(self, extents: Sequence[Extent], devices: Sequence[ReadAt]) -> None:
        super().__init__()
        self._extents = extents
        self._starts = [extent.start for extent in extents]
        self._devices = devices
        self._size = extents[-1].start + extents[-1].size if extents else 0
        self._position = 0
        self._last: tuple[int, bytes] | None = None  # start and content of a compressed extent

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to an offset from the start, the position or the end; past the end is empty."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position in the file."""
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read from one extent into the buffer."""
        view = memoryview(buffer).cast("B")
        if self._position >= self._size or not view:
            return 0
        extent = self._extents[bisect_right(self._starts, self._position) - 1]
        skip = self._position - extent.start
        size = min(len(view), extent.size - skip)
        if extent.device is None:
            view[:size] = bytes(size)
        elif extent.packed is not None:
            view[:size] = self._unpacked(extent)[skip : skip + size]
        else:
            view[:size] = read_exactly(self._devices[extent.device], extent.offset + skip, size)
        self._position += size
        return size

    def _unpacked(self, extent: Extent) -> bytes:
        """The content of a compressed extent, of which the last one is kept."""
        if self._last is None or self._last[0] != extent.start:
            assert extent.device is not None
            self._last = extent.start, read_packed(self._devices[extent.device], extent)
        return self._last[1]
