"""An image as a tree of nodes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from orlop.errors import InvalidImageError, LimitExceededError, UnsupportedError
from orlop.tree.node import S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orlop.digest import Digest
    from orlop.fsimage.erofs.addresses import Extent
    from orlop.fsimage.erofs.dirents import Dirent
    from orlop.fsimage.erofs.inode import Inode
    from orlop.tree.node import Node

MAX_ENTRIES: Final = 1 << 22
"""Names in a tree that is read whole."""
MAX_TREE_TEXT: Final = 1 << 28
"""Bytes of targets and extended attributes in a tree that is read whole."""
MAX_EXTENTS: Final = 1 << 20
"""Extents of one file."""


class Inodes(Protocol):
    """What a tree is read from."""

    @property
    def root(self) -> Inode:
        """The root directory."""
        ...

    def inode(self, nid: int) -> Inode:
        """The inode with a number."""
        ...

    def stat(self, inode: Inode) -> Node:
        """A node that describes the inode."""
        ...

    def list(self, inode: Inode) -> Iterator[Dirent]:
        """The names in a directory."""
        ...

    def extents(self, inode: Inode) -> Iterator[Extent]:
        """Where the data of an inode lies."""
        ...


def bounded_extents(extents: Iterable[Extent]) -> list[Extent]:
    """All extents of a file.

    Raises:
        LimitExceededError: There are more than `MAX_EXTENTS`.
    """
    gathered: list[Extent] = []
    for extent in extents:
        gathered.append(extent)
        if len(gathered) > MAX_EXTENTS:
            raise LimitExceededError(
                "a file is in too many pieces", limit="MAX_EXTENTS", value=MAX_EXTENTS
            )
    return gathered


class TreeBuilder:
    """Reads a tree breadth first, each inode once.

    Args:
        inodes: What to read.
        sources: What nodes name the devices by.
        adopt: Says where content is that no node can point at.
        max_entries: How many names the tree may have.
    """

    def __init__(
        self,
        inodes: Inodes,
        sources: Sequence[Digest],
        adopt: Callable[[Inode], tuple[Digest, int]] | None,
        max_entries: int,
    ) -> None:
        self._inodes = inodes
        self._sources = sources
        self._adopt = adopt
        self._max_entries = max_entries
        self._entries = 0
        self._text = 0
        self._nodes: dict[int, Node] = {}
        self._queue: deque[tuple[Inode, Node]] = deque()

    def build(self) -> Node:
        """The root of the tree."""
        root = self._make(self._inodes.root)
        while self._queue:
            self._fill(*self._queue.popleft())
        return root

    def _fill(self, inode: Inode, directory: Node) -> None:
        children = directory.children
        assert children is not None
        for name, nid, _ in self._inodes.list(inode):
            self._entries += 1
            if self._entries > self._max_entries:
                raise LimitExceededError(
                    "the tree has too many names", limit="max_entries", value=self._max_entries
                )
            node = self._nodes.get(nid)
            if node is None:
                node = self._make(self._inodes.inode(nid))
            elif node.is_dir:
                raise InvalidImageError("a directory has two names", where=f"inode {nid}")
            if name in children:
                raise InvalidImageError(f"{name!r} is there twice", where=f"inode {inode.nid}")
            children[name] = node

    def _make(self, inode: Inode) -> Node:
        node = self._nodes[inode.nid] = self._inodes.stat(inode)
        self._text += inode.xattr_size + len(node.target) + sum(map(len, node.xattrs.values()))
        if self._text > MAX_TREE_TEXT:
            raise LimitExceededError(
                "the tree has too many targets and extended attributes",
                limit="MAX_TREE_TEXT", value=MAX_TREE_TEXT,
            )  # fmt: skip
        if inode.is_dir:
            self._queue.append((inode, node))
        elif inode.type == S_IFREG and inode.size:
            self._place(inode, node)
        return node

    def _place(self, inode: Inode, node: Node) -> None:
        """Say in the node where the content lies."""
        extents = bounded_extents(self._inodes.extents(inode))
        stored = [extent for extent in extents if extent.device is not None]
        if len(stored) != len(extents):
            node.segments = tuple((extent.start, extent.size) for extent in stored)
        if not stored:
            return
        device = _device_of(stored)
        if device:
            node.source, node.offset = self._sources[device - 1], stored[0].offset
        elif self._adopt is not None:
            node.segments = None
            node.source, node.offset = self._adopt(inode)
        else:
            raise UnsupportedError(
                f"the content of inode {inode.nid} is not one range of a device",
                hint="give `adopt`, or read the file through `open`",
            )


def _device_of(stored: Sequence[Extent]) -> int:
    """The extra device in which the extents lie one after another, 0 if there is none."""
    device, offset = stored[0].device, stored[0].offset
    for extent in stored:
        if extent.device != device or extent.offset != offset or extent.packed is not None:
            return 0
        offset += extent.size
    return device or 0
