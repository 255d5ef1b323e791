"""Where the bytes of an image that is read come from."""

from __future__ import annotations

from typing import Protocol

from orlop.errors import InvalidImageError


class ReadAt(Protocol):
    """Reads a file, a device or a buffer at an offset, like `os.pread`."""

    def __call__(self, offset: int, size: int, /) -> bytes:
        """The bytes from `offset` on: `size` of them, fewer only at the end."""
        ...


def read_exactly(read: ReadAt, offset: int, size: int) -> bytes:
    """`size` bytes at `offset`.

    Raises:
        InvalidImageError: There are fewer.
    """
    data = read(offset, size)
    if len(data) != size:
        raise InvalidImageError(
            f"the image ends inside {size} bytes that it refers to", where=f"offset {offset}"
        )
    return data
