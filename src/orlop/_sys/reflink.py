"""Files that share their blocks: copied so where the filesystem can, or made so afterwards."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import Final

_FICLONE: Final = 0x40049409
_FICLONERANGE: Final = 0x4020940D
_CLONE_RANGE: Final = struct.Struct("=qQQQ")  # src_fd, src_offset, src_length, dest_offset
_FIDEDUPERANGE: Final = 0xC0189436
# src_offset, src_length, dest_count; dest_fd, dest_offset, bytes_deduped, status
_DEDUPE_RANGE: Final = struct.Struct("=QQHxxxxxxqQQixxxx")
_SAME: Final = 0
_PIECE: Final = 1 << 20
_DEDUPE_PIECE: Final = 16 << 20
"""As much as every filesystem compares in one call."""
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
_CANNOT_SHARE: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS})
# Of these two files: EINVAL where one has just become shorter, or is a swap file.
_MAY_NOT_SHARE: Final = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.ETXTBSY, errno.EINVAL}
)


class CannotShareError(Exception):
    """The filesystem cannot let files share blocks."""


def share_range(source: int, target: int, *, offset: int, size: int) -> int:
    """Make a file share the blocks of a range of another, where both are equal; how many bytes.

    The kernel locks both and compares them: what is not equal stays as it is. Neither the content
    nor the times of a file change. Bytes that are shared already count.

    Args:
        source: Descriptor open for reading.
        target: Descriptor open for reading, of a file that this process owns or may write.
        offset: Where the range begins in both; a multiple of the filesystem's block size.
        size: Its length; a multiple too, unless it reaches the end of both.

    Raises:
        CannotShareError: The filesystem has no shared blocks.
        OSError: The filesystem can, and failed (ENOSPC, EIO).
    """
    done = 0
    while done < size:
        wanted = min(_DEDUPE_PIECE, size - done)
        shared = _share_piece(source, target, offset + done, wanted)
        done += shared
        if shared < wanted:
            break
    return done


def _share_piece(source: int, target: int, at: int, size: int) -> int:
    argument = bytearray(_DEDUPE_RANGE.pack(at, size, 1, target, at, 0, 0))
    try:
        fcntl.ioctl(source, _FIDEDUPERANGE, argument)
    except OSError as error:
        status = -(error.errno or errno.EIO)
        shared = 0
    else:
        *_, shared, status = _DEDUPE_RANGE.unpack(argument)
    if -status in _CANNOT_SHARE:
        raise CannotShareError
    if status < 0 and -status not in _MAY_NOT_SHARE:
        raise OSError(-status, os.strerror(-status))
    return shared if status == _SAME else 0


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
