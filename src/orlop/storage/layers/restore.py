"""A whole copy that lacks something, told as what it would be if it lacked nothing.

Where files could not be given to their owners, each has that of the file which the layers below
have in its place, and new ones are root's. Devices, and attributes of unchanged files that only
privilege sets, are as below. Otherwise all of them would count as changed or deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.tree import directory
from orlop.tree.node import S_IFBLK, S_IFCHR

if TYPE_CHECKING:
    from orlop.storage.left_out import LeftOut
    from orlop.tree import Node

_PRIVILEGED: Final = (b"trusted.", b"security.")


def restore(root: Node, below: Node | None, left_out: LeftOut) -> None:
    """Give a tree what was left out when it was copied.

    Args:
        root: The tree as it lies in the directory, which is changed.
        below: What it was copied from; its nodes are given away.
        left_out: What was left out.
    """
    met = {root}
    stack = [(root, below or directory())]
    _restore_inode(root, below, left_out)
    while stack:
        new, old = stack.pop()
        ours, theirs = new.children, old.children
        assert ours is not None
        assert theirs is not None
        for name, node in ours.items():
            before = theirs.get(name)
            if node not in met:
                met.add(node)
                _restore_inode(node, before, left_out)
            if node.is_dir:
                stack.append(
                    (node, before if before is not None and before.is_dir else directory())
                )
        if left_out.count:
            devices = {name: node for name, node in theirs.items() if _is_device(node)}
            ours.update({name: node for name, node in devices.items() if name not in ours})


def _restore_inode(node: Node, before: Node | None, left_out: LeftOut) -> None:
    same = before is not None and before.type == node.type
    if not left_out.owners:
        node.uid, node.gid = (before.uid, before.gid) if before is not None and same else (0, 0)
    if before is not None and same and left_out.count and before.mtime_ns == node.mtime_ns:
        lost = {
            name: value
            for name, value in before.xattrs.items()
            if name.startswith(_PRIVILEGED) and name not in node.xattrs
        }
        if lost:
            node.xattrs = {**node.xattrs, **lost}


def _is_device(node: Node) -> bool:
    return node.type in {S_IFCHR, S_IFBLK}
