"""A file on its way into a directory: under a random name, locked, until it is durable."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, final

from orlop._sys.sync import start_writeback
from orlop.layout.driver.below import directory_of, is_same_file, open_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.layout.driver.protocol import Data

STAGE_PREFIX: Final = ".orlop-"

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITEBACK_SIZE: Final = 8 << 20


@final
class DirectoryStage:
    """A locked file of a random name in a layout's directory; see `Stage`.

    Args:
        path: The layout's directory.

    Raises:
        NotFoundError: There is no such directory.
        OSError: It cannot be written to (EACCES, ENOSPC).
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._root = open_root(path)
        self._fd = -1
        self._size = self._begun = 0
        try:
            self._create()
        except BaseException:
            os.close(self._root)
            raise

    def write(self, data: Data) -> None:
        """Append all of `data`, and let the disk begin on what is enough for it."""
        left = memoryview(data).cast("B")
        with self._naming():
            while left:
                written = os.write(self._fd, left)
                left = left[written:]
                self._size += written
        if self._size - self._begun >= _WRITEBACK_SIZE:
            start_writeback(self._fd, self._begun, self._size - self._begun)
            self._begun = self._size

    def keep(self, path: str, mode: int) -> None:
        """Make the file durable under its own name, instead of one that is there."""
        with self._naming():
            os.fchmod(self._fd, mode)
            os.fsync(self._fd)
            with directory_of(self._root, path, make=True) as (fd, name):
                os.rename(self._name, name, src_dir_fd=self._root, dst_dir_fd=fd)
                os.fsync(fd)

    def discard(self) -> None:
        """Remove the file where it has its random name still; idempotent."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=self._root)
        finally:
            os.close(fd)
            os.close(self._root)

    def _create(self) -> None:
        """Make and lock a file; another one where a collector came between the two."""
        while self._fd < 0:
            self._name = STAGE_PREFIX + os.urandom(12).hex()
            with self._naming():
                fd = os.open(self._name, _FLAGS, 0o600, dir_fd=self._root)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if is_same_file(fd, self._name, self._root):
                self._fd = fd
            else:
                os.close(fd)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Let errors of the system say which file they are about."""
        try:
            yield
        except OSError as error:
            error.filename = os.path.join(self._path, self._name)
            raise
