"""Where the bytes of an archive go: to a file that appears whole, or down a stream."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol, final

from orlop._sys.sync import start_writeback
from orlop.layout.driver.replacement import Replacement

if TYPE_CHECKING:
    from typing import BinaryIO

    from orlop._sys.handle import HasFileno

_WRITEBACK_SIZE: Final = 8 << 20


class Output(Protocol):
    """What takes an archive from its beginning to its end."""

    def write(self, data: bytes) -> None:
        """Append all of `data`."""

    def commit(self) -> None:
        """Nothing more comes: the archive is whole, and durable where that can be."""

    def close(self) -> None:
        """Give up what was not committed; idempotent."""


@final
class GrowingFile:
    """A file that is written in order, and that the disk begins on meanwhile.

    Args:
        file: Open for writing; not closed.
        path: What to call it in errors.
    """

    def __init__(self, file: HasFileno, path: str) -> None:
        self._file = file
        self._path = path
        self._size = self._begun = 0

    def write(self, data: bytes) -> None:
        """Append all of `data`."""
        fd = self._file.fileno()
        left = memoryview(data)
        while left:
            try:
                written = os.write(fd, left)
            except OSError as error:
                error.filename = self._path
                raise
            left = left[written:]
            self._size += written
        if self._size - self._begun >= _WRITEBACK_SIZE:
            start_writeback(fd, self._begun, self._size - self._begun)
            self._begun = self._size


@final
class FileOutput:
    """A file beside the one that it becomes; whoever else writes one of this name waits.

    Args:
        path: What it becomes, or replaces.

    Raises:
        NotFoundError: There is no directory for it.
        OSError: It cannot be made (EACCES).
    """

    def __init__(self, path: str) -> None:
        self._new = Replacement(path, None)
        self._file = GrowingFile(self._new, path)

    def write(self, data: bytes) -> None:
        """Append all of `data`."""
        self._file.write(data)

    def commit(self) -> None:
        """Make the file durable, and put it in its place."""
        self._new.commit()

    def close(self) -> None:
        """Remove it, unless it was committed; idempotent."""
        self._new.close()


@final
class StreamOutput:
    """A pipe or another file object, which stays open.

    Args:
        stream: Open for writing bytes.
        path: What it is of, where it was opened for this and is to be closed.
    """

    def __init__(self, stream: BinaryIO, path: str | None = None) -> None:
        self._stream = stream
        self._path = path

    def write(self, data: bytes) -> None:
        """Hand all of `data` on."""
        left = memoryview(data)
        try:
            while left:
                left = left[self._stream.write(left) :]
        except OSError as error:
            error.filename = error.filename or self._path
            raise

    def commit(self) -> None:
        """Hand on what is buffered."""
        self._stream.flush()

    def close(self) -> None:
        """What went down a stream cannot be taken back; without its end it is no whole tar."""
        if self._path is not None:
            self._stream.close()
