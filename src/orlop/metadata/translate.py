"""The errors of SQLite, in the words of orlop."""

from __future__ import annotations

import errno
import os
from typing import Final

import apsw

from orlop._sys.space import has_room
from orlop.errors import AlreadyExistsError, InUseError, InvalidError, NotFoundError, OrlopError

SHARED_MEMORY_SIZE: Final = 32768
"""Bytes by which SQLite's file of shared memory grows."""

_LONGEST_PATH: Final = 500
"""Bytes of a path that SQLite opens for certain, with the names of its other files; 512 at most."""

_NUMBERS = (
    (apsw.FullError, errno.ENOSPC),
    (apsw.ReadOnlyError, errno.EROFS),
    (apsw.PermissionsError, errno.EACCES),
    (apsw.IOError, errno.EIO),
    (apsw.NoLFSError, errno.EFBIG),
)


def translate(error: apsw.Error, path: str) -> Exception:
    """What to raise in place of an error of SQLite, about the database at `path`."""
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return InUseError(
            f"database {path} is locked by another process",
            hint="wait until it has finished, and try again",
        )
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)):
        return InvalidError(
            f"this is no sound database: {error}", where=path, hint="restore it from a copy"
        )
    if isinstance(error, apsw.ConstraintError):
        return _constraint(error, path)
    if isinstance(error, apsw.NoMemError):
        return MemoryError(str(error))
    if isinstance(error, apsw.CantOpenError):
        return _os_error(_why_not_opened(path), path)
    if isinstance(error, apsw.IOError) and os.path.isdir(path):
        return _os_error(errno.EISDIR, path)
    if isinstance(error, apsw.IOError) and _is_full(path):
        return _os_error(errno.ENOSPC, path)
    for kind, number in _NUMBERS:
        if isinstance(error, kind):
            return _os_error(number, path)
    return OrlopError(f"database {path}: {error}")


def _constraint(error: apsw.Error, path: str) -> Exception:
    reason = getattr(error, "extendedresult", None)
    if reason == apsw.SQLITE_CONSTRAINT_FOREIGNKEY:
        return NotFoundError(f"what a record refers to is not recorded in {path}: {error}")
    if reason == apsw.SQLITE_CONSTRAINT_CHECK:
        return ValueError(str(error))
    return AlreadyExistsError(f"a record is in the way in {path}: {error}")


def _why_not_opened(path: str) -> int:
    """SQLite does not say; the usual reasons can be seen."""
    if os.path.isdir(path):
        return errno.EISDIR
    try:
        read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    except OSError as error:
        return error.errno or errno.EIO
    if len(os.fsencode(path)) > _LONGEST_PATH:
        return errno.ENAMETOOLONG
    return errno.EROFS if read_only else errno.EACCES


def _is_full(path: str) -> bool:
    """Whether the filesystem is; SQLite calls it an I/O error where shared memory cannot grow."""
    try:
        return not has_room(os.path.dirname(path), SHARED_MEMORY_SIZE)
    except OSError:
        return False


def _os_error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
