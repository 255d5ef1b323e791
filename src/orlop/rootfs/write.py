"""Trees into directories.

Names are created only inside directories that were made here, by handle; nothing of the image is
ever resolved as a path.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from orlop.errors import InvalidLayerError
from orlop.rootfs.content import ContentCopier
from orlop.rootfs.create import (
    MAX_RECORDED_DROPS,
    Creator,
    Dropped,
    OverlayNamespace,
    XattrPolicy,
    check_name,
)
from orlop.rootfs.handles import Handles, Place
from orlop.rootfs.helper import LARGE, ContentHelper
from orlop.tree.node import S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orlop.digest import Digest
    from orlop.tree import Node

    CopyContent: TypeAlias = Callable[[Place, bytes, Node, int], None]
    """Writes the content of the file at a place and name, which is a node, to a new open file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteReport:
    """What was written, and what could not be.

    Attributes:
        inodes: How many inodes were made, the root not counted.
        links: How many further names of them.
        dropped: What is missing, the first thousand records.
        dropped_count: How many records there would be.
    """

    inodes: int
    links: int
    dropped: tuple[Dropped, ...]
    dropped_count: int


def write_tree(
    root: Node,
    dir_fd: int,
    open_source: Callable[[Digest], int],
    *,
    ownership: bool = True,
    xattrs: XattrPolicy = "strict",
    overlay: OverlayNamespace | None = None,
    progress: Callable[[int], object] | None = None,
) -> WriteReport:
    """Fill an empty directory with a tree and return what could not be kept of it.

    The directory's own metadata become the root node's. After an error it holds anything, and
    the caller throws it away. Nothing is synced.

    Args:
        root: The tree; a node met twice is a hard link.
        dir_fd: The empty directory, which nobody else writes to; borrowed.
        open_source: Returns a handle of the bytes that a node's `source` names; borrowed, asked
            once for each source, maybe by a thread that copies the contents of large files.
        ownership: Set owners. Without, all belongs to this process. Devices and privileged xattrs
            that it may not make are dropped then, and for root of a user namespace.
        xattrs: `strict` when an xattr that the filesystem refuses is an error, `drop` when it
            is left out.
        overlay: The tree is in overlay's form (`overlay_form`), and the marks of this namespace
            are never left out.
        progress: Called with the number of inodes that are made, after each directory; what it
            raises stops the work.

    Raises:
        InvalidLayerError: A source ends before a file's content does; a directory has two names.
        UnsafePathError: A name is not one name in one directory.
        UnsupportedError: An xattr or a device cannot be made here, or an owner has no id here.
        OSError: The filesystem refused (ENOSPC, EDQUOT…), with the entry's path.
    """
    with Handles(Place(None, b"", dir_fd)) as handles:
        opened = _once(open_source)
        helper = ContentHelper(opened, ownership, xattrs, overlay)
        writer = TreeWriter(handles, ownership, xattrs, overlay, helper, progress)
        content = ContentCopier(opened, where=writer.where)
        try:
            return writer.write(root, lambda _place, _name, node, fd: content.copy(node, fd))
        except OSError as error:
            if error.filename is not None and helper.failed is error:
                raise
            raise OSError(error.errno, error.strerror, writer.where()) from error
        finally:
            helper.cancel()


