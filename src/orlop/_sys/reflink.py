"""Copying file content by sharing its blocks where the filesystem can, by bytes where not."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import Final

_FICLONE: Final = 0x40049409
_FICLONERANGE: Final = 0x4020940D
_CLONE_RANGE: Final = struct.Struct("=qQQQ")  # src_fd, src_offset, src_length, dest_offset
_PIECE: Final = 1 << 20
_CANNOT_CLONE: Final = frozenset(
    {
        errno.EOPNOTSUPP,
        errno.EXDEV,
        errno.EINVAL,
        errno.ENOTTY,
        errno.ENOSYS,
        errno.EPERM,
        errno.EBADF,
    }
)
_CANNOT_COPY: Final = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM}
)


def clone_file(source: int, target: int) -> bool:
    """Make an open file share all blocks of another, and say whether the filesystem could.

    Args:
        source: Descriptor open for reading.
        target: Descriptor of a regular file open for writing; its former content goes.

    Raises:
        OSError: The filesystem can, and failed (ENOSPC, EIO).
    """
    return _ioctl(target, _FICLONE, source)


def clone_range(source: int, target: int, *, offset: int, size: int, at: int) -> bool:
    """Make part of a file share blocks of another, and say whether the filesystem could.

    Args:
        source: Descriptor open for reading.
        target: Descriptor open for writing.
        offset: Where the part begins in `source`; a multiple of the filesystem's block size.
        size: Its length; a multiple too, unless it reaches the end of `source`.
        at: Where it goes in `target`; a multiple too.

    Raises:
        OSError: The filesystem can, and failed (ENOSPC, EIO).
    """
    return _ioctl(target, _FICLONERANGE, _CLONE_RANGE.pack(source, offset, size, at))


def copy_range(source: int, target: int, *, offset: int, size: int, at: int) -> int:
    """Copy part of a file into another by the cheapest way, and return how many bytes there were.

    Fewer than `size` only when `source` ends before; the position of neither file is moved.

    Args:
        source: Descriptor open for reading.
        target: Descriptor open for writing, not for appending.
        offset: Where the part begins in `source`.
        size: Its length in bytes.
        at: Where it goes in `target`.

    Raises:
        OSError: Reading or writing failed.
    """
    if size and clone_range(source, target, offset=offset, size=size, at=at):
        return size
    done = _copy_in_kernel(source, target, offset, size, at)
    while done < size:
        data = os.pread(source, min(_PIECE, size - done), offset + done)
        if not data:
            break
        written = 0
        while written < len(data):
            written += os.pwrite(target, data[written:], at + done + written)
        done += len(data)
    return done


def _copy_in_kernel(source: int, target: int, offset: int, size: int, at: int) -> int:
    done = 0
    while done < size:
        try:
            count = os.copy_file_range(source, target, size - done, offset + done, at + done)
        except OSError as error:
            if error.errno in _CANNOT_COPY:
                break
            raise
        if count == 0:
            break  # The end, or a file of procfs whose size is a lie: reading will tell.
        done += count
    return done


def _ioctl(target: int, request: int, argument: int | bytes) -> bool:
    try:
        fcntl.ioctl(target, request, argument)
    except OSError as error:
        if error.errno in _CANNOT_CLONE:
            return False
        raise
    return True
