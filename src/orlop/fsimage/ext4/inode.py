"""Inodes, from what a tree says to bytes."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError, LimitExceededError
from orlop.fsimage.ext4.format import (
    EXTRA_SIZE,
    INODE,
    INODE_SIZE,
    MAX_MAJOR,
    MAX_MINOR,
    MAX_OWNER,
    MAX_SIZE,
    MAX_TIME,
    MIN_TIME,
    TYPES,
)
from orlop.fsimage.ext4.options import NANOSECONDS
from orlop.fsimage.names import check_target
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFLNK

if TYPE_CHECKING:
    from orlop.tree.node import Node

_SECTORS: Final = 8
"""Units of an inode's count of blocks in a block."""
_MIN_TIME_NS: Final = MIN_TIME * NANOSECONDS
_END_TIME_NS: Final = (MAX_TIME + 1) * NANOSECONDS
_pack: Final = INODE.pack
_TAIL: Final = bytes(INODE_SIZE - INODE.size)


def check_node(node: Node) -> None:
    """Refuse what no inode of ext4 can say.

    Raises:
        InvalidImageError: A type, size or target cannot be in any filesystem.
        LimitExceededError: A number is out of the range of its field.
    """
    if not (0 <= node.uid <= MAX_OWNER and 0 <= node.gid <= MAX_OWNER):
        owner = f"{node.uid}:{node.gid}"
        raise LimitExceededError(f"the owner {owner}", limit="MAX_OWNER", value=MAX_OWNER)
    if not _MIN_TIME_NS <= node.mtime_ns < _END_TIME_NS:
        early = node.mtime_ns < 0
        raise LimitExceededError(
            f"a time of {node.mtime_ns // NANOSECONDS} seconds since 1970",
            limit="MIN_TIME" if early else "MAX_TIME", value=MIN_TIME if early else MAX_TIME,
        )  # fmt: skip
    if node.size < 0:
        raise InvalidImageError(f"a file of {node.size} bytes")
    if node.size > MAX_SIZE:
        raise LimitExceededError(f"a file of {node.size} bytes", limit="MAX_SIZE", value=MAX_SIZE)
    kind = node.type
    if kind == S_IFLNK:
        check_target(node.target)
    elif kind not in TYPES:
        raise InvalidImageError(f"an inode of mode {node.mode:o}")
    elif kind in {S_IFCHR, S_IFBLK}:
        encode_device(node.rdev)


def encode_device(rdev: int) -> bytes:
    """What the inode of a device has in the place of extents.

    Raises:
        LimitExceededError: Major or minor number are too large.
    """
    major, minor = os.major(rdev), os.minor(rdev)
    if major > MAX_MAJOR or minor > MAX_MINOR:
        name, value = ("MAX_MAJOR", MAX_MAJOR) if major > MAX_MAJOR else ("MAX_MINOR", MAX_MINOR)
        raise LimitExceededError(f"the device {major}:{minor}", limit=name, value=value)
    if major < 256 and minor < 256:
        return struct.pack("<II", major << 8 | minor, 0)
    return struct.pack("<II", 0, minor & 0xFF | major << 8 | (minor & ~0xFF) << 12)


def encode_time(time_ns: int) -> tuple[int, int]:
    """A time and its extra: seconds modulo 2**32; two bits above them, and nanoseconds."""
    seconds, nanoseconds = divmod(time_ns, NANOSECONDS)
    return seconds & 0xFFFFFFFF, (seconds - MIN_TIME) >> 32 | nanoseconds << 2


def encode_inode(
    node: Node,
    made: tuple[int, int],
    *,
    size: int,
    links: int,
    blocks: int,
    flags: int,
    body: bytes,
    attributes: int = 0,
    inside: bytes = b"",
) -> bytes:
    """The 256 bytes of an inode.

    Args:
        node: Says mode, owner, and time of last modification.
        made: All other times, as `encode_time` gives them.
        size: Its bytes.
        links: Its names.
        blocks: All blocks that are its own, or that it shares.
        flags: `FLAG_…`.
        body: Extents, target or device, up to 60 bytes.
        attributes: The block of its attributes, 0 for none.
        inside: Attributes that lie in the inode.
    """
    uid, gid, (changed, changed_extra) = node.uid, node.gid, encode_time(node.mtime_ns)
    now, extra = made
    sectors = blocks * _SECTORS
    inode = _pack(
        node.mode, uid & 0xFFFF, size & 0xFFFFFFFF, now, now, changed, 0, gid & 0xFFFF, links,
        sectors & 0xFFFFFFFF, flags, 0, body, 0, attributes, size >> 32, 0,
        sectors >> 32, 0, uid >> 16, gid >> 16, 0, 0, EXTRA_SIZE, 0,
        extra, changed_extra, extra, now, extra, 0, 0,
    )  # fmt: skip
    return inode + (inside or _TAIL)