class TreeWriter:
    """Writes one tree; for `write_tree` and `copy_tree`, which have content from elsewhere.

    Args:
        handles: Those below the empty directory.
        ownership: As in `write_tree`.
        xattrs: As in `write_tree`.
        overlay: As in `write_tree`.
        helper: Writes large files beside; None where their content comes from elsewhere.
        progress: As in `write_tree`.
    """

    def __init__(
        self,
        handles: Handles,
        ownership: bool,
        xattrs: XattrPolicy,
        overlay: OverlayNamespace | None = None,
        helper: ContentHelper | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        self._handles = handles
        self._helper = helper
        self._progress = progress
        self._creator = Creator(
            ownership=ownership, xattrs=xattrs, where=self.where, overlay=overlay
        )
        self._place = handles.root
        self._name = b""
        self._shared: dict[Node, tuple[Place, bytes] | None] = {}
        self._closed_modes: list[tuple[Place, int]] = []
        self._inodes = 0
        self._links = 0
        self._copy_content: CopyContent

    def where(self) -> bytes:
        """The path of the entry at hand."""
        return self._place.path(self._name)

    def write(self, root: Node, copy_content: CopyContent) -> WriteReport:
        """Write the tree, the content of its files by `copy_content`."""
        self._copy_content = copy_content
        self._shared = dict.fromkeys(_shared_nodes(root))
        self._creator.adopt_root(self._handles.root.fd)
        self._fill(root)
        dropped, dropped_count = self._creator.dropped, self._creator.dropped_count
        if self._helper is not None:
            self._helper.finish()
            dropped = (dropped + self._helper.creator.dropped)[:MAX_RECORDED_DROPS]
            dropped_count += self._helper.creator.dropped_count
        for place, mode in self._closed_modes:
            self._place, self._name = place, b""
            os.fchmod(self._handles.get(place), mode)
            self._handles.release(place)
        return WriteReport(
            inodes=self._inodes,
            links=self._links,
            dropped=tuple(dropped),
            dropped_count=dropped_count,
        )

    def _fill(self, root: Node) -> None:
        assert root.children is not None
        stack = [(root, iter(root.children.items()))]
        while stack:
            node, entries = stack[-1]
            below = self._write_files(self._handles.get(self._place), entries)
            if below is not None:
                assert below.children is not None
                stack.append((below, iter(below.children.items())))
            else:
                stack.pop()
                self._leave(node)

    def _write_files(self, dir_fd: int, entries: Iterator[tuple[bytes, Node]]) -> Node | None:
        """Write entries until one is a directory, which is made, entered and returned."""
        for name, node in entries:
            check_name(name)
            self._name = name
            if node.children is not None:
                self._enter(dir_fd, name)
                return node
            if node in self._shared and self._link(node):
                # A far link may have cost this directory its handle.
                dir_fd = self._handles.get(self._place)
            elif node.mode & 0o170000 == S_IFREG:
                self._write_file(dir_fd, name, node)
            elif self._creator.make_special(dir_fd, name, node):
                self._inodes += 1
            elif node in self._shared:
                self._shared[node] = None
        return None

    def _write_file(self, dir_fd: int, name: bytes, node: Node) -> None:
        fd = self._creator.open_file(dir_fd, name, node)
        if self._helper is not None and node.size >= LARGE:
            self._helper.take(self._place, name, node, fd)
            self._inodes += 1
            return
        try:
            if node.size:
                self._copy_content(self._place, self._name, node, fd)
            self._creator.finish_file(fd, node)
        finally:
            os.close(fd)
        self._inodes += 1

    def _enter(self, dir_fd: int, name: bytes) -> None:
        self._creator.make_directory(dir_fd, name)
        self._inodes += 1
        self._place = Place(self._place, name)
        self._name = b""

    def _leave(self, node: Node) -> None:
        """Finish the directory at hand and return to the one above."""
        place = self._place
        self._name = b""
        mode = node.mode & 0o7777
        fd = self._handles.get(place)
        if self._shared and mode & 0o700 != 0o700:
            # A later hard link may have to pass through it.
            self._closed_modes.append((place, mode))
            mode = 0o700
        self._creator.finish_directory(fd, node, mode=mode)
        if place.parent is not None:
            self._handles.leave(place)
            self._place = place.parent
        if self._progress is not None:
            self._progress(self._inodes)

    def _link(self, node: Node) -> bool:
        """Link to the node's first name, or remember this one as the first."""
        first = self._shared[node]
        if first is None:
            self._shared[node] = (self._place, self._name)
            return False
        place, name = first
        self._handles.link(place, name, self._place, self._name)
        self._links += 1
        return True


def _once(open_source: Callable[[Digest], int]) -> Callable[[Digest], int]:
    """The same for two threads, asking once for each source."""
    lock = threading.Lock()
    found: dict[Digest, int] = {}

    def opened(source: Digest) -> int:
        with lock:
            if source not in found:
                found[source] = open_source(source)
            return found[source]

    return opened


def _shared_nodes(root: Node) -> set[Node]:
    """The nodes that have several names."""
    met: set[Node] = {root}
    shared: set[Node] = set()
    stack = [root]
    while stack:
        for node in (stack.pop().children or {}).values():
            if node in met:
                if node.is_dir:
                    raise InvalidLayerError("a directory has two names")
                shared.add(node)
            met.add(node)
            if node.children:
                stack.append(node)
    return shared
