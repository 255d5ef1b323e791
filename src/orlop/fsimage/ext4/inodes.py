"""The inodes of a tree, counted and checked: which number each has, and how much it takes.

The root has number 2, `lost+found` 11, and all others the numbers from there on, in breadth-first
order, the children of a directory in byte order.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError, OrlopError, UnsupportedError
from orlop.fsimage.ext4.content import check_stored, stored_runs
from orlop.fsimage.ext4.directory import Index, fits_one_block
from orlop.fsimage.ext4.extents import MAX_LENGTH, tree_size
from orlop.fsimage.ext4.format import (
    FIRST_INODE,
    MAX_LINKS,
    ROOT_INODE,
    SHORT_TARGET,
    blocks_of,
)
from orlop.fsimage.ext4.inode import check_node
from orlop.fsimage.ext4.xattrs import MAX_SHARED, Attributes, encode_xattrs
from orlop.fsimage.names import check_names, named
from orlop.tree.node import S_IFLNK, S_IFMT, S_IFREG, Node, directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.fsimage.ext4.options import Ext4Options

LOST_FOUND: Final = b"lost+found"
LOST_FOUND_BLOCKS: Final = 4
_NO_CHILDREN: Final[Mapping[bytes, Node]] = {}


class Shared:
    """A block of attributes of one or more inodes.

    Attributes:
        block: What is in it, its refcount 0.
        first: The place in the order of the first inode that has it.
        count: How many inodes have it.
        address: Where it lies.
    """

    __slots__ = ("address", "block", "count", "first")

    def __init__(self, block: bytes, first: int) -> None:
        self.block = block
        self.first = first
        self.count = 0
        self.address = 0


class Inodes:
    """All inodes of a tree.

    Args:
        root: The root directory.
        options: What is asked for.

    Attributes:
        root: The root directory.
        order: Every inode once, by number.
        places: The place in the order of each inode.
        links: Link counts of files with more than one.
        subdirectories: How many directories are in each that has some.
        parents: The directory that each directory is in; the root is in itself.
        indexes: The trees of directories of more than one block, by place.
        attributes: Extended attributes, by place.
        shared: Blocks of attributes, by place.
        lost_found: The directory `lost+found`, where the tree has none.
        seed: What the hashes of names begin with.

    Raises:
        InvalidImageError: A name, type, size or attribute cannot be in any filesystem.
        LimitExceededError: Something is more than the format has room for.
        UnsupportedError: Something has no place in the format.
    """

    __slots__ = (
        "_drop_foreign", "_encoded", "_sharing", "attributes", "indexes", "links", "lost_found",
        "order", "parents", "places", "root", "seed", "shared", "subdirectories",
    )  # fmt: skip

    def __init__(self, root: Node, options: Ext4Options) -> None:
        self.root = root
        self.order: list[Node] = [root]
        self.places: dict[Node, int] = {root: 0}
        self.links: dict[Node, int] = {}
        self.subdirectories: dict[Node, int] = {}
        self.parents: dict[Node, Node] = {root: root}
        self.indexes: dict[int, Index] = {}
        self.attributes: dict[int, Attributes] = {}
        self.shared: dict[int, Shared] = {}
        self.lost_found: Node | None = None
        self.seed: tuple[int, int, int, int] = struct.unpack(
            "<4I", hashlib.sha256(options.uuid).digest()[:16]
        )
        self._drop_foreign = options.drop_foreign_xattrs
        self._encoded: dict[tuple[tuple[bytes, bytes], ...], Attributes] = {}
        self._sharing: dict[bytes, Shared] = {}
        found = (root.children or _NO_CHILDREN).get(LOST_FOUND)
        if found is None:
            self.lost_found = directory(0o700, mtime_ns=options.time_ns)
        elif not found.is_dir:
            raise UnsupportedError(
                "/lost+found is no directory, as it must be on ext4", hint="remove it from the tree"
            )
        self._count()

    @property
    def used(self) -> int:
        """How many numbers are used, those that are reserved with them."""
        return FIRST_INODE - 2 + len(self.order)

    @staticmethod
    def number(place: int) -> int:
        """The number of the inode at a place in the order."""
        return place + FIRST_INODE - 1 if place else ROOT_INODE

    def children(self, node: Node) -> Mapping[bytes, Node]:
        """What is in a directory, `lost+found` with it."""
        children = node.children or _NO_CHILDREN
        if node is self.root and self.lost_found is not None:
            return {**children, LOST_FOUND: self.lost_found}
        return children

    def link_count(self, node: Node) -> int:
        """The link count of an inode; 1 for a directory with more than can be counted."""
        if node.children is None:
            return self.links.get(node, 1)
        count = 2 + self.subdirectories.get(node, 0)
        return count if count < MAX_LINKS else 1

    def blocks(self, place: int, node: Node) -> int:
        """Blocks of a directory's, a link's, or a whole file's content."""
        kind = node.mode & S_IFMT
        if kind == S_IFREG:
            return blocks_of(node.size)
        if node.children is not None:
            if node is self.lost_found:
                return LOST_FOUND_BLOCKS
            index = self.indexes.get(place)
            return index.blocks if index else 1
        return 1 if kind == S_IFLNK and len(node.target) >= SHORT_TARGET else 0

    def content(self) -> int:
        """Blocks that all content takes, where no file is cut in pieces by what lies between."""
        total = sum(shared.first == place for place, shared in self.shared.items())
        for place, node in enumerate(self.order):
            if node.segments is None or node.mode & S_IFMT != S_IFREG:
                blocks = self.blocks(place, node)
                total += blocks
                if blocks > MAX_LENGTH:
                    total += tree_size(-(-blocks // MAX_LENGTH))
            else:
                runs = stored_runs(node)
                total += sum(length for _, length in runs)
                total += tree_size(sum(-(-length // MAX_LENGTH) for _, length in runs))
        return total

    def _count(self) -> None:
        for place, node in enumerate(self.order):
            try:
                check_node(node)
                if node.xattrs:
                    self._add_attributes(place, node)
                if node.size and node.mode & S_IFMT == S_IFREG:
                    check_stored(node)
                if node.children is not None:
                    self._add_children(place, node)
            except OrlopError as error:
                raise named(error, self.root, node)
        for node, count in self.links.items():
            if count > MAX_LINKS:
                raise named(
                    LimitExceededError(
                        f"a file of {count} names", limit="MAX_LINKS", value=MAX_LINKS
                    ),
                    self.root, node,
                )  # fmt: skip

    def _add_children(self, place: int, node: Node) -> None:
        children = self.children(node)
        if not children:
            return
        names = sorted(children)
        check_names(names)
        if not fits_one_block(names):
            self.indexes[place] = Index(names, self.seed)
        if node is self.root:  # where it is on every ext4
            names.sort(key=LOST_FOUND.__ne__)
        places, order, links = self.places, self.order, self.links
        subdirectories = 0
        for child in map(children.__getitem__, names):
            if child.children is not None:
                subdirectories += 1
                if child in places:
                    raise ValueError("a directory is in the tree twice")
                self.parents[child] = node
            elif child in places:
                links[child] = links.get(child, 1) + 1
                continue
            places[child] = len(order)
            order.append(child)
        if subdirectories:
            self.subdirectories[node] = subdirectories

    def _add_attributes(self, place: int, node: Node) -> None:
        key = tuple(sorted(node.xattrs.items()))
        found = self._encoded.get(key)
        if found is None:
            found = encode_xattrs(node.xattrs, drop_foreign=self._drop_foreign)
            self._encoded[key] = found
        self.attributes[place] = found
        if found.block:
            shared = self._sharing.get(found.block)
            if shared is None or shared.count == MAX_SHARED:
                shared = self._sharing[found.block] = Shared(found.block, place)
            shared.count += 1
            self.shared[place] = shared
