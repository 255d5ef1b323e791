"""Measure an image: which inode goes where, before a byte of it is written.

All inodes come in breadth-first order (children in byte order) with what is kept beside them, then
blocks of data: directories of more than one block, long targets, and what those who know of
content put there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError, OrlopError
from orlop.fsimage.erofs.dirents import split_names
from orlop.fsimage.erofs.format import (
    EPOCH,
    MAX_BLOCKS,
    NID_SHIFT,
    NID_SIZE,
    TYPE_TO_FTYPE,
)
from orlop.fsimage.erofs.numbers import EARLIEST_NS, LATEST_NS, check_numbers
from orlop.fsimage.erofs.xattrs import encode_xattrs
from orlop.fsimage.names import check_names, check_target, named
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.tree.node import Node

_KINDS: Final = frozenset(kind >> 12 for kind in TYPE_TO_FTYPE)
_DEVICES: Final = frozenset({S_IFBLK, S_IFCHR})


class Plan:
    """Where everything of one image lies.

    Attributes:
        root: The root directory.
        order: Every inode once: breadth first, children in byte order.
        nids: The number of each inode.
        links: Link counts, where they are not 2 for a directory and 1 for others.
        parents: The directory that each directory is in; the root is in itself.
        starts: First block of what lies behind the inodes; in the order that it lies there.
        block_bits: log2 of the block size.
        block_size: The block size in bytes.
        base_block: The block that inodes are counted from.
        meta_size: Bytes from the base on before the data area, a multiple of the block size.
        blocks: Size of the image.
    """

    def __init__(self, root: Node, *, block_bits: int, drop_foreign: bool, first: int) -> None:
        self.root = root
        self.block_bits = block_bits
        self.block_size = 1 << block_bits
        self.order: list[Node] = []
        self.nids: dict[Node, int] = {}
        self.links: dict[Node, int] = {}
        self.parents: dict[Node, Node] = {}
        self.starts: dict[Node, int] = {}
        self.base_block = 0
        self.meta_size = 0
        self.blocks = 0
        self._drop_foreign = drop_foreign
        self._first = first
        self._spilled = 0

    def count(self) -> None:
        """Bring the inodes into order and count their links.

        Raises:
            InvalidImageError: A name, a mode or a size cannot be in any filesystem.
            LimitExceededError: A name is too long, or a number too large for an inode.
            ValueError: A directory is in the tree twice.
        """
        order, nids, links, parents = self.order, self.nids, self.links, self.parents
        nids[self.root] = 0
        parents[self.root] = self.root
        order.append(self.root)
        for node in order:
            children = node.children
            if not children:
                continue
            names = sorted(children)
            try:
                check_names(names)
            except OrlopError as error:
                raise named(error, self.root, node)
            subdirectories = 0
            for child in map(children.__getitem__, names):
                if child.children is not None:
                    subdirectories += 1
                    if child in nids:
                        raise ValueError("a directory is in the tree twice")
                    parents[child] = node
                elif child in nids:
                    links[child] = links.get(child, 1) + 1
                    continue
                nids[child] = 0
                order.append(child)
            if subdirectories:
                links[node] = 2 + subdirectories
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Refuse numbers that no inode has room for, of all inodes before anything is written."""
        for node in self.order:
            if (
                (node.uid | node.gid | node.size >> 31) >> 32
                or not EARLIEST_NS <= node.mtime_ns <= LATEST_NS
                or node.mode >> 12 not in _KINDS
                or (node.rdev and node.mode & S_IFMT in _DEVICES)
            ):
                try:
                    check_numbers(node)
                except OrlopError as error:
                    raise named(error, self.root, node)

    def numbered(self) -> Iterator[tuple[int, Node]]:
        """Every inode once with its serial number, in the order that they lie."""
        return enumerate(self.order, 1)

    def place(self) -> None:
        """Give each inode its number, and what does not fit beside it its blocks.

        Raises:
            InvalidLayerError: Content is said to lie where its device has none.
            LimitExceededError: Something is longer or more than the format or a limit allows.
            UnsupportedError: The format has no place for something.
        """
        position = self._first
        nids, mask = self.nids, self.block_size - 1
        for node in self.order:
            size, tail = self.measure(node)
            position += -position & NID_SIZE - 1
            if tail and (position ^ position + size - 1) > mask:
                position += -position & mask
            nids[node] = position >> NID_SHIFT
            position += size
        self.meta_size = position + (-position & mask)

    def measure(self, node: Node) -> tuple[int, bool]:
        """Size of the inode with what is kept beside it, and whether that must share a block."""
        try:
            return self._beside(node)
        except OrlopError as error:
            raise named(error, self.root, node)

    def _beside(self, node: Node) -> tuple[int, bool]:
        size = self.inode_size(node)
        if node.xattrs:
            size += len(self.xattrs(node))
        kind = node.mode & S_IFMT
        if kind == S_IFREG:
            return self.regular(node, size)
        if kind == S_IFDIR:
            return self._tail(node, size, self.directory(node)[1])
        if kind == S_IFLNK:
            check_target(node.target)
            return self._tail(node, size, len(node.target))
        return size, False

    def regular(self, node: Node, size: int) -> tuple[int, bool]:
        """As `measure`, for a regular file whose inode takes `size` bytes with its attributes."""
        raise NotImplementedError

    def xattrs(self, node: Node) -> bytes:
        """The bytes of the node's extended attributes."""
        return encode_xattrs(node.xattrs, drop_foreign=self._drop_foreign)

    def inode_size(self, node: Node) -> int:
        """32 if all that the node says fits in a compact inode, else 64."""
        if node.mtime_ns != EPOCH:
            return 64
        compact = (
            node.uid <= 0xFFFF
            and node.gid <= 0xFFFF
            and node.size <= 0xFFFFFFFF
            and self.links.get(node, 1) <= 0xFFFF
        )
        return 32 if compact else 64

    def directory(self, node: Node) -> tuple[list[bytes], int, list[int]]:
        """The sorted names in a directory, its size in bytes, and where its blocks end in names."""
        names = sorted([b".", b"..", *(node.children or ())])
        ends, size = split_names(names, self.block_size)
        return names, size, ends

    def _tail(self, node: Node, size: int, tail: int) -> tuple[int, bool]:
        # Kernels before 6.9 want a link's inode, attributes and target in one block.
        if size + tail <= self.block_size:
            return size + tail, True
        self.spill(node, -(-tail >> self.block_bits))
        return size, False

    def spill(self, node: Node, blocks: int) -> None:
        """Give the node so many blocks behind the inodes."""
        self.starts[node] = self._spilled
        self._spilled += blocks

    def finish(self) -> None:
        """Turn places relative to areas into addresses.

        Raises:
            LimitExceededError: Addresses do not fit in 32 bits.
        """
        first = self.base_block + (self.meta_size >> self.block_bits)
        self.blocks = first + self._spilled
        if self.blocks >= MAX_BLOCKS:
            raise LimitExceededError(
                f"the image has {self.blocks} blocks", limit="MAX_BLOCKS", value=MAX_BLOCKS
            )
        for node, start in self.starts.items():
            self.starts[node] = first + start
