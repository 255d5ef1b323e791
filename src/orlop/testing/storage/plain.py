"""A plain directory that everything is done to that is done to a layer: what the layer must show.

An overlay is no plain directory. What it does otherwise is done here on purpose:

| in an overlay                              | in the plain directory                           |
| ------------------------------------------ | ------------------------------------------------ |
| a file of a lower layer that is changed is | before the change, the name that is used is      |
| copied; its other names keep the old one   | parted from the others                           |
| a directory that a lower layer has cannot  | it is not renamed, and EXDEV is what the layer   |
| be renamed                                 | has to say                                       |

The inodes of the lower layers are those that were there when `begin` was called. They are held
open, so that none of their numbers is given to a new one.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING, Final

from orlop._sys.process import in_initial_user_namespace
from orlop.testing.storage.views import view

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.tree import Node

_ANY: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class PlainDirectory:
    """A directory, and which of its inodes lie in lower layers.

    Args:
        path: The directory; it exists.
        overlay: Whether layers are overlays.
    """

    def __init__(self, path: Path, *, overlay: bool) -> None:
        self.path = path
        self._overlay = overlay
        self._lower: dict[int, int] = {}

    @property
    def forgets_links(self) -> bool:
        """Whether names of one inode may appear as two inodes as long as it takes writes.

        In a user namespace an overlay notes nowhere what it has copied.
        """
        return self._overlay and not in_initial_user_namespace()

    def begin(self) -> None:
        """Take all that is there as what lies below a new layer."""
        self.end()
        if not self._overlay:
            return
        for path in self.walk():
            number = os.lstat(path).st_ino
            if number not in self._lower:
                self._lower[number] = os.open(path, _ANY)

    def end(self) -> None:
        """Let go of the inodes of the lower layers."""
        for fd in self._lower.values():
            os.close(fd)
        self._lower.clear()

    def walk(self) -> list[bytes]:
        """All paths, those of directories before what is in them, with the directory's own."""
        found = [os.fsencode(self.path)]
        for folder, folders, files in os.walk(found[0]):
            found += [os.path.join(folder, name) for name in sorted([*folders, *files])]
        return found

    def view(self) -> Node:
        """What the layer must show now."""
        return view(self.path)

    def is_lower(self, path: bytes) -> bool:
        """Whether an inode lies in a lower layer."""
        return os.lstat(path).st_ino in self._lower

    def copy_up(self, path: bytes) -> None:
        """Do what overlay does before a file, or what lies at a path, is changed."""
        status = os.lstat(path)
        fd = self._lower.get(status.st_ino)
        if fd is None or stat.S_ISDIR(status.st_mode):
            return
        if status.st_nlink > 1:
            _part(path)
        else:
            del self._lower[status.st_ino]
            os.close(fd)

    def drop_sockets(self) -> None:
        """Remove the sockets, as a tar does; the times of their directories stay."""
        for path in self.walk():
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                with kept_time(os.path.dirname(path)):
                    os.unlink(path)


class kept_time:  # noqa: N801
    """A context in which a directory changes, and after which it has the time that it had."""

    def __init__(self, path: bytes) -> None:
        self._path = path
        self._time = os.lstat(path).st_mtime_ns

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        os.utime(self._path, ns=(self._time, self._time), follow_symlinks=False)


def _part(path: bytes) -> None:
    """Put a copy of an inode in the place of one of its names."""
    copy = os.path.join(os.path.dirname(path), b".copied up")
    with kept_time(os.path.dirname(path)):
        _copy_inode(path, copy)
        os.rename(copy, path)


def _copy_inode(source: bytes, target: bytes) -> None:
    status = os.lstat(source)
    if stat.S_ISREG(status.st_mode):
        shutil.copyfile(source, target)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    else:
        os.mknod(target, status.st_mode, status.st_rdev)
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    for name in os.listxattr(target, follow_symlinks=False):
        os.removexattr(target, name, follow_symlinks=False)  # inherited
    for name in os.listxattr(source, follow_symlinks=False):
        value = os.getxattr(source, name, follow_symlinks=False)
        os.setxattr(target, name, value, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    times = status.st_atime_ns, status.st_mtime_ns
    os.utime(target, ns=times, follow_symlinks=False)
