"""Resolve a path inside an image."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from orlop.errors import LimitExceededError, NotFoundError

if TYPE_CHECKING:
    from orlop.fsimage.erofs.inode import Inode

MAX_SYMLINKS: Final = 40
"""Symbolic links that one lookup follows, as Linux has it."""


class Names(Protocol):
    """What paths are resolved in."""

    @property
    def root(self) -> Inode:
        """The root directory."""
        ...

    def find(self, inode: Inode, name: bytes) -> Inode | None:
        """The inode that a directory has under a name."""
        ...

    def readlink(self, inode: Inode) -> bytes:
        """The target of a symbolic link."""
        ...


def lookup(names: Names, path: bytes, *, follow: bool) -> Inode:
    """The inode at a path below the root; links and `..` never lead out of it.

    Raises:
        NotFoundError: There is no such path.
        LimitExceededError: More links than `MAX_SYMLINKS` lead on.
    """
    trail = [names.root]
    rest = deque(path.split(b"/"))
    links = 0
    while rest:
        name = rest.popleft()
        if not trail[-1].is_dir:
            raise NotFoundError(f"{_text(path)} leads through what is no directory")
        if name in {b"", b"."}:
            continue
        if name == b"..":
            del trail[max(len(trail) - 1, 1) :]
            continue
        inode = names.find(trail[-1], name)
        if inode is None:
            raise NotFoundError(f"{_text(path)} does not exist: there is no {_text(name)}")
        if not inode.is_link or not (follow or rest):
            trail.append(inode)
            continue
        links += 1
        if links > MAX_SYMLINKS:
            raise LimitExceededError(
                f"{_text(path)} leads through too many symbolic links",
                limit="MAX_SYMLINKS", value=MAX_SYMLINKS,
            )  # fmt: skip
        target = names.readlink(inode)
        rest.extendleft(reversed(target.split(b"/")))
        if target.startswith(b"/"):
            del trail[1:]
    return trail[-1]


def _text(name: bytes) -> str:
    return repr(name.decode(errors="backslashreplace"))
