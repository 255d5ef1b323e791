"""The files of an image written out as a directory, out of its layers' tars."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orlop._sys.handle import Fd
from orlop.errors import OrlopError
from orlop.rootfs import write_tree
from orlop.rootfs.owners import change_node
from orlop.tree import Merger, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from orlop.digest import Digest
    from orlop.idmap import IdMapping
    from orlop.rootfs import WriteReport
    from orlop.tree import EncodedChangeset


def merge_layers(changesets: Iterable[tuple[Digest, EncodedChangeset]]) -> Node:
    """The tree of a stack of layers, the base first.

    Raises:
        InvalidLayerError: The layers do not fit on each other.
        LimitExceededError: They make too much of themselves.
    """
    merger = Merger()
    for diff_id, changeset in changesets:
        try:
            merger.apply(changeset.removals(), changeset.additions())
        except OrlopError as error:
            raise error.inside(f"layer {diff_id}")
    return merger.root


def write_rootfs(
    path: Path, tree: Node, open_tar: Callable[[Digest], int], mapping: IdMapping | None
) -> WriteReport:
    """Write a tree into an empty directory.

    Without privilege all files belong to this process, and devices are left out.

    Args:
        path: The directory.
        tree: What is written; its owners become the machine's.
        open_tar: Gives a handle of a layer's tar.
        mapping: The container's ids; the machine's own where None.

    Raises:
        NotFoundError: A file belongs to somebody whom the mapping does not have.
        UnsupportedError: Something cannot be made here.
        OSError: Something could not be written.
    """
    privileged = os.geteuid() == 0
    if mapping is not None and privileged:
        change = _change(mapping)
        for node in _inodes(tree):
            change_node(node, change)
    with Fd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
        return write_tree(
            tree, root.fileno(), open_tar, ownership=privileged,
            xattrs="strict" if privileged else "drop",
        )  # fmt: skip


def _change(mapping: IdMapping) -> Callable[[int, int], tuple[int, int]]:
    """Who owns what on the machine; where there is one id alone, all belongs to it."""
    if sum(part.size for part in mapping.uids) == 1:
        root = mapping.to_host(0, 0)
        return lambda _uid, _gid: root
    return mapping.to_host


def _inodes(root: Node) -> Iterator[Node]:
    met, left = {root}, [root]
    while left:
        node = left.pop()
        yield node
        fresh = {*(node.children or {}).values()} - met
        met |= fresh
        left += fresh
