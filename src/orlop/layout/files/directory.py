"""The files of a directory, opened by handle and without following any symbolic link below it."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final, final

from orlop.errors import InvalidDocumentError, NotFoundError, UnsafePathError
from orlop.layout.files.extents import FileExtent

if TYPE_CHECKING:
    from pathlib import Path

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Not to block on a FIFO that someone put in a file's place.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@final
class DirectoryFiles:
    """The files below one directory; the directory itself may be reached by a symbolic link.

    Raises:
        NotFoundError: There is no such directory.
        InvalidDocumentError: It is a file.
        OSError: It cannot be opened (EACCES).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._fd = os.open(path, _DIRECTORY)
        except FileNotFoundError:
            raise NotFoundError(f"no such directory: {path}") from None
        except NotADirectoryError:
            raise InvalidDocumentError(
                f"{path} is no directory", hint="read a file with oci-archive: or docker-archive:"
            ) from None

    def open(self, name: str) -> FileExtent:
        """Open a regular file, as `Files.open` says.

        Raises:
            NotFoundError: There is no such file.
            UnsafePathError: It, or a directory above it, is a symbolic link or no file at all.
            OSError: It cannot be opened (EACCES).
        """
        try:
            fd = self._open_below(name)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(f"{self._path} holds no {name}") from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise NotFoundError(f"{self._path} can hold no {name}") from error
            if error.errno == errno.ENXIO:  # What opening a socket fails with.
                raise self._no_file(name) from error
            error.filename = f"{self._path}/{name}"
            raise
        return self._extent(name, fd)

    def size(self, name: str) -> int | None:
        """The length of a regular file in bytes; None where there is none of this name."""
        try:
            with self.open(name) as extent:
                return extent.size
        except NotFoundError:
            return None

    def close(self) -> None:
        """Close the directory; idempotent."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _open_below(self, name: str) -> int:
        root = fd = self._fd
        if root < 0:
            raise ValueError("the directory is closed")
        parts = name.split("/")
        if any(part in {"", ".", ".."} for part in parts):
            raise UnsafePathError("no path below the directory", where=name)
        for number, part in enumerate(parts, 1):
            parent = fd
            try:
                fd = self._open_part(part, parent, name, last=number == len(parts))
            finally:
                if parent != root:
                    os.close(parent)
        return fd

    def _open_part(self, part: str, parent: int, name: str, *, last: bool) -> int:
        try:
            return os.open(part, _FILE if last else _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR} and _is_link(part, parent):
                raise UnsafePathError(
                    f"{part} is a symbolic link, which is not followed",
                    where=f"{self._path}/{name}",
                    hint="replace it by what it points to",
                ) from None
            raise

    def _extent(self, name: str, fd: int) -> FileExtent:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            return FileExtent(fd, 0, status.st_size)
        os.close(fd)
        raise self._no_file(name)

    def _no_file(self, name: str) -> UnsafePathError:
        return UnsafePathError("is no regular file", where=f"{self._path}/{name}")


def _is_link(name: str, parent: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
