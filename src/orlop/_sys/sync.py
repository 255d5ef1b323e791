"""Getting bytes onto the disk: begun early, waited for once."""

from __future__ import annotations

import errno
import os
from typing import Final

from orlop._sys.handle import HasFileno, call

_SYNC_FILE_RANGE_WRITE: Final = 2


def start_writeback(fd: int, offset: int = 0, size: int = 0) -> None:
    """Ask the kernel to begin writing a file's dirty bytes; nothing is waited for or promised.

    Args:
        fd: An open file.
        offset: Where the range begins, in bytes.
        size: Its length in bytes; 0 means to the end of the file.
    """
    try:
        call("sync_file_range", fd, offset, size, _SYNC_FILE_RANGE_WRITE)
    except OSError as error:
        if error.errno not in {errno.ENOSYS, errno.EINVAL, errno.ESPIPE}:
            raise


def syncfs(handle: HasFileno | int) -> None:
    """Return when the whole filesystem that an open file is on is on the disk.

    Raises:
        OSError: Something could not be written (EIO, ENOSPC), by anybody, since it was opened.
    """
    call("syncfs", handle if isinstance(handle, int) else handle.fileno())


def sync_directory(path: str | os.PathLike[str] | int) -> None:
    """Return when the names in a directory are on the disk."""
    if isinstance(path, int):
        os.fsync(path)
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
