"""Put inodes into bytes, with what is kept beside them, and the blocks of directories and links."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from orlop.fsimage.erofs.dirents import encode_block
from orlop.fsimage.erofs.format import (
    CHUNK_ENTRY_SIZE,
    COMPACT_INODE,
    EXTENDED,
    EXTENDED_INODE,
    NID_SHIFT,
    TYPE_TO_FTYPE,
    XATTR_HEADER_SIZE,
    Layout,
)
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.fsimage.erofs.plan import Plan
    from orlop.fsimage.output import Stream
    from orlop.tree.node import Node

PLAIN: Final = int(Layout.FLAT_PLAIN)  # plain numbers: members of an enum cost time per inode
INLINE: Final = int(Layout.FLAT_INLINE)
COMPRESSED: Final = int(Layout.COMPRESSED_FULL)
CHUNKS: Final = int(Layout.CHUNK_BASED)

_FLUSH: Final = 1 << 18  # more than the checksum covers
_NANOSECONDS: Final = 1_000_000_000
_FTYPES: Final = [TYPE_TO_FTYPE.get(kind << 12, 0) for kind in range(16)]
_pack_extended: Final = EXTENDED_INODE.pack


class InodeWriter:
    """Writes all inodes of a plan, and then what of them lies in blocks of its own.

    What is said of regular files is left to those who know where their content lies.

    Args:
        plan: Where everything goes.
        output: Takes the bytes, beginning with those at the base of the inodes.
    """

    def __init__(self, plan: Plan, output: Stream) -> None:
        self._plan = plan
        self._output = output
        self._buffer = bytearray()
        self._flushed = 0

    def regular(self, node: Node) -> tuple[int, int, int, bytes]:
        """Layout, size, union and what lies beside it, of a regular file that is not empty."""
        raise NotImplementedError

    def content(self, node: Node) -> Iterator[bytes]:
        """The bytes of a regular file for which the plan has blocks behind the inodes."""
        raise NotImplementedError

    def write_all(self) -> int:
        """Write inodes and blocks; how many bytes there are from the base on."""
        plan = self._plan
        self._write_inodes()
        self._pad_to(plan.meta_size)
        for node, start in plan.starts.items():
            self._pad_to((start - plan.base_block) << plan.block_bits)
            self._write_blocks(node)
        self._pad_to((plan.blocks - plan.base_block) << plan.block_bits)
        self._flush()
        return self._flushed

    def _pad_to(self, position: int) -> None:
        gap = position - self._flushed - len(self._buffer)
        assert gap >= 0, "what was written is larger than what was measured"
        self._buffer += bytes(gap)

    def _flush(self) -> None:
        self._output.write(self._buffer)
        self._flushed += len(self._buffer)
        self._buffer = bytearray()

    def _write_inodes(self) -> None:
        nids, buffer = self._plan.nids, self._buffer
        for serial, node in self._plan.numbered():
            gap = (nids[node] << NID_SHIFT) - self._flushed - len(buffer)
            if gap:
                buffer += bytes(gap)
            buffer += self._inode(node, serial)
            if len(buffer) > _FLUSH:
                self._flush()
                buffer = self._buffer

    def _inode(self, node: Node, serial: int) -> bytes:
        """An inode with all that is kept beside it."""
        plan = self._plan
        if node.mode & S_IFMT == S_IFREG:
            layout, size, union, tail = self.regular(node) if node.size else (PLAIN, 0, 0, b"")
        else:
            layout, size, union, tail = self._other(node)
        xattrs = plan.xattrs(node) if node.xattrs else b""
        count = (len(xattrs) - XATTR_HEADER_SIZE) // 4 + 1 if xattrs else 0
        links = plan.links.get(node) or (1 if node.children is None else 2)
        if plan.inode_size(node) == COMPACT_INODE.size:
            inode = COMPACT_INODE.pack(
                layout << 1, count, node.mode, links, size, 0, union, serial, node.uid, node.gid, 0
            )
        else:
            seconds, nanoseconds = divmod(node.mtime_ns, _NANOSECONDS)
            inode = _pack_extended(
                layout << 1 | EXTENDED, count, node.mode, 0, size, union, serial,
                node.uid, node.gid, seconds, nanoseconds, links,
            )  # fmt: skip
        if layout in {CHUNKS, COMPRESSED}:
            xattrs += bytes(-len(xattrs) % CHUNK_ENTRY_SIZE)
        return inode + xattrs + tail if xattrs or tail else inode

    def _other(self, node: Node) -> tuple[int, int, int, bytes]:
        """Layout, size, union and tail of an inode that is no regular file."""
        kind = node.mode & S_IFMT
        start = self._plan.starts.get(node)
        if kind == S_IFDIR:
            names, size, _ = self._plan.directory(node)
            if start is None:
                return INLINE, size, 0, self._block(node, names)
            return PLAIN, size, start, b""
        if kind == S_IFLNK:
            if start is None:
                return INLINE, len(node.target), 0, node.target
            return PLAIN, len(node.target), start, b""
        device = _encode_device(node.rdev) if kind in {S_IFCHR, S_IFBLK} else 0
        return PLAIN, 0, device, b""

    def _block(self, node: Node, names: Sequence[bytes]) -> bytes:
        """A block of the directory's entries with these names."""
        children, plan = node.children or {}, self._plan
        if b"." in names or b".." in names:
            children = {**children, b".": node, b"..": plan.parents[node]}
        nodes = [children[name] for name in names]
        ftypes = [_FTYPES[child.mode >> 12] for child in nodes]
        return encode_block(names, map(plan.nids.__getitem__, nodes), ftypes)

    def _write_blocks(self, node: Node) -> None:
        for piece in self._pieces(node):
            self._buffer += piece
            if len(self._buffer) > _FLUSH:
                self._flush()

    def _pieces(self, node: Node) -> Iterator[bytes]:
        """What of the node lies behind the inodes."""
        kind = node.mode & S_IFMT
        if kind == S_IFLNK:
            yield node.target
        elif kind == S_IFDIR:
            yield from self._blocks(node)
        else:
            yield from self.content(node)

    def _blocks(self, node: Node) -> Iterator[bytes]:
        block_size = self._plan.block_size
        names, _, ends = self._plan.directory(node)
        start = 0
        for end in ends:
            yield self._block(node, names[start:end]).ljust(block_size, b"\0")
            start = end


def _encode_device(rdev: int) -> int:
    major, minor = os.major(rdev), os.minor(rdev)
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12
