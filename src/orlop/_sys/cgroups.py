"""The control groups that containers run in: what they are called, and how they go.

A container's group lies at the top of every hierarchy, under a name that says whose it is: so it is
found without asking the runtime that made it, which may have been killed before it noted anything.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROOT: Final = Path("/sys/fs/cgroup")
_PATIENCE: Final = 2.0
"""Seconds that processes which were killed get to be gone."""
_PAUSE: Final = 0.01


def group_path(container: str) -> str:
    """Where the control group of a container is, in every hierarchy."""
    return f"/orlop-{container}"


def may_limit(controllers: Iterable[str], root: Path = _ROOT) -> bool:
    """Whether this process may make control groups below its own that limit by these controllers.

    That is so where somebody with the right to has delegated its group, of the unified hierarchy.
    """
    lines = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape")
    own = next((line[3:] for line in lines.splitlines() if line.startswith("0::")), None)
    if own is None:
        return False
    unified = root / "unified"
    group = (unified if unified.is_dir() else root) / own.lstrip("/")
    try:
        found = (group / "cgroup.controllers").read_text(encoding="ascii").split()
    except OSError:
        return False
    return os.access(group, os.W_OK) and {*controllers} <= {*found}


def remove_groups(container: str, root: Path = _ROOT) -> None:
    """Remove the control groups of a container that is no more, with those that it made in them.

    Raises:
        OSError: One cannot be removed: something runs in there.
    """
    name = group_path(container).strip("/")
    deadline = time.monotonic() + _PATIENCE
    for hierarchy in (root, *_directories(root)):
        group = hierarchy / name
        if group.is_dir():
            _remove(group, deadline)


def _directories(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as found:
            return [Path(each.path) for each in found if each.is_dir()]
    except FileNotFoundError:
        return []


def _remove(group: Path, deadline: float) -> None:
    for path, _, _ in os.walk(group, topdown=False):
        while True:
            try:
                os.rmdir(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE)
                continue
            break
