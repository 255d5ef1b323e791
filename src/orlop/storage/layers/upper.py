"""The directory that takes a layer's writes.

layers/<id>/
diff/     what was written, in overlay's form; made with the layer's first mount
work/     the kernel's own
tree/     instead of both: all files of the layer, those of its parents too
data/     big data
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orlop._sys.handle import Fd, fd_path
from orlop._sys.xattr import xattrs_of

if TYPE_CHECKING:
    from orlop.drivers import MountHandle

_OVERLAYS: tuple[bytes, ...] = (b"trusted.overlay.", b"user.overlay.")


def prepare_upper(
    place: Path,
    lower: Path | MountHandle,
    *,
    volatile: bool = False,
) -> None:
    """Make a layer's directories, unless they are there.

    Overlay shows the root of its topmost directory: a new one gets the attributes of what lies
    below it, and its own name last, so that it is whole wherever it is.

    Args:
        place: The layer's directory.
        lower: What lies below, already with the owners that are to be seen.
        volatile: Also remove what keeps a volatile overlay from being mounted again.

    Raises:
        OSError: They cannot be made.
    """
    upper, work = place / "diff", place / "work"
    if not upper.is_dir():
        place.mkdir(mode=0o700, exist_ok=True)
        fresh = place / "diff.new"
        fresh.mkdir(mode=0o700, exist_ok=True)
        copy_attributes(lower, fresh)
        os.rename(fresh, upper)
    work.mkdir(mode=0o700, exist_ok=True)
    if volatile:
        from orlop.storage.staging import discard

        discard(work / "work" / "incompat")


def copy_attributes(source: Path | MountHandle, target: Path) -> None:
    """Give a directory of this process the owner, mode, time and attributes of another."""
    path = source if isinstance(source, Path) else os.fsdecode(fd_path(source))
    with (
        Fd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as old,
        Fd(os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as new,
    ):
        found = os.fstat(old.fileno())
        if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(new.fileno(), found.st_uid, found.st_gid)
        for name, value in xattrs_of(old.fileno()).items():
            if not name.startswith(_OVERLAYS):
                os.setxattr(new.fileno(), name, value)
        os.fchmod(new.fileno(), found.st_mode & 0o7777)
        os.utime(new.fileno(), ns=(found.st_mtime_ns, found.st_mtime_ns))
