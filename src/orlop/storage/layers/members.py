"""A changeset as members of a tar: without sockets, and each hard link with its inode.

Tar has no sockets, and neither has the image-spec. One that hides something of the layers below is
a whiteout of that.

Spec: image-spec v1.1, layer.md, "File Types".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from orlop.tree import Link, Put, Whiteout
from orlop.tree.node import S_IFSOCK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.tree import Entry, Node

Member: TypeAlias = "tuple[Entry, Node | None]"
"""An entry, and the inode that it makes or links to; none for removals."""


def iter_members(entries: Iterable[Entry], *, over: bool) -> Iterator[Member]:
    """The entries that a tar can have, in their order.

    Args:
        entries: The changeset, whose hard links name earlier entries.
        over: Whether there are layers below, of which a socket may hide something.
    """
    inodes: dict[bytes, Node] = {}
    for entry in entries:
        if type(entry) is Put:
            node = entry.node
            if not node.is_dir:
                inodes[entry.path] = node
        elif type(entry) is Link:
            node = inodes[entry.target]
        else:
            yield entry, None
            continue
        if node.type != S_IFSOCK:
            yield entry, node
        elif over:
            yield Whiteout(entry.path), None
