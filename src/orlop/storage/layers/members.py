"""A changeset as members of a tar: without sockets, and each hard link with its inode.

Tar has no sockets, and neither has the image-spec. One that hides something of the layers below is
a whiteout of that; one that hides nothing is not, since overlay lists the name of a whiteout in a
directory that it has nothing to merge with, as podman and containerd make them of layers.

Spec: image-spec v1.1, layer.md, "File Types".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from orlop.tree import Link, Opaque, Put, Whiteout
from orlop.tree.node import S_IFSOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orlop.tree import Entry, Node

Member: TypeAlias = "tuple[Entry, Node | None]"
"""An entry, and the inode that it makes or links to; none for removals."""
Find: TypeAlias = "Callable[[bytes], Node | None]"
"""What layers have at a path, which is asked for only where all its parents are directories."""


def iter_members(entries: Iterable[Entry], below: Find) -> Iterator[Member]:
    """The entries that a tar can have, in their order.

    Args:
        entries: The changeset, whose hard links name earlier entries, and whose directories come
            before what is in them.
        below: What the layers below have, of which a socket may hide something.
    """
    inodes: dict[bytes, Node] = {}
    opaque: set[bytes] = set()
    for entry in entries:
        if type(entry) is Put:
            node = entry.node
            if not node.is_dir:
                inodes[entry.path] = node
        elif type(entry) is Link:
            node = inodes[entry.target]
        else:
            if type(entry) is Opaque:
                opaque.add(entry.path)
            yield entry, None
            continue
        if node.type != S_IFSOCK:
            yield entry, node
        elif _hides(entry.path, opaque, below):
            yield Whiteout(entry.path), None


def _hides(path: bytes, opaque: set[bytes], below: Find) -> bool:
    """Whether layers below would show something at a path."""
    end = path.find(b"/")
    while end >= 0:
        parent = below(path[:end])
        if parent is None or not parent.is_dir or path[:end] in opaque:
            return False
        end = path.find(b"/", end + 1)
    return b"" not in opaque and below(path) is not None
