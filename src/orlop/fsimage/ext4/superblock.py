"""What describes the whole filesystem: the superblock, the resize inode and the empty journal.

The resize inode keeps blocks free beside the descriptors, for those of groups to come. It is a
file by the old map of blocks: its double indirect block names the kept blocks of group 0, and each
of these the blocks with the same place in the groups that have copies.

The journal begins with its own superblock, big-endian, 1024 bytes:

    0      u32     magic                0xC03B3998
    4      u32[2]  blocktype, sequence  4: version 2; 0
    12     u32[3]  blocksize, maxlen, first             4096, its blocks, 1
    24     u32[3]  sequence, start, errno               1; 0: nothing in it; 0
    36     u32[3]  features             0: the kernel sets what it wants
    48     u8[16]  uuid                 0
    64     u32     nr_users             1

Spec: Linux, Documentation/filesystems/ext4/super.rst, journal.rst, special_inodes.rst.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from orlop.fsimage.ext4.extents import encode_tree
from orlop.fsimage.ext4.format import (
    BLOCK,
    BLOCK_BITS,
    COMPAT_DIR_INDEX,
    COMPAT_EXT_ATTR,
    COMPAT_HAS_JOURNAL,
    COMPAT_RESIZE_INODE,
    EXTRA_SIZE,
    FIRST_INODE,
    FLAG_EXTENTS,
    FLEX,
    GROUP,
    INCOMPAT,
    INODE_SIZE,
    JOURNAL_INODE,
    MAGIC,
    RO_COMPAT,
    SUPERBLOCK,
)
from orlop.fsimage.ext4.inode import encode_inode, encode_time
from orlop.fsimage.ext4.options import NANOSECONDS
from orlop.tree.node import S_IFREG, Node

if TYPE_CHECKING:
    from orlop.fsimage.ext4.plan import Plan

_CLEAN: Final = 1
_CONTINUE: Final = 1
_NEVER: Final = 0xFFFF
_REVISION: Final = 1
_HALF_MD4: Final = 1
_BACKUP_BLOCKS: Final = 1
_XATTR_ACL: Final = 0x4 | 0x8
_UNSIGNED_HASH: Final = 0x2
_ADDRESSES: Final = BLOCK // 4
_DOUBLE_INDIRECT: Final = 13
_MAPPED: Final = (_ADDRESSES * _ADDRESSES + _ADDRESSES + 12) * BLOCK
"""Bytes that a map of direct, indirect and double indirect blocks can address."""


def encode_superblock(plan: Plan, group: int) -> bytes:
    """The superblock as it is in a group."""
    geometry, options = plan.geometry, plan.options
    compat = COMPAT_EXT_ATTR | COMPAT_DIR_INDEX
    compat |= COMPAT_HAS_JOURNAL if plan.journal_blocks else 0
    compat |= COMPAT_RESIZE_INODE if plan.resize_block else 0
    seconds = options.time_ns // NANOSECONDS
    low, high = seconds & 0xFFFFFFFF, seconds >> 32
    journal = _journal_backup(plan)
    return SUPERBLOCK.pack(
        geometry.inodes, geometry.blocks, 0, plan.free_blocks,
        geometry.inodes - plan.inodes.used, 0, BLOCK_BITS - 10, BLOCK_BITS - 10,
        GROUP, GROUP, geometry.group_inodes, 0, low, 0, _NEVER, MAGIC, _CLEAN, _CONTINUE, 0,
        low, 0, 0, _REVISION, 0, 0, FIRST_INODE, INODE_SIZE, group & 0xFFFF,
        compat, INCOMPAT, RO_COMPAT, options.uuid, options.label,
        geometry.reserved_blocks if plan.resize_block else 0,
        JOURNAL_INODE if plan.journal_blocks else 0, *plan.inodes.seed,
        _HALF_MD4, _BACKUP_BLOCKS if plan.journal_blocks else 0, 0, _XATTR_ACL, low, *journal,
        EXTRA_SIZE, EXTRA_SIZE, _UNSIGNED_HASH, FLEX.bit_length() - 1, high, 0, high, high,
    )  # fmt: skip


def _journal_backup(plan: Plan) -> tuple[int, ...]:
    if not plan.journal_blocks:
        return (0,) * 17
    size = plan.journal_blocks << BLOCK_BITS
    root = encode_tree(*plan.journal)[0].ljust(60, b"\0")
    return (*struct.unpack("<15I", root), size >> 32, size & 0xFFFFFFFF)


def encode_journal(blocks: int) -> bytes:
    """The beginning of an empty journal of so many blocks."""
    return struct.pack(
        ">9I 12x 16x I", 0xC03B3998, 4, 0, BLOCK, blocks, 1, 1, 0, 0, 1
    ).ljust(1024, b"\0")  # fmt: skip


def encode_journal_inode(plan: Plan) -> bytes:
    """The inode of the journal."""
    return encode_inode(
        Node(S_IFREG | 0o600, mtime_ns=plan.options.time_ns),
        encode_time(plan.options.time_ns),
        size=plan.journal_blocks << BLOCK_BITS,
        links=1,
        blocks=plan.journal.blocks,
        flags=FLAG_EXTENTS,
        body=encode_tree(*plan.journal)[0],
    )


def encode_resize_inode(plan: Plan) -> bytes:
    """The inode that has the blocks kept for descriptors."""
    geometry = plan.geometry
    return encode_inode(
        Node(S_IFREG | 0o600, mtime_ns=plan.options.time_ns),
        encode_time(plan.options.time_ns),
        size=_MAPPED,
        links=1,
        blocks=1 + geometry.reserved_blocks * len(geometry.copies),
        flags=0,
        body=struct.pack("<I", plan.resize_block).rjust(4 * (_DOUBLE_INDIRECT + 1), b"\0"),
    )


def encode_resize_table(plan: Plan) -> bytes:
    """The double indirect block of the resize inode."""
    used = plan.geometry.descriptor_blocks
    first = 1 + used
    kept = range(first, first + plan.geometry.reserved_blocks)
    return (bytes(4 * used) + struct.pack(f"<{len(kept)}I", *kept)).ljust(BLOCK, b"\0")


def encode_kept_blocks(plan: Plan) -> bytes:
    """The blocks kept for descriptors in group 0, with where the others are."""
    geometry = plan.geometry
    first = 1 + geometry.descriptor_blocks
    others = [group * GROUP for group in geometry.copies[1:]]
    blocks = bytearray()
    for block in range(first, first + geometry.reserved_blocks):
        addresses = [start + block for start in others]
        blocks += struct.pack(f"<{len(others)}I", *addresses).ljust(BLOCK, b"\0")
    return bytes(blocks)
