"""Directories as trees, and how two of them differ, file by file and byte for byte."""

from __future__ import annotations

import os
import stat

from orlop.rootfs import read_tree
from orlop.tree import Node, iter_differences, lookup, walk


def view(path):
    """A directory as a tree, with the digest of each file's content."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return read_tree(handle, digest_files=True)
    finally:
        os.close(handle)


def differences(left, right, *, root=True):
    """How two views differ: type, mode, owner, time, links, xattrs, devices, targets, content.

    Args:
        left: One.
        right: The other.
        root: Whether the root directories count too; where no layer says what the root is like,
            everybody is free to choose.
    """
    found = [line for line in iter_differences(left, right) if root or line[2:4] != "/ "]
    ours, theirs = dict(walk(left)), dict(walk(right))
    return found + [
        f"content of {path!r}: {ours[path].source} is not {theirs[path].source}"
        for path in ours.keys() & theirs.keys()
        if ours[path].source != theirs[path].source
    ]


def below(root, path):
    """What a view has below a directory, which may be missing."""
    found = lookup(root, path.encode())
    assert found is not None, f"no {path}"
    return found


def changed(root, change):
    """A view with every node but the root changed by `change(path, node)`.

    It is for what a peer is known to show otherwise; hard links stay.
    """
    copies = {}

    def copy(path, node):
        if id(node) in copies:
            return copies[id(node)]
        new = copies[id(node)] = Node(
            node.mode, node.uid, node.gid, node.mtime_ns, node.size, node.rdev, node.target,
            dict(node.xattrs), node.source,
        )  # fmt: skip
        if path:
            change(path, new)
        for name, child in sorted((node.children or {}).items()):
            new.children[name] = copy(path + b"/" + name if path else name, child)
        return new

    return copy(b"", root)


def wrong_link_counts(path):
    """The names below a directory whose `st_nlink` is not the number of their inode's names.

    Directories count themselves, their own name and the directories in them.
    """
    names, found = {}, {}
    for folder, folders, files in os.walk(os.fsencode(path)):
        for name in [b"", *folders, *files]:
            status = os.lstat(os.path.join(folder, name) if name else folder)
            identity = status.st_dev, status.st_ino
            if name and not stat.S_ISDIR(status.st_mode):
                names[identity] = names.get(identity, 0) + 1
            elif not name:
                inside = sum(not os.path.islink(os.path.join(folder, each)) for each in folders)
                names[identity] = 2 + inside
            found[identity] = os.path.join(folder, name), status.st_nlink
    return [
        f"{name!r} has {count} links, not {names[identity]}"
        for identity, (name, count) in found.items()
        if count != names[identity]
    ]
