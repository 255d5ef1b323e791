"""The directory that an image is unpacked into: empty before, and after whatever went wrong."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from orlop.errors import AlreadyExistsError
from orlop.rootfs import remove_tree
from orlop.unpack.state import DOCUMENT, TREE, UNFINISHED

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Target:
    """An empty directory, made if it is not there; a context manager.

    While its block runs, a file in it says that it is unfinished. After an error all that was
    written is removed, the directory too where it was made here; if even that fails, or the process
    is killed, the mark stays.

    Args:
        path: The directory; the one above it exists.

    Raises:
        AlreadyExistsError: Something is in it.
        OSError: It is no directory, or cannot be made or opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made = _make(path)
        self.fd = os.open(path, _OPEN)
        try:
            self._mode = os.fstat(self.fd).st_mode & 0o7777
            self._begin()
        except BaseException:
            os.close(self.fd)
            if self._made:
                with suppress(OSError):
                    os.rmdir(path)
            raise
        self._names: list[bytes] = []

    def make(self, name: str) -> int:
        """Make a directory in it, and return a handle of it, which is the caller's."""
        os.mkdir(name, 0o700, dir_fd=self.fd)
        self._names.append(name.encode())
        return os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                os.unlink(UNFINISHED, dir_fd=self.fd)
            else:
                with suppress(OSError):
                    self._remove()
        finally:
            os.close(self.fd)

    def _begin(self) -> None:
        names = os.listdir(self.fd)
        if UNFINISHED in names:
            raise _unfinished(self.path)
        if names:
            raise AlreadyExistsError(
                f"{self.path} is not empty", hint="name a new directory, or an empty one"
            )
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            os.close(os.open(UNFINISHED, flags, 0o600, dir_fd=self.fd))
        except FileExistsError:
            raise _unfinished(self.path) from None
        os.fchmod(self.fd, 0o700)

    def _remove(self) -> None:
        for name in self._names:
            remove_tree(self.fd, name)
        for own in (DOCUMENT, TREE):
            for each in (own, f"{own}.new"):
                with suppress(FileNotFoundError):
                    os.unlink(each, dir_fd=self.fd)
        os.unlink(UNFINISHED, dir_fd=self.fd)
        os.fchmod(self.fd, self._mode)
        if self._made:
            os.rmdir(self.path)


def _unfinished(path: Path) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{path}: an image was begun to be unpacked here, and never finished",
        hint="remove the directory, unless somebody is at it just now",
    )


def _make(path: Path) -> bool:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return False
    return True
