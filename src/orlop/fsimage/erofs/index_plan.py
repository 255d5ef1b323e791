"""Measure an index: an image whose files lie in tars beside it.

The image is the superblock, the device table, all inodes, then blocks of data: what every image
has there, and content that no address can name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orlop.errors import LimitExceededError, UnsupportedError
from orlop.fsimage.erofs.chunks import ChunkMap, map_chunks
from orlop.fsimage.erofs.devices import Slot, assign_bases
from orlop.fsimage.erofs.format import (
    CHUNK_BITS_MASK,
    CHUNK_ENTRY_SIZE,
    SLOT_SIZE,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
)
from orlop.fsimage.erofs.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.digest import Digest
    from orlop.tree.node import Node

Form: TypeAlias = Literal["flat", "chunk"]

MAX_CHUNKS: Final = 1 << 23
"""Entries in all chunk tables of files with holes together: 64 MiB."""
MAX_COPIED: Final = 1 << 30
"""Bytes of content that are copied into the primary device because no address can name them."""


class IndexPlan(Plan):
    """Where everything of one index lies.

    Attributes:
        maps: How files are cut that have a chunk table of more than one plain entry.
        slots: The devices.
        form: How content is addressed.
        has_chunks: Whether any file has a chunk table.
        copied: Bytes of content in the primary device, with padding.
    """

    def __init__(
        self,
        root: Node,
        slots: Mapping[Digest | None, Slot],
        *,
        form: Form,
        block_bits: int,
        may_copy: bool,
        drop_foreign: bool,
        align: int = 1,
    ) -> None:
        first = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE + SLOT_SIZE * len(slots)
        super().__init__(root, block_bits=block_bits, drop_foreign=drop_foreign, first=first)
        self.slots = slots
        self.form = form
        self.maps: dict[Node, ChunkMap] = {}
        self.has_chunks = False
        self.copied = 0
        self._may_copy = may_copy
        self._align = align
        self._chunks = 0

    def is_direct(self, node: Node) -> bool:
        """Whether the content of a regular file is one range of a device that an address names."""
        size, offset = node.size, node.offset
        if size <= 0 or node.segments is not None or offset & self.block_size - 1 or offset < 0:
            return False
        slot = self.slots.get(node.source)
        if slot is None or offset + size + self.block_size - 1 >> self.block_bits > slot.blocks:
            return False
        return self.form == "flat" or size <= 1 << self.block_bits + CHUNK_BITS_MASK

    def regular(self, node: Node, size: int) -> tuple[int, bool]:
        """As `measure`, for a regular file whose inode takes `size` bytes with its attributes.

        Raises:
            InvalidLayerError: Content is said to lie where its device has none.
            LimitExceededError: Something is more than a limit allows.
            UnsupportedError: Content must be copied, and cannot.
        """
        return size + self._content(node, size), False

    def _content(self, node: Node, size: int) -> int:
        """Bytes beside the inode of a regular file, which has `size` bytes with its attributes."""
        if self.is_direct(node):
            if self.form == "flat":
                return 0
            self.has_chunks = True
            return -size % CHUNK_ENTRY_SIZE + CHUNK_ENTRY_SIZE
        if not node.size:
            return 0
        segments = ((0, node.size),) if node.segments is None else node.segments
        stored = sum(length for _, length in segments)
        if not stored:
            return self._table(node, map_chunks(segments, node.size, 0, self.block_bits), size)
        slot = self.slots.get(node.source)
        if slot is None:
            raise ValueError(f"content lies in {node.source}, which is none of the devices")
        slot.check(node, stored)
        if node.segments is None and node.size <= MAX_COPIED:
            return self._copy(node, -(-node.size >> self.block_bits))
        capacity = slot.blocks << self.block_bits
        chunks = map_chunks(segments, node.size, node.offset, self.block_bits, capacity)
        return self._table(node, chunks, size)

    def _copy(self, node: Node, blocks: int) -> int:
        self.copied += blocks << self.block_bits
        if self.copied > MAX_COPIED:
            raise LimitExceededError(
                "content that is not aligned to blocks takes too many bytes",
                limit="MAX_COPIED", value=MAX_COPIED,
            )  # fmt: skip
        if not self._may_copy:
            raise UnsupportedError(
                f"content at {node.offset} of {node.source} is not aligned to blocks of "
                f"{self.block_size} bytes",
                hint="give `read`, so that it can be copied, or use blocks of 512 bytes",
            )
        self.spill(node, blocks)
        return 0

    def _table(self, node: Node, chunks: ChunkMap, size: int) -> int:
        self._chunks += chunks.count
        if self._chunks > MAX_CHUNKS:
            raise LimitExceededError(
                "files with holes need too many chunks", limit="MAX_CHUNKS", value=MAX_CHUNKS
            )
        self.maps[node] = chunks
        self.has_chunks = True
        if chunks.copied:
            self._copy(node, chunks.copied_blocks(node.size, self.block_bits))
        return -size % CHUNK_ENTRY_SIZE + CHUNK_ENTRY_SIZE * chunks.count

    def finish(self) -> None:
        """Turn places relative to areas into addresses.

        Raises:
            LimitExceededError: Addresses do not fit in 32 bits.
        """
        super().finish()
        required = self.form == "flat"
        assign_bases(self.slots.values(), self.blocks, required=required, align=self._align)
