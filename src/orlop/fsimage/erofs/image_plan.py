"""Measure a full image: what lies beside which inode, once the contents are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidLayerError, LimitExceededError
from orlop.fsimage.erofs.chunks import checked_segments, map_chunks
from orlop.fsimage.erofs.contents import is_filled
from orlop.fsimage.erofs.format import CHUNK_ENTRY_SIZE, NID_SHIFT, NID_SIZE
from orlop.fsimage.erofs.index_plan import MAX_CHUNKS
from orlop.fsimage.erofs.packing import Packer
from orlop.fsimage.erofs.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.fsimage.erofs.contents import Contents
    from orlop.tree.node import Node

MAX_FILLING: Final = 1 << 32
"""Bytes of holes that are written as zeros, since the chunks of their files are large."""


class ImagePlan(Plan):
    """Where everything of a full image lies."""

    def __init__(self, root: Node, *, block_bits: int, drop_foreign: bool) -> None:
        # The first number is left free: some readers take 0 for no inode.
        super().__init__(root, block_bits=block_bits, drop_foreign=drop_foreign, first=NID_SIZE)
        self._contents: Contents | None = None
        self._chunks = 0
        self._filling = 0
        self._tails: dict[Node, int] = {}

    def check(self) -> None:
        """Return if all inodes can be written, as far as that is known without their content.

        Raises:
            InvalidLayerError: Content is said to lie where no source has any.
            LimitExceededError: Something is longer or more than the format or a limit allows.
            UnsupportedError: The format has no place for something.
            ValueError: Content is in no source.
        """
        for node in self.order:
            self.measure(node)
        self.starts.clear()
        self._spilled = 0

    def _check_content(self, node: Node) -> None:
        stored = node.size
        if node.segments is not None:
            extents = checked_segments(node.segments, node.size)
            stored = sum(end - start for start, end in extents)
        if stored and node.source is None:
            raise ValueError(f"{stored} bytes of content are in no source")
        if node.offset < 0:
            raise InvalidLayerError(f"content begins at {node.offset} of {node.source}")
        if not is_filled(node):
            self._check_holes(node, stored)

    def _check_holes(self, node: Node, stored: int) -> None:
        """Refuse files with holes whose tables, or zeros between what is stored, are too many."""
        chunks = map_chunks(node.segments or (), node.size, 0, self.block_bits, copy=True)
        self._chunks += chunks.count
        if self._chunks > MAX_CHUNKS:
            raise LimitExceededError(
                "files with holes need too many chunks", limit="MAX_CHUNKS", value=MAX_CHUNKS
            )
        copied = chunks.copied_blocks(node.size, self.block_bits) << self.block_bits
        self._filling += copied - stored
        if self._filling > MAX_FILLING:
            raise LimitExceededError(
                "holes that are too many to be told take too many bytes as zeros",
                limit="MAX_FILLING", value=MAX_FILLING,
            )  # fmt: skip

    def beside(self, node: Node) -> int:
        """How many bytes at the end of a file that is stored as it is lie beside its inode."""
        tail = self._tails.get(node)
        if tail is None:
            tail = node.size & self.block_size - 1
            size = self.inode_size(node) + (len(self.xattrs(node)) if node.xattrs else 0)
            if size + tail > self.block_size:
                tail = 0
            self._tails[node] = tail
        return tail

    def regular(self, node: Node, size: int) -> tuple[int, bool]:
        """As `measure`, for a regular file whose inode takes `size` bytes with its attributes."""
        contents = self._contents
        if contents is None and node.size:
            self._check_content(node)
        if contents is None or not node.size:
            return size, False
        if node in contents.maps:
            table = CHUNK_ENTRY_SIZE * contents.maps[node].count
        elif node in contents.extents:
            table = contents.extents[node].size
        else:
            tail = self.beside(node)
            return size + tail, bool(tail)
        return size + -size % CHUNK_ENTRY_SIZE + table, False

    def place_on(self, contents: Contents) -> None:
        """Place the inodes behind the contents.

        Raises:
            LimitExceededError: Addresses do not fit in 32 bits.
        """
        self._contents = contents
        self.base_block = contents.next
        self.place()
        self.finish()

    def place(self) -> None:
        """Give each inode its number, the root the first one, and packed close."""
        packer = Packer(self.block_bits, self._first)
        for node in self.order:
            size, shares = self.measure(node)
            self.nids[node] = packer.place(size, shares=shares) >> NID_SHIFT
        # fsck.erofs 1.5 reads behind inodes that have no attributes, so one may not end the image.
        end = packer.end if self._spilled else packer.end + 1
        self.meta_size = end + (-end & self.block_size - 1)

    def numbered(self) -> Iterator[tuple[int, Node]]:
        """Every inode once with its serial number, in the order that they lie."""
        return enumerate(sorted(self.order, key=self.nids.__getitem__), 1)
