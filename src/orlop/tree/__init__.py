"""The model of a filesystem tree that every reader fills and every writer empties."""

from orlop.tree.changeset import Entry, Link, Opaque, Put, Whiteout
from orlop.tree.codec import ChangesetEncoder, EncodedChangeset
from orlop.tree.difference import Change, difference, iter_changes
from orlop.tree.dump import dump, iter_differences
from orlop.tree.merge import Merger, lookup, merge, split
from orlop.tree.node import NO_XATTRS, Node, copy_directories, directory, walk

__all__ = [
    "NO_XATTRS",
    "Change",
    "ChangesetEncoder",
    "EncodedChangeset",
    "Entry",
    "Link",
    "Merger",
    "Node",
    "Opaque",
    "Put",
    "Whiteout",
    "copy_directories",
    "difference",
    "directory",
    "dump",
    "iter_changes",
    "iter_differences",
    "lookup",
    "merge",
    "split",
    "walk",
]
