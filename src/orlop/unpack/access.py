"""Directories and files of one's own that one may not read, opened up for the while."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from orlop._sys.handle import Fd, fd_path
from orlop._sys.openat2 import open_beneath
from orlop.rootfs import open_upper
from orlop.tree.node import S_IFMT

if TYPE_CHECKING:
    from types import TracebackType

_ENTER: Final = 0o700
_READ: Final = 0o400
_FIND: Final = os.O_PATH | os.O_NOFOLLOW


class Access:
    """Reaches all that is below a directory; a context manager that leaves modes as they were.

    Root needs no permission. Others give it to themselves, and take it back: where a process is
    killed meanwhile, its owner may enter a directory that nobody might before.

    Args:
        dir_fd: The directory; borrowed.
    """

    def __init__(self, dir_fd: int) -> None:
        self._dir_fd = dir_fd
        self._uid = os.geteuid()
        self._modes: list[tuple[bytes, int]] = []

    def needed(self, mode: int, uid: int) -> bool:
        """Whether a directory has to be opened up before it is entered."""
        return mode & _ENTER != _ENTER and uid == self._uid != 0

    def enter(self, path: bytes, mode: int) -> None:
        """Open a directory up until the end of the block.

        Raises:
            OSError: It is gone.
        """
        self._change(path, mode | _ENTER)
        self._modes.append((path, mode))

    def open(self, path: bytes) -> int:
        """Open a regular file for reading, as `open_upper`.

        Raises:
            UnsafePathError: It is no regular file.
            OSError: It cannot be opened.
        """
        try:
            return open_upper(self._dir_fd, path, one_mount=True)
        except PermissionError:
            mode = self.stat(path).st_mode
            if not self._uid or mode & _READ:
                raise
            self._change(path, mode | _READ)
            try:
                return open_upper(self._dir_fd, path, one_mount=True)
            finally:
                self._change(path, mode)

    def stat(self, path: bytes) -> os.stat_result:
        """What is at a path now; no link is followed.

        Raises:
            OSError: It is gone.
        """
        with Fd(open_beneath(self._dir_fd, path, _FIND)) as found:
            return os.fstat(found.fileno())

    def look(self, path: bytes) -> os.stat_result:
        """What is at a path now; a link is only followed where a directory was.

        Raises:
            OSError: It is gone.
        """
        if not path:
            return os.fstat(self._dir_fd)
        return os.stat(path, dir_fd=self._dir_fd, follow_symlinks=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for path, mode in reversed(self._modes):
            with suppress(OSError):
                self._change(path, mode)

    def _change(self, path: bytes, mode: int) -> None:
        with Fd(open_beneath(self._dir_fd, path, _FIND)) as found:
            os.chmod(fd_path(found), mode & ~S_IFMT)
