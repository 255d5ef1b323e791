"""Whether a filesystem has room for something, found out without leaving anything behind."""

from __future__ import annotations

import errno
import os
from typing import Final

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_TRIAL: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
"""What filesystems answer that have no nameless files, or cannot allocate beforehand."""


def has_room(directory: str, size: int) -> bool:
    """Whether this process may write so many bytes more into a directory.

    Where the filesystem says no, it is tried: it does not count what it keeps back for root, nor
    what was freed a moment ago.

    Raises:
        OSError: There is no such directory, or nothing can be written there.
    """
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize >= size or _can_allocate(directory, size)


def _can_allocate(directory: str, size: int) -> bool:
    try:
        fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _NO_ROOM | _NO_TRIAL:
            return False
        raise
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno in _NO_ROOM | _NO_TRIAL:
            return False
        raise
    finally:
        os.close(fd)
    return True
