"""Extended attributes of open files, and of names below a directory handle.

The kernel has calls with a directory handle only since Linux 6.13, so the name is reached through
`/proc/self/fd`; a symbolic link is never followed, its own attributes are meant.
"""

from __future__ import annotations

import errno
import os


def set_xattr_at(dir_fd: int, name: bytes, key: bytes, value: bytes) -> None:
    """Set an extended attribute of the entry `name`, even of a symbolic link.

    Raises:
        OSError: ENOTSUP, the filesystem or the kind of file has none of that namespace; EPERM.
    """
    os.setxattr(_path_at(dir_fd, name), key, value, follow_symlinks=False)


def xattrs_at(dir_fd: int, name: bytes) -> dict[bytes, bytes]:
    """The extended attributes of the entry `name` that this process may read, sorted by name."""
    return _all_of(_path_at(dir_fd, name), follow=False)


def xattrs_of(fd: int) -> dict[bytes, bytes]:
    """The extended attributes of an open file that this process may read, sorted by name."""
    return _all_of(fd, follow=True)


def _path_at(dir_fd: int, name: bytes) -> bytes:
    if not name or b"/" in name or name == b"..":
        raise ValueError(f"{name!r} is no name of an entry")
    return b"/proc/self/fd/%d/%b" % (dir_fd, name)


def _all_of(place: bytes | int, *, follow: bool) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    try:
        names = sorted(os.listxattr(place, follow_symlinks=follow))
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return found
        raise
    for key in names:
        try:
            found[os.fsencode(key)] = os.getxattr(place, key, follow_symlinks=follow)
        except OSError as error:
            # Gone since it was listed, or a name that this filesystem lists and does not give, or a
            # capability that is worth something in other user namespaces than this one.
            if error.errno not in {errno.ENODATA, errno.ENOTSUP, errno.EOVERFLOW}:
                raise
    return found
