"""Where the store of a user is, unless somebody says otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orlop.errors import NotFoundError
from orlop.storage.places import Places, resolved

if TYPE_CHECKING:
    from os import PathLike


def find_places(
    root: str | PathLike[str] | None = None, run: str | PathLike[str] | None = None
) -> Places:
    """Where a store is, or would be: where it is said, else where this user's is by default.

    `ORLOP_ROOT` and `ORLOP_RUN` are for the command to read; this looks only at who one is and at
    the directories that the desktop's rules name.

    Raises:
        NotFoundError: It is not said, and this user has no home directory.
    """
    return Places(
        _default_root() if root is None else Path(root).absolute(),
        resolved(_default_run() if run is None else run),
    )


def _default_root() -> Path:
    return Path("/var/lib/orlop") if os.geteuid() == 0 else _user_data() / "orlop"


def _default_run() -> Path:
    if os.geteuid() == 0:
        return Path("/run/orlop")
    run = os.environ.get("XDG_RUNTIME_DIR")
    return Path(run, "orlop") if run else _user_data() / "orlop-run"


def _user_data() -> Path:
    try:
        return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    except RuntimeError as error:
        raise NotFoundError(
            "this user has no home directory", hint="say where the store is with --root and --run"
        ) from error
