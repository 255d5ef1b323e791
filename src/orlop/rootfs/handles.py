"""Directory handles by place, few at a time, in trees of any depth.

A path is never resolved: every directory is opened by one name below the handle of its parent,
and a symbolic link in its way is an error.
"""

from __future__ import annotations

import os
from typing import Final, Self

from orlop.errors import UnsafePathError

OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_HANDLES: Final = 128


class Place:
    """One directory: a name below the place above it.

    Attributes:
        parent: The place above, None for the root.
        name: The directory's name in `parent`, `b""` for the root.
        fd: Its open handle, -1 while it has none.
        identity: Device and inode number, noted when the handle was given up.
    """

    __slots__ = ("fd", "identity", "name", "parent")

    def __init__(self, parent: Place | None, name: bytes, fd: int = -1) -> None:
        self.parent = parent
        self.name = name
        self.fd = fd
        self.identity: tuple[int, int] | None = None

    def path(self, name: bytes = b"") -> bytes:
        """The path from the root to this place, or to `name` in it."""
        names = [name] if name else []
        place = self
        while place.parent is not None:
            names.append(place.name)
            place = place.parent
        return b"/".join(reversed(names))


class Handles:
    """The open handles of the places below one directory, at most `limit` of them.

    A context manager: at its end every handle is closed, whatever happened.

    Args:
        root: The topmost place; its handle is borrowed, and never closed here.
        limit: How many directories may be open at once, at least 2.
    """

    def __init__(self, root: Place, *, limit: int = MAX_HANDLES) -> None:
        if limit < 2:
            raise ValueError("limit must be at least 2")
        self.root = root
        self._limit = limit
        self._open: dict[Place, None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every handle but the root's, which is not ours."""
        while self._open:
            self.release(next(iter(self._open)))

    def get(self, place: Place) -> int:
        """The handle of `place`; good until the next call of a method of this object.

        Raises:
            OSError: A directory on the way cannot be opened.
            UnsafePathError: The directory is not the one it was before.
        """
        if place.fd >= 0:
            return place.fd
        way = []
        here: Place | None = place
        while here is not None and here.fd < 0:
            way.append(here)
            here = here.parent
        for below in reversed(way):
            assert below.parent is not None
            self._take(below, os.open(below.name, OPEN_DIRECTORY, dir_fd=below.parent.fd))
        return place.fd

    def leave(self, place: Place) -> int:
        """Close `place` and return its parent's handle, found through `..` where it was closed.

        Raises:
            UnsafePathError: The directory has been moved elsewhere meanwhile.
        """
        parent = place.parent
        assert parent is not None
        if parent.fd < 0:
            self._take(parent, os.open("..", OPEN_DIRECTORY, dir_fd=self.get(place)))
        self.release(place)
        return parent.fd

    def link(self, target: Place, target_name: bytes, place: Place, name: bytes) -> None:
        """Make `name` in `place` another name of an inode, which may itself be a symbolic link.

        Raises:
            OSError: The filesystem refused (EMLINK, EEXIST…).
        """
        target_fd = os.dup(self.get(target))
        try:
            os.link(
                target_name,
                name,
                src_dir_fd=target_fd,
                dst_dir_fd=self.get(place),
                follow_symlinks=False,
            )
        finally:
            os.close(target_fd)

    def release(self, place: Place) -> None:
        """Close the handle of `place`, if it has one."""
        if place in self._open:
            del self._open[place]
            os.close(place.fd)
            place.fd = -1

    def _take(self, place: Place, fd: int) -> None:
        place.fd = fd
        self._open[place] = None
        if place.identity is not None and place.identity != _identity(fd):
            raise UnsafePathError(
                "the directory was exchanged while in use",
                where=place.path().decode(errors="backslashreplace"),
            )
        if len(self._open) > self._limit:
            oldest = next(iter(self._open))
            oldest.identity = _identity(oldest.fd)
            self.release(oldest)


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
