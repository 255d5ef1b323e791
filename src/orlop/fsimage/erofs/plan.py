"""Measure an index: which inode goes where, before a byte of it is written.

The image is the superblock, the device table, all inodes in breadth-first order (children in byte
order) with what is kept beside them, then blocks of data: directories of more than one block, long
targets, and content that no address can name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orlop.errors import InvalidImageError, LimitExceededError, OrlopError, UnsupportedError
from orlop.fsimage.erofs.chunks import ChunkMap, map_chunks
from orlop.fsimage.erofs.devices import Slot, assign_bases
from orlop.fsimage.erofs.dirents import split_names
from orlop.fsimage.erofs.format import (
    CHUNK_BITS_MASK,
    CHUNK_ENTRY_SIZE,
    EPOCH,
    MAX_BLOCKS,
    MAX_NAME,
    MAX_TARGET,
    NID_SHIFT,
    NID_SIZE,
    SLOT_SIZE,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
)
from orlop.fsimage.erofs.xattrs import encode_xattrs
from orlop.tree.node import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, walk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from orlop.digest import Digest
    from orlop.tree.node import Node

Form: TypeAlias = Literal["flat", "chunk"]

MAX_CHUNKS: Final = 1 << 23
"""Entries in all chunk tables of files with holes together: 64 MiB."""
MAX_COPIED: Final = 1 << 30
"""Bytes of content that are copied into the primary device because no address can name them."""


class Plan:
    """Where everything of one image lies.

    Attributes:
        root: The root directory.
        order: Every inode once, as they lie.
        nids: The number of each inode.
        links: Link counts, where they are not 2 for a directory and 1 for others.
        parents: The directory that each directory is in; the root is in itself.
        maps: How files are cut that have a chunk table of more than one plain entry.
        starts: First block of what lies in the data area; in the order that it lies there.
        slots: The devices.
        form: How content is addressed.
        block_bits: log2 of the block size.
        block_size: The block size in bytes.
        has_chunks: Whether any file has a chunk table.
        meta_size: Bytes before the data area, a multiple of the block size.
        blocks: Size of the image.
    """

    __slots__ = (
        "_chunks",
        "_copied",
        "_drop_foreign",
        "_may_copy",
        "_spilled",
        "block_bits",
        "block_size",
        "blocks",
        "form",
        "has_chunks",
        "links",
        "maps",
        "meta_size",
        "nids",
        "order",
        "parents",
        "root",
        "slots",
        "starts",
    )  # fmt: skip

    def __init__(
        self,
        root: Node,
        slots: Mapping[Digest | None, Slot],
        *,
        form: Form,
        block_bits: int,
        may_copy: bool,
        drop_foreign: bool,
    ) -> None:
        self.root = root
        self.slots = slots
        self.form = form
        self.block_bits = block_bits
        self.block_size = 1 << block_bits
        self.order: list[Node] = []
        self.nids: dict[Node, int] = {}
        self.links: dict[Node, int] = {}
        self.parents: dict[Node, Node] = {}
        self.maps: dict[Node, ChunkMap] = {}
        self.starts: dict[Node, int] = {}
        self.has_chunks = False
        self.meta_size = 0
        self.blocks = 0
        self._may_copy = may_copy
        self._drop_foreign = drop_foreign
        self._chunks = self._copied = self._spilled = 0

    @property
    def copied(self) -> int:
        """Bytes of content in the primary device, with padding."""
        return self._copied

    def is_direct(self, node: Node) -> bool:
        """Whether the content of a regular file is one range of a device that an address names."""
        size, offset = node.size, node.offset
        if size <= 0 or node.segments is not None or offset & self.block_size - 1 or offset < 0:
            return False
        slot = self.slots.get(node.source)
        if slot is None or offset + size + self.block_size - 1 >> self.block_bits > slot.blocks:
            return False
        return self.form == "flat" or size <= 1 << self.block_bits + CHUNK_BITS_MASK

    def count(self) -> None:
        """Bring the inodes into order and count their links."""
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
                _check_names(names)
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

    def place(self) -> None:
        """Give each inode its number, and what does not fit beside it its blocks.

        Raises:
            InvalidLayerError: Content is said to lie where its device has none.
            LimitExceededError: Something is longer or more than the format or a limit allows.
            UnsupportedError: The format has no place for something.
        """
        position = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE + SLOT_SIZE * len(self.slots)
        nids, mask = self.nids, self.block_size - 1
        for node in self.order:
            try:
                size, tail = self._beside(node)
            except OrlopError as error:
                raise named(error, self.root, node)
            position += -position & NID_SIZE - 1
            if tail and (position ^ position + size - 1) > mask:
                position += -position & mask
            nids[node] = position >> NID_SHIFT
            position += size
        self.meta_size = position + (-position & mask)

    def _beside(self, node: Node) -> tuple[int, bool]:
        """Size of the inode with what is kept beside it, and whether that must share a block."""
        size = self.inode_size(node)
        if node.xattrs:
            size += len(self.xattrs(node))
        kind = node.mode & S_IFMT
        if kind == S_IFREG:
            return size + self._content(node, size), False
        if kind == S_IFDIR:
            return self._tail(node, size, self.directory(node)[1])
        if kind == S_IFLNK:
            _check_target(node.target)
            return self._tail(node, size, len(node.target))
        return size, False

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
        self._spill(node, -(-tail >> self.block_bits))
        return size, False

    def _spill(self, node: Node, blocks: int) -> None:
        self.starts[node] = self._spilled
        self._spilled += blocks

    def _content(self, node: Node, size: int) -> int:
        """Bytes beside the inode of a regular file, which has `size` bytes with its attributes."""
        if self.is_direct(node):
            if self.form == "flat":
                return 0
            self.has_chunks = True
            return -size % CHUNK_ENTRY_SIZE + CHUNK_ENTRY_SIZE
        if not node.size:
            return 0
        if node.size < 0:
            raise InvalidImageError(f"a file of {node.size} bytes")
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
        self._copied += blocks << self.block_bits
        if self._copied > MAX_COPIED:
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
        self._spill(node, blocks)
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
        first = self.meta_size >> self.block_bits
        self.blocks = first + self._spilled
        if self.blocks >= MAX_BLOCKS:
            raise LimitExceededError(
                f"the image has {self.blocks} blocks", limit="MAX_BLOCKS", value=MAX_BLOCKS
            )
        for node, start in self.starts.items():
            self.starts[node] = first + start
        assign_bases(self.slots.values(), self.blocks, required=self.form == "flat")


def named(error: OrlopError, root: Node, node: Node) -> OrlopError:
    """The same error, its message led by a path of the node that it is about."""
    path = next((path for path, found in walk(root) if found is node), b"")
    return error.inside(f"/{path.decode(errors='backslashreplace')}")


def _check_names(names: Collection[bytes]) -> None:
    joined = b"".join(names)
    if b"/" in joined or b"\0" in joined or not {b"", b".", b".."}.isdisjoint(names):
        raise InvalidImageError("a name is empty, special, or has a slash or NUL in it")
    longest = max(map(len, names))
    if longest > MAX_NAME:
        raise LimitExceededError(f"a name of {longest} bytes", limit="MAX_NAME", value=MAX_NAME)


def _check_target(target: bytes) -> None:
    if not target or b"\0" in target:
        raise InvalidImageError("the target of a symbolic link is empty or has a NUL in it")
    if len(target) > MAX_TARGET:
        raise LimitExceededError(
            f"a symbolic link's target of {len(target)} bytes",
            limit="MAX_TARGET", value=MAX_TARGET,
        )  # fmt: skip
