"""The model of a filesystem tree that every reader fills and every writer empties."""

from orlop.tree.changeset import Entry, Link, Opaque, Put, Whiteout
from orlop.tree.node import NO_XATTRS, Node, directory, walk

__all__ = [
    "NO_XATTRS", "Entry", "Link", "Node", "Opaque", "Put", "Whiteout", "directory", "walk",
]  # fmt: skip
