"""Who runs in a bundle: processes whose root is the bundle's root directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orlop._sys.process import command_line
from orlop.errors import InUseError

if TYPE_CHECKING:
    from pathlib import Path


def running_in(rootfs: Path) -> tuple[int, ...]:
    """The processes that see a directory as their root, in ascending order.

    A container has one from its creation on, before its program starts. What this process may not
    look at is not seen.
    """
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


def require_idle(rootfs: Path, what: str) -> None:
    """Succeed unless processes run in a bundle.

    Raises:
        InUseError: They do.
    """
    pids = running_in(rootfs)
    if pids:
        raise InUseError(
            f"{what} is in use by process {pids[0]} ({command_line(pids[0])})",
            users=[f"process {pid}" for pid in pids],
            hint="end the container first: runc delete --force ID, or the like",
        )


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
