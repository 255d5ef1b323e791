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


class Untouched:
    """Tells which files of a whole copy hold what was copied to their paths.

    It is asked about all paths, a directory's before those in it. A directory that is moved takes
    its files along, whose times stay: its own time tells that it may be so, together with that of
    the directory that it is in now.

    Args:
        dir_fd: The copy; borrowed.
        copied_ns: When it was whole.
    """

    def __init__(self, dir_fd: int, copied_ns: int) -> None:
        self._dir_fd = dir_fd
        self._copied_ns = copied_ns
        self._changed: set[bytes] = set()
        self._moved: set[bytes] = set()

    def has(self, path: bytes, *, is_dir: bool) -> bool:
        """Whether a file is such; False for directories, and where it cannot be told."""
        parent = path.rpartition(b"/")[0]
        older = self._is_older(path)
        if not is_dir:
            return older and parent not in self._moved
        if not older:
            self._changed.add(path)
            if path and parent in self._changed:
                self._moved.add(path)
        if parent in self._moved:
            self._moved.add(path)
        return False

    def _is_older(self, path: bytes) -> bool:
        try:
            found = os.stat(path or b".", dir_fd=self._dir_fd, follow_symlinks=False)
        except OSError:
            return False
        return found.st_ctime_ns < self._copied_ns
