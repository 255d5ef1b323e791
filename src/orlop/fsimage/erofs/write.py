"""Write an index: an image of metadata alone, whose files lie in tars mounted beside it."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from orlop.errors import LimitExceededError
from orlop.fsimage.erofs.copying import iter_content
from orlop.fsimage.erofs.crc32c import checksum_size, superblock_checksum
from orlop.fsimage.erofs.devices import Device, encode_slots, make_slots, unique_devices
from orlop.fsimage.erofs.dirents import encode_block
from orlop.fsimage.erofs.format import (
    CHECKSUM_OFFSET,
    CHUNK_ENTRY,
    CHUNK_ENTRY_SIZE,
    CHUNK_INDEXES,
    COMPACT_INODE,
    COMPAT_MTIME,
    COMPAT_SB_CHKSUM,
    EPOCH,
    EXTENDED,
    EXTENDED_INODE,
    INCOMPAT_CHUNKED_FILE,
    INCOMPAT_DEVICE_TABLE,
    MAGIC,
    MAX_MAJOR,
    MAX_MINOR,
    NID_SHIFT,
    SLOT_SIZE,
    SUPERBLOCK,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
    TYPE_TO_FTYPE,
    XATTR_HEADER_SIZE,
    Layout,
)
from orlop.fsimage.erofs.plan import Form, Plan, named
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orlop.digest import Digest
    from orlop.tree.node import Node

_FLUSH: Final = 1 << 18  # more than the checksum covers
_NANOSECONDS: Final = 1_000_000_000
_pack_extended: Final = EXTENDED_INODE.pack
_FTYPES: Final = [TYPE_TO_FTYPE.get(kind << 12, 0) for kind in range(16)]
_PLAIN: Final = int(Layout.FLAT_PLAIN)  # plain numbers: members of an enum cost time per inode
_INLINE: Final = int(Layout.FLAT_INLINE)
_CHUNKS: Final = int(Layout.CHUNK_BASED)
_NO_READ: Final = "content must be copied, and there is nothing to read it with"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenImage:
    """What was written.

    Attributes:
        size: Bytes of the image.
        inodes: How many inodes it has.
        root_nid: The number of the root directory.
        block_size: Its block size in bytes.
        devices: What to mount beside it, in this order; each source once.
        chunked: Whether the image has chunk tables, and not flat addresses alone.
        copied: Bytes of content that it holds itself.
    """

    size: int
    inodes: int
    root_nid: int
    block_size: int
    devices: tuple[Device, ...]
    chunked: bool
    copied: int


def write_index(
    root: Node,
    devices: Sequence[Device],
    output: BinaryIO,
    *,
    uuid: bytes,
    form: Form = "flat",
    block_bits: int = 9,
    read: Callable[[Digest, int, int], bytes] | None = None,
    drop_foreign_xattrs: bool = False,
) -> WrittenImage:
    """Write the image that shows the tree, given the devices beside it, and say what it needs.

    The same tree, devices and arguments give the same bytes. The output is written from start to
    end and neither sought, flushed nor closed; after an error it holds part of an image.

    Args:
        root: The root directory; not changed.
        devices: Where the content of files lies, by `Node.source`; of a source that is given twice
            one device is made.
        output: Takes the image.
        uuid: The 16 bytes that identify the image. Another tree must have another, or overlays
            that stand on it mix up files.
        form: `flat` addresses content by the first block in a space that all devices share, 2 TiB
            with blocks of 512 bytes; `chunk` by device and block, as other tools write it. Files
            with holes have chunk tables in both.
        block_bits: 9 for blocks of 512 bytes, which the data in every tar is aligned to and
            Linux 6.4 is needed for; 12 for 4096.
        read: Gives bytes of a source at an offset, for content that is not aligned to blocks and
            is copied into the image; needed only where there is such content.
        drop_foreign_xattrs: Whether extended attributes of namespaces that Linux does not have,
            such as `com.apple.`, are left out; if not, they are an error.

    Raises:
        InvalidImageError: A name, a target or a size cannot be in any filesystem.
        InvalidLayerError: Content is said to lie where its device has none.
        LimitExceededError: Something is longer or more than the format or a limit allows.
        UnsupportedError: An attribute has no place in the format, or `read` is needed and missing.
        ValueError: The arguments do not fit together.
        OSError: The output failed.
    """
    if len(uuid) != 16:
        raise ValueError(f"a UUID of {len(uuid)} bytes")
    if block_bits not in {9, 12} or form not in {"flat", "chunk"}:
        raise ValueError(f"no index has {block_bits=} and {form=}")
    if not root.is_dir:
        raise ValueError("the root of a tree is a directory")
    devices = unique_devices(devices)
    plan = Plan(
        root,
        make_slots(devices, block_bits),
        form=form,
        block_bits=block_bits,
        may_copy=read is not None,
        drop_foreign=drop_foreign_xattrs,
    )
    plan.count()
    plan.place()
    plan.finish()
    return _Writer(plan, devices, uuid, output, read).write()


class _Writer:
    """Puts a plan into bytes, front to back."""

    def __init__(
        self,
        plan: Plan,
        devices: tuple[Device, ...],
        uuid: bytes,
        output: BinaryIO,
        read: Callable[[Digest, int, int], bytes] | None,
    ) -> None:
        self._plan = plan
        self._devices = devices
        self._uuid = uuid
        self._output = output
        self._read = read
        self._buffer = bytearray()
        self._flushed = 0

    def write(self) -> WrittenImage:
        plan = self._plan
        self._buffer += bytes(SUPERBLOCK_OFFSET) + self._superblock()
        self._buffer += encode_slots(self._devices, plan.slots.values())
        self._write_inodes()
        self._pad_to(plan.meta_size)
        for node, start in plan.starts.items():
            self._pad_to(start << plan.block_bits)
            self._write_data(node)
        self._pad_to(plan.blocks << plan.block_bits)
        self._flush()
        return WrittenImage(
            size=self._flushed,
            inodes=len(plan.order),
            root_nid=plan.nids[plan.root],
            block_size=plan.block_size,
            devices=self._devices,
            chunked=plan.has_chunks,
            copied=plan.copied,
        )

    def _superblock(self) -> bytes:
        plan = self._plan
        incompat = (INCOMPAT_DEVICE_TABLE if self._devices else 0) | (
            INCOMPAT_CHUNKED_FILE if plan.has_chunks else 0
        )
        slots_at = (SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE) // SLOT_SIZE if self._devices else 0
        return SUPERBLOCK.pack(
            MAGIC, 0, COMPAT_SB_CHKSUM | COMPAT_MTIME, plan.block_bits, 0, plan.nids[plan.root],
            len(plan.order), EPOCH, 0, plan.blocks, 0, 0, self._uuid, b"", incompat,
            0, len(self._devices), slots_at, 0, 0, 0, 0, 0, 0, 0, 0,
        )  # fmt: skip

    def _pad_to(self, position: int) -> None:
        gap = position - self._flushed - len(self._buffer)
        assert gap >= 0, "what was written is larger than what was measured"
        self._buffer += bytes(gap)

    def _flush(self) -> None:
        if not self._flushed:
            size = checksum_size(self._plan.block_size)
            covered = bytes(self._buffer[SUPERBLOCK_OFFSET : SUPERBLOCK_OFFSET + size])
            checksum = superblock_checksum(covered.ljust(size, b"\0"))
            struct.pack_into("<I", self._buffer, CHECKSUM_OFFSET, checksum)
        self._output.write(self._buffer)
        self._flushed += len(self._buffer)
        self._buffer = bytearray()

    def _write_inodes(self) -> None:
        nids, buffer = self._plan.nids, self._buffer
        for serial, node in enumerate(self._plan.order, 1):
            gap = (nids[node] << NID_SHIFT) - self._flushed - len(buffer)
            if gap:
                buffer += bytes(gap)
            try:
                buffer += self._inode(node, serial)
            except struct.error as error:
                raise named(_too_large(node), self._plan.root, node) from error
            if len(buffer) > _FLUSH:
                self._flush()
                buffer = self._buffer

    def _inode(self, node: Node, serial: int) -> bytes:
        """An inode with all that is kept beside it."""
        plan = self._plan
        regular = node.mode & S_IFMT == S_IFREG
        layout, size, union, tail = self._regular(node) if regular else self._other(node)
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
        if layout == _CHUNKS:
            xattrs += bytes(-len(xattrs) % CHUNK_ENTRY_SIZE)
        return inode + xattrs + tail if xattrs or tail else inode

    def _other(self, node: Node) -> tuple[int, int, int, bytes]:
        """Layout, size, union and tail of an inode that is no regular file."""
        kind = node.mode & S_IFMT
        start = self._plan.starts.get(node)
        if kind == S_IFDIR:
            names, size, _ = self._plan.directory(node)
            if start is None:
                return _INLINE, size, 0, self._block(node, names)
            return _PLAIN, size, start, b""
        if kind == S_IFLNK:
            if start is None:
                return _INLINE, len(node.target), 0, node.target
            return _PLAIN, len(node.target), start, b""
        device = _encode_device(node.rdev) if kind in {S_IFCHR, S_IFBLK} else 0
        return _PLAIN, 0, device, b""

    def _regular(self, node: Node) -> tuple[int, int, int, bytes]:
        """Layout, size, union and tail of a regular file."""
        plan, size = self._plan, node.size
        if not size:
            return _PLAIN, 0, 0, b""
        if node in plan.maps:
            return self._chunked(node)
        if node in plan.starts:
            return _PLAIN, size, plan.starts[node], b""
        slot, block = plan.slots[node.source], node.offset >> plan.block_bits
        if plan.form == "flat":
            return _PLAIN, size, slot.base + block, b""
        chunk = max((size - 1).bit_length() - plan.block_bits, 0) | CHUNK_INDEXES
        return _CHUNKS, size, chunk, CHUNK_ENTRY.pack(0, slot.number, block)

    def _chunked(self, node: Node) -> tuple[int, int, int, bytes]:
        plan, chunks = self._plan, self._plan.maps[node]
        slot = plan.slots.get(node.source)
        table = chunks.table(slot.number if slot else 0, plan.starts.get(node, 0), plan.block_bits)
        return _CHUNKS, node.size, chunks.format(plan.block_bits), table

    def _block(self, node: Node, names: Sequence[bytes]) -> bytes:
        """A block of the directory's entries with these names."""
        children, plan = node.children or {}, self._plan
        if b"." in names or b".." in names:
            children = {**children, b".": node, b"..": plan.parents[node]}
        nodes = [children[name] for name in names]
        ftypes = [_FTYPES[child.mode >> 12] for child in nodes]
        return encode_block(names, map(plan.nids.__getitem__, nodes), ftypes)

    def _write_data(self, node: Node) -> None:
        for piece in self._pieces(node):
            self._buffer += piece
            if len(self._buffer) > _FLUSH:
                self._flush()

    def _pieces(self, node: Node) -> Iterator[bytes]:
        """What of the node lies in the data area."""
        kind = node.mode & S_IFMT
        if kind == S_IFLNK:
            yield node.target
        elif kind == S_IFDIR:
            yield from self._blocks(node)
        else:
            yield from self._copies(node)

    def _blocks(self, node: Node) -> Iterator[bytes]:
        block_size = self._plan.block_size
        names, _, ends = self._plan.directory(node)
        start = 0
        for end in ends:
            yield self._block(node, names[start:end]).ljust(block_size, b"\0")
            start = end

    def _copies(self, node: Node) -> Iterator[bytes]:
        assert self._read is not None, _NO_READ
        chunks = self._plan.maps.get(node)
        ranges = chunks.copied_ranges(node.size) if chunks else [(0, node.size)]
        for start, end in ranges:
            yield from iter_content(node, start, end, self._read)


def _encode_device(rdev: int) -> int:
    major, minor = os.major(rdev), os.minor(rdev)
    if major > MAX_MAJOR or minor > MAX_MINOR:
        raise struct.error
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def _too_large(node: Node) -> LimitExceededError:
    """The error that says which number of an inode is out of the field that it goes in."""
    limits = {
        "MAX_OWNER": (max(node.uid, node.gid, key=abs), 0xFFFFFFFF),
        "MAX_SIZE": (node.size, (1 << 63) - 1),
        "MAX_MTIME": (node.mtime_ns // _NANOSECONDS, (1 << 63) - 1),
        "MAX_DEVICE_NUMBER": (node.rdev, os.makedev(MAX_MAJOR, MAX_MINOR)),
    }
    for name, (value, limit) in limits.items():
        if not -limit - 1 <= value <= limit or (value < 0 and name != "MAX_MTIME"):
            return LimitExceededError(f"{value} is out of range", limit=name, value=limit)
    return LimitExceededError("a number is out of range", limit="MAX_LINKS", value=0xFFFFFFFF)
