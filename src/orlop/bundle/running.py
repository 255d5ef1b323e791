"""Who runs in a bundle: processes whose root is the bundle's root directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orlop._sys.process import command_line
from orlop.errors import InUseError
from orlop.storage.shown import rooted_in

if TYPE_CHECKING:
    from pathlib import Path


def running_in(rootfs: Path, layer: Path | None = None) -> tuple[int, ...]:
    """The processes that see a directory as their root, in ascending order.

    A container has one from its creation on, before its program starts. What this process may not
    look at is not seen.

    Args:
        rootfs: The directory.
        layer: The directory of the layer that is mounted there, or was when they were started.
    """
    return _running_at(rootfs) or (() if layer is None else rooted_in(layer))


def _running_at(rootfs: Path) -> tuple[int, ...]:
    try:
        wanted = _identity(os.stat(rootfs))
        if wanted == _identity(os.stat("/")):
            return ()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if _identity(os.stat(f"/proc/{name}/root")) == wanted:
                    found.append(int(name))
            except OSError:
                continue
    return tuple(sorted(found))


def require_idle(rootfs: Path, what: str, layer: Path | None = None) -> None:
    """Succeed unless processes run in a bundle.

    Args:
        rootfs: Its root directory.
        what: What to call it.
        layer: As for `running_in`.

    Raises:
        InUseError: They do.
    """
    pids = running_in(rootfs, layer)
    if pids:
        raise InUseError(
            f"{what} is in use by process {pids[0]} ({command_line(pids[0])})",
            users=[f"process {pid}" for pid in pids],
            hint="end the container first: runc delete --force ID, or the like",
        )


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
