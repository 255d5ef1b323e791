"""Where the kernel shows what a layer takes writes in, whatever is recorded of it.

Whoever moves a directory moves the mounts in it, of which no record tells; and a container keeps
its root, whatever becomes of the mount that it was started from.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from orlop._sys.mountinfo import iter_mounts
from orlop._sys.process import mount_namespace

if TYPE_CHECKING:
    from pathlib import Path

    from orlop._sys.mountinfo import MountInfo

_UPPER: Final = re.compile(rb"(?:^|,)upperdir=(.*?)(?=,workdir=|$)", re.DOTALL)


def shown_at(place: Path) -> tuple[str, ...]:
    """The mount points of this mount namespace that show a layer's own files.

    Args:
        place: The layer's directory.
    """
    if not any((place / name).is_dir() for name in ("diff", "tree")):
        return ()
    end = os.fsencode(f"/{place.name}/")
    mounts = iter_mounts(naming=os.fsencode(place.name))
    found = (mount.mount_point for mount in mounts if _shows(mount, place, end))
    return tuple(os.fsdecode(each) for each in found)


def rooted_in(place: Path) -> tuple[int, ...]:
    """The processes of other mount namespaces whose root is a layer's own mount, ascending.

    It need not be mounted here any more. What this process may not look at is not seen.

    Args:
        place: The layer's directory.
    """
    end, here = os.fsencode(f"/{place.name}/"), mount_namespace()
    known: dict[int, bool] = {}
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            namespace = os.stat(f"/proc/{name}/ns/mnt").st_ino
            if namespace == here:
                continue
            if namespace not in known:
                mounts = iter_mounts(f"/proc/{name}/mountinfo", naming=os.fsencode(place.name))
                roots = (each for each in mounts if each.mount_point == b"/")
                known[namespace] = any(_shows(each, place, end) for each in roots)
        except OSError:
            continue
        if known[namespace]:
            found.append(int(name))
    return tuple(sorted(found))


def _shows(mount: MountInfo, place: Path, end: bytes) -> bool:
    if mount.fstype != "overlay":
        return mount.root.endswith(end + b"tree") and _same(mount.mount_point, place / "tree")
    upper = _UPPER.search(mount.super_options)
    if upper is None:
        return False
    return upper[1].endswith(end + b"diff") and _same(upper[1], place / "diff")


def _same(one: bytes, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
