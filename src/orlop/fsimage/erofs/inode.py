"""Inodes as they are read."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError, UnsupportedError
from orlop.fsimage.erofs.format import (
    COMPACT_INODE,
    EXTENDED,
    EXTENDED_INODE,
    NID_SIZE,
    XATTR_HEADER_SIZE,
    Layout,
)
from orlop.tree.node import (
    NO_XATTRS,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    Node,
    type_letters,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.fsimage.erofs.access import Metadata
    from orlop.fsimage.erofs.superblock import Superblock

_NANOSECONDS: Final = 1_000_000_000
_FORMAT_BITS: Final = 0xF


class Inode:
    """One inode of an image.

    Attributes:
        nid: Its number.
        mode: Type and permission bits.
        uid: Owner.
        gid: Group.
        nlink: How many names it has, as the image says.
        mtime_ns: Time of last modification, in nanoseconds since 1970.
        size: Bytes of its data: content, target or entries.
        rdev: Device number as `os.makedev` makes it; 0 for all but devices.
        layout: Where its data lies.
        union: The first block, the device number or the chunk format, undecoded.
        serial: The number that 32-bit systems see.
        start: Where the inode lies, in bytes.
        xattr_start: Where its attributes begin, in bytes.
        xattr_size: Bytes of its attributes.
    """

    __slots__ = (
        "gid", "layout", "mode", "mtime_ns", "nid", "nlink", "rdev", "serial", "size", "start",
        "uid", "union", "xattr_size", "xattr_start",
    )  # fmt: skip

    def __init__(self, nid: int, start: int) -> None:
        self.nid = nid
        self.start = start
        self.mode = self.uid = self.gid = self.nlink = self.mtime_ns = self.size = 0
        self.rdev = self.union = self.serial = self.xattr_start = self.xattr_size = 0
        self.layout = Layout.FLAT_PLAIN

    @property
    def type(self) -> int:
        """The type bits of the mode, one of the `S_IF…` constants."""
        return self.mode & S_IFMT

    @property
    def is_dir(self) -> bool:
        """Whether this is a directory."""
        return self.mode & S_IFMT == S_IFDIR

    @property
    def is_link(self) -> bool:
        """Whether this is a symbolic link."""
        return self.mode & S_IFMT == S_IFLNK

    @property
    def end(self) -> int:
        """Where inode and attributes end, in bytes."""
        return self.xattr_start + self.xattr_size

    def node(self, target: bytes = b"", xattrs: Mapping[bytes, bytes] = NO_XATTRS) -> Node:
        """A tree node that says the same, without content or children."""
        size = 0 if self.is_dir or self.is_link else self.size
        return Node(self.mode, self.uid, self.gid, self.mtime_ns, size, self.rdev, target, xattrs)

    def __repr__(self) -> str:
        return f"<Inode {self.nid} {type_letters.get(self.type, '?')} {self.mode & 0o7777:04o}>"


def read_inode(meta: Metadata, superblock: Superblock, nid: int) -> Inode:
    """The inode with a number.

    Raises:
        InvalidImageError: No inode can be there.
        UnsupportedError: Its format is not known here.
    """
    start = superblock.meta_start + nid * NID_SIZE
    raw = meta(start, COMPACT_INODE.size)
    (form,) = struct.unpack_from("<H", raw)
    inode = Inode(nid, start)
    inode.layout = _layout(form, nid)
    if form & EXTENDED:
        raw = meta(start, EXTENDED_INODE.size)
        _decode_extended(inode, raw)
    else:
        _decode_compact(inode, raw, superblock.epoch_ns)
    count = struct.unpack_from("<H", raw, 2)[0]
    inode.xattr_start = start + len(raw)
    inode.xattr_size = XATTR_HEADER_SIZE + 4 * (count - 1) if count else 0
    if inode.type not in type_letters:
        raise InvalidImageError(f"an inode of mode {inode.mode:#o}", where=f"inode {nid}")
    if inode.type in {S_IFCHR, S_IFBLK}:
        inode.rdev = _decode_device(inode.union)
    return inode


def _layout(form: int, nid: int) -> Layout:
    if form >> 1 & 7 > Layout.CHUNK_BASED or form & ~_FORMAT_BITS:
        raise UnsupportedError(f"inode {nid} has the unknown format {form:#x}")
    return Layout(form >> 1 & 7)


def _decode_compact(inode: Inode, raw: bytes, epoch_ns: int) -> None:
    (
        _, _, inode.mode, inode.nlink, inode.size, _, inode.union, inode.serial, inode.uid,
        inode.gid, _,
    ) = COMPACT_INODE.unpack(raw)  # fmt: skip
    inode.mtime_ns = epoch_ns


def _decode_extended(inode: Inode, raw: bytes) -> None:
    (
        _, _, inode.mode, _, inode.size, inode.union, inode.serial, inode.uid, inode.gid, seconds,
        nanoseconds, inode.nlink,
    ) = EXTENDED_INODE.unpack(raw)  # fmt: skip
    if nanoseconds >= _NANOSECONDS or inode.size >> 63:
        raise InvalidImageError(
            f"{nanoseconds} nanoseconds or {inode.size} bytes", where=f"inode {inode.nid}"
        )
    inode.mtime_ns = seconds * _NANOSECONDS + nanoseconds


def _decode_device(union: int) -> int:
    return os.makedev(union >> 8 & 0xFFF, union & 0xFF | union >> 12 & 0xFFF00)
