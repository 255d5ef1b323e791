"""Directories as trees, and how two of them differ, file by file and byte for byte."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orlop.rootfs import read_tree
from orlop.tree import Node, iter_differences, walk
from orlop.tree.node import S_IFSOCK

if TYPE_CHECKING:
    from pathlib import Path


def view(path: Path) -> Node:
    """A directory as a tree, with the digest of each file's content."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return read_tree(fd, digest_files=True)
    finally:
        os.close(fd)


def differences(left: Node, right: Node) -> list[str]:
    """How two views differ: type, mode, owner, time, links, xattrs, devices, targets, content."""
    found = list(iter_differences(left, right))
    ours, theirs = dict(walk(left)), dict(walk(right))
    return found + [
        f"content of {path!r}: {ours[path].source} is not {theirs[path].source}"
        for path in ours.keys() & theirs.keys()
        if ours[path].source != theirs[path].source
    ]


def without_links(node: Node) -> Node:
    """A view in which every name has an inode of its own."""
    new = Node(
        node.mode, node.uid, node.gid, node.mtime_ns, node.size, node.rdev, node.target,
        node.xattrs, node.source,
    )  # fmt: skip
    if new.children is not None:
        children = (node.children or {}).items()
        new.children.update((name, without_links(child)) for name, child in children)
    return new


def without_sockets(node: Node) -> Node:
    """A view as a tar has it, which knows no sockets; times of directories stay."""
    copies: dict[Node, Node] = {}

    def copy(old: Node) -> Node:
        if old not in copies:
            new = copies[old] = Node(
                old.mode, old.uid, old.gid, old.mtime_ns, old.size, old.rdev, old.target,
                old.xattrs, old.source,
            )  # fmt: skip
            for name, child in (old.children or {}).items():
                if child.type != S_IFSOCK:
                    assert new.children is not None
                    new.children[name] = copy(child)
        return copies[old]

    return copy(node)
