"""When a whole copy of a layer was made: what has not changed since is as its parent has it.

    layers/<id>/copied      made when the copy was whole, by the filesystem's own clock

The kernel gives each inode that changes the time of the change, and nobody can set that. So a file
whose time is before the marker's holds what was copied.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.storage.layers.ancestry import Located

_NAME = "copied"


def note_copied(place: Path) -> None:
    """Note in a layer's directory that the copy is whole."""
    marker = place / _NAME
    marker.touch()
    os.utime(marker)


def copied_at(layer: Located) -> int | None:
    """When the copy was whole, in nanoseconds since 1970; None where that is not known."""
    try:
        found = os.stat(layer.storage.places.layer(layer.row.id) / _NAME)
    except FileNotFoundError:
        return None
    return found.st_ctime_ns


def is_older(dir_fd: int, path: bytes, moment_ns: int) -> bool:
    """Whether a file has not changed since a moment; False where that cannot be told."""
    try:
        found = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return False
    return found.st_ctime_ns < moment_ns
