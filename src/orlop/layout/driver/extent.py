"""A run of bytes that can be read anywhere, as a file that is read in order."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from orlop.layout.files import Extent

_PIECE: Final = 1 << 20


@final
class ExtentReader(io.RawIOBase):
    """An extent as a `Reader`; closes it."""

    def __init__(self, extent: Extent) -> None:
        super().__init__()
        self._extent = extent
        self._position = 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, all that remain where negative; none at the end."""
        if size is None or size < 0:
            return self.readall()
        data = self._extent.read_at(self._position, size)
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        """All bytes that remain."""
        return b"".join(iter(lambda: self.read(_PIECE), b""))

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill the buffer from its start; how many bytes were read."""
        target = memoryview(buffer).cast("B")
        data = self.read(len(target))
        target[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to an offset, as in a file; the offset from the beginning."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._extent.size}
        position = start[whence] + offset
        if position < 0:
            raise ValueError(f"offset {position} lies before the file")
        self._position = position
        return position

    def tell(self) -> int:
        """The offset from the beginning."""
        return self._position

    def close(self) -> None:
        """Give the extent back; idempotent."""
        self._extent.close()
        super().close()
