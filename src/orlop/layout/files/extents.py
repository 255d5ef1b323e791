"""What a place is made of: files by name, each a run of bytes that many threads may read.

`directory` and `archive` hold files; `orlop.layout.read` knows what they mean.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, Self, final

from orlop._sys.reflink import copy_range

if TYPE_CHECKING:
    from types import TracebackType


class Extent(Protocol):
    """The bytes of one file, for any number of threads; a context manager."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read_at(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; fewer at the end, none beyond it."""

    def close(self) -> None:
        """Give the file back; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Files(Protocol):
    """The files of a place, by their path below it with slashes."""

    def open(self, name: str) -> Extent:
        """Open a regular file.

        Raises:
            NotFoundError: The place has no such file.
            UnsafePathError: The name, or a link on its way, leads out of the place.
        """

    def size(self, name: str) -> int | None:
        """The length of a regular file in bytes; None where there is none of this name."""

    def close(self) -> None:
        """Give everything back; extents that are open stay so. Idempotent."""


@final
class FileExtent:
    """A run of bytes in a file; owns its descriptor, and never moves a file position."""

    __slots__ = ("_fd", "_start", "size")

    def __init__(self, fd: int, start: int, size: int) -> None:
        self._fd = fd
        self._start = start
        self.size = size

    def read_at(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; fewer at the end or where the file was cut."""
        if self._fd < 0:
            raise ValueError("the file is closed")
        wanted = min(size, self.size - offset)
        return os.pread(self._fd, wanted, self._start + offset) if wanted > 0 else b""

    def copy_to(self, fd: int, at: int) -> int:
        """Copy all bytes into another file by the cheapest way; how many there were.

        Args:
            fd: Open for writing, not for appending; its position is not moved.
            at: Where they go, in bytes.

        Raises:
            OSError: Reading or writing failed (EIO, ENOSPC).
        """
        return copy_range(self._fd, fd, offset=self._start, size=self.size, at=at)

    def close(self) -> None:
        """Close the descriptor; idempotent."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@final
class MemoryExtent:
    """Bytes in memory, such as a manifest that was made here."""

    __slots__ = ("_data", "size")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`."""
        return self._data[offset : offset + size]

    def close(self) -> None:
        """Nothing to give back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_all(extent: Extent) -> bytes:
    """Every byte of an extent whose size the caller has bounded; short where the file was cut."""
    pieces = []
    offset = 0
    while piece := extent.read_at(offset, extent.size - offset):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)
