"""Write an ext4 image: a disk with everything in it, for machines that write to it too."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidLayerError
from orlop.fsimage.ext4.content import PIECE, iter_stored
from orlop.fsimage.ext4.directory import empty_block, encode_list
from orlop.fsimage.ext4.extents import Extent, encode_tree
from orlop.fsimage.ext4.format import (
    BLOCK,
    BLOCK_BITS,
    FIRST_INODE,
    FLAG_EXTENTS,
    FLAG_INDEX,
    INODE_SIZE,
    JOURNAL_INODE,
    RESIZE_INODE,
    ROOT_INODE,
    SHORT_TARGET,
    SUPERBLOCK_OFFSET,
    TYPES,
)
from orlop.fsimage.ext4.groups import (
    block_bitmap,
    encode_descriptors,
    inode_bitmap,
    used_inodes,
)
from orlop.fsimage.ext4.inode import encode_device, encode_inode, encode_time
from orlop.fsimage.ext4.inodes import LOST_FOUND_BLOCKS
from orlop.fsimage.ext4.plan import Plan
from orlop.fsimage.ext4.sink import Sink
from orlop.fsimage.ext4.superblock import (
    encode_journal,
    encode_journal_inode,
    encode_kept_blocks,
    encode_resize_inode,
    encode_resize_table,
    encode_superblock,
)
from orlop.fsimage.ext4.xattrs import shared
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFLNK, S_IFMT, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.fsimage.ext4.geometry import Region
    from orlop.fsimage.ext4.options import Ext4Options, WrittenExt4
    from orlop.fsimage.output import Output, ReadContent
    from orlop.tree.node import Node

_FTYPES: Final = [TYPES.get(kind << 12, 0) for kind in range(16)]


def measure_ext4(root: Node, options: Ext4Options) -> WrittenExt4:
    """What `write_ext4` would write, found without reading any content.

    Raises as that does, but for what reading and writing raise.
    """
    return _plan(root, options).summary()


def write_ext4(
    root: Node, output: Output, *, read: ReadContent, options: Ext4Options
) -> WrittenExt4:
    """Write the image that has this tree, from its first byte to its last.

    The same tree and options give the same bytes. The output is neither flushed nor closed; after
    an error while content is read it holds part of an image, and all other errors come before.
    The tree gets a `lost+found` where it has none.

    Args:
        root: The root directory; not changed.
        output: Takes the image.
        read: Gives bytes of a source at an offset, 1 MiB at most at once.
        options: What the image is to be like.

    Raises:
        InvalidImageError: A name, target, size or access control list is not possible.
        InvalidLayerError: Content cannot be where it is said to be, or a source has fewer bytes.
        LimitExceededError: Something is more than the format or `size` has room for.
        UnsupportedError: An attribute, or a `lost+found`, has no place in the format.
        ValueError: The tree is none, or says of a file's content not where it is.
        OSError: The output failed.
    """
    return _Writer(_plan(root, options), output, read).write()


def _plan(root: Node, options: Ext4Options) -> Plan:
    if not root.is_dir:
        raise ValueError("the root of a tree is a directory")
    return Plan(root, options)


class _Writer:
    """Puts a plan into bytes, front to back."""

    def __init__(self, plan: Plan, output: Output, read: ReadContent) -> None:
        self._plan = plan
        self._sink = Sink(output)
        self._read = read
        self._made = encode_time(plan.options.time_ns)
        self._regions = iter(plan.regions)
        self._region: Region | None = next(self._regions)

    def write(self) -> WrittenExt4:
        plan = self._plan
        self._write_reserved()
        self._write_metadata()
        self._write_files()
        self._reach(plan.geometry.blocks)
        written = plan.summary()
        self._sink.finish(written.size)
        return written

    def _put(self, block: int, data: bytes) -> None:
        """Put content at a block."""
        if self._region is not None and self._region.start < block:
            self._reach(block)
        self._sink.put(block << BLOCK_BITS, data)

    def _reach(self, block: int) -> None:
        """Write all before this block that is not content."""
        region = self._region
        while region is not None and region.start < block:
            self._write_region(region)
            region = self._region = next(self._regions, None)

    def _write_region(self, region: Region) -> None:
        plan, at = self._plan, region.start << BLOCK_BITS
        if region.kind == "super":
            self._write_super(region.group, at)
        elif region.kind == "table":
            self._write_table(region.group, at)
        else:
            bitmap = block_bitmap if region.kind == "blocks" else inode_bitmap
            data = bitmap(plan, region.group)
            if data:
                self._sink.put(at, data)

    @cached_property
    def _descriptors(self) -> bytes:
        return encode_descriptors(self._plan)

    def _write_super(self, group: int, at: int) -> None:
        plan, put = self._plan, self._sink.put
        put(at if group else SUPERBLOCK_OFFSET, encode_superblock(plan, group))
        put(at + BLOCK, self._descriptors)
        if not group:
            kept = 1 + plan.geometry.descriptor_blocks
            put(kept << BLOCK_BITS, encode_kept_blocks(plan))

    def _write_table(self, group: int, at: int) -> None:
        """The inodes of a group that are used, a batch at a time."""
        each = self._plan.geometry.group_inodes
        first = 1 + group * each
        batch = bytearray()
        for number in range(first, first + used_inodes(self._plan, group)):
            batch += self._inode(number)
            if len(batch) >= PIECE:
                self._sink.put(at, batch)
                at += len(batch)
                batch = bytearray()
        if batch:
            self._sink.put(at, batch)

    def _inode(self, number: int) -> bytes:
        plan = self._plan
        if number >= FIRST_INODE or number == ROOT_INODE:
            place = number - FIRST_INODE + 1 if number >= FIRST_INODE else 0
            return self._tree_inode(place, plan.inodes.order[place])
        if number == RESIZE_INODE and plan.resize_block:
            return encode_resize_inode(plan)
        if number == JOURNAL_INODE and plan.journal_blocks:
            return encode_journal_inode(plan)
        return bytes(INODE_SIZE)

    def _tree_inode(self, place: int, node: Node) -> bytes:
        plan = self._plan
        inodes, kind = plan.inodes, node.mode & S_IFMT
        size, flags, blocks = node.size, FLAG_EXTENTS, inodes.blocks(place, node)
        if node.children is not None:
            size = blocks << BLOCK_BITS
            flags |= FLAG_INDEX if place in inodes.indexes else 0
        elif kind == S_IFLNK:
            size = len(node.target)
        if kind == S_IFLNK and size < SHORT_TARGET:
            body, flags = node.target, 0
        elif kind in {S_IFCHR, S_IFBLK}:
            body, flags = encode_device(node.rdev), 0
        elif kind == S_IFREG or blocks:
            body, blocks = plan.body(place, blocks)
        else:
            body, flags = b"", 0
        attributes, inside = 0, b""
        if node.xattrs:
            inside = inodes.attributes[place].inside
            block = inodes.shared.get(place)
            if block is not None:
                attributes = block.address
                blocks += 1
        return encode_inode(
            node, self._made, size=size, links=inodes.link_count(node), blocks=blocks, flags=flags,
            body=body, attributes=attributes, inside=inside,
        )  # fmt: skip

    def _write_reserved(self) -> None:
        plan = self._plan
        if plan.resize_block:
            self._put(plan.resize_block, encode_resize_table(plan))
        if plan.journal_blocks:
            self._put(plan.journal.extents[0][1], encode_journal(plan.journal_blocks))
            self._write_nodes(plan.journal.extents, plan.journal.tree)

    def _write_nodes(self, extents: list[Extent], tree: list[int]) -> None:
        """The blocks of an extent tree."""
        if tree:
            for block, node in zip(tree, encode_tree(extents, tree)[1], strict=True):
                self._put(block, node)

    def _write_metadata(self) -> None:
        inodes = self._plan.inodes
        for place, node in enumerate(inodes.order):
            block = inodes.shared.get(place)
            if block is not None and block.first == place:
                self._put(block.address, shared(block.block, block.count))
            if node.children is not None:
                self._write_blocks(place, self._directory(place, node))
            elif node.mode & S_IFMT == S_IFLNK and inodes.blocks(place, node):
                self._write_blocks(place, [node.target])

    def _write_blocks(self, place: int, blocks: Iterable[bytes]) -> None:
        pieces = self._plan.pieces.get(place)
        if pieces is None:
            for at, block in enumerate(blocks, self._plan.starts[place]):
                self._put(at, block)
            return
        where = (start + each for _, start, length in pieces.extents for each in range(length))
        for at, block in zip(where, blocks, strict=True):
            self._put(at, block)
        self._write_nodes(*pieces)

    def _directory(self, place: int, node: Node) -> Iterator[bytes]:
        """The blocks of a directory."""
        inodes = self._plan.inodes
        children, places, number = inodes.children(node), inodes.places, inodes.number

        def find(name: bytes) -> tuple[int, int]:
            child = children[name]
            return number(places[child]), _FTYPES[child.mode >> 12]

        own, parent = number(place), number(places[inodes.parents[node]])
        index = inodes.indexes.get(place)
        if index is not None:
            yield from index.iter_blocks(own, parent, find)
        else:
            yield encode_list(sorted(children), own, parent, find)
        if node is inodes.lost_found:
            for _ in range(1, LOST_FOUND_BLOCKS):
                yield empty_block()

    def _write_files(self) -> None:
        pieces, starts, read = self._plan.pieces, self._plan.starts, self._read
        for place, node in enumerate(self._plan.inodes.order):
            size = node.size
            if not size or node.mode & S_IFMT != S_IFREG:
                continue
            found = pieces.get(place)
            if found is not None:
                self._write_pieces(node, found.extents)
                self._write_nodes(*found)
            elif size <= PIECE and node.source is not None:
                data = read(node.source, node.offset, size)
                if len(data) != size:
                    raise InvalidLayerError(
                        f"{size} bytes at {node.offset} of {node.source} came as {len(data)}"
                    )
                self._put(starts[place], data)
            else:
                self._write_pieces(node, [(0, starts[place], -(-size >> BLOCK_BITS))])

    def _write_pieces(self, node: Node, extents: list[Extent]) -> None:
        """What is stored of a file, at where its extents say."""
        following = iter(extents)
        logical, start, length = 0, 0, 0
        for offset, piece in iter_stored(node, self._read):
            view = memoryview(piece)
            while view:
                while offset >= logical + length << BLOCK_BITS:
                    logical, start, length = next(following)
                    self._reach(start)
                room = (logical + length << BLOCK_BITS) - offset
                at = (start - logical << BLOCK_BITS) + offset
                self._sink.put(at, view[:room])
                offset += len(view[:room])
                view = view[room:]
