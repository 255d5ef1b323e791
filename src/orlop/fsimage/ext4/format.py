"""ext4 on disk: numbers, structures and limits. Everything is little-endian.

Blocks have 4096 bytes, and 32768 of them are a group. Block 0 begins with 1024 bytes for a boot
sector, then comes the superblock, 1024 bytes; its copies begin their blocks. What is not said is 0:

    offset type    field                here
    0      u32     inodes_count
    4      u32     blocks_count_lo
    8      u32     r_blocks_count_lo    0: none is reserved for root
    12     u32     free_blocks_count_lo
    16     u32     free_inodes_count
    20     u32     first_data_block     0
    24     u32[2]  log_block_size, log_cluster_size     log2(block size) - 10
    32     u32[3]  blocks, clusters, inodes per group
    44     u32[2]  mtime, wtime         last mount, 0: none; last write
    52     u16[2]  mnt_count, max_mnt_count             0, 0xFFFF: never
    56     u16     magic                0xEF53
    58     u16[3]  state, errors, minor_rev_level       1 clean, 1 go on after errors, 0
    64     u32[4]  lastcheck, checkinterval, creator_os, rev_level      creator 0, revision 1
    84     u32     first_ino            11
    88     u16[2]  inode_size, block_group_nr           256, low half of a copy's group
    92     u32[3]  feature_compat, feature_incompat, feature_ro_compat
    104    u8[16]  uuid
    120    u8[16]  volume_name
    206    u16     reserved_gdt_blocks
    224    u32     journal_inum         8
    236    u32[4]  hash_seed
    252    u8[2]   def_hash_version, jnl_backup_type    1 half MD4, 1 blocks
    254    u16     desc_size            0 without 64bit
    256    u32     default_mount_opts   4 user_xattr, 8 acl
    264    u32     mkfs_time
    268    u32[17] jnl_blocks           copy of the journal's i_block, then size high and low
    348    u16[2]  min_extra_isize, want_extra_isize    32
    352    u32     flags                2: names are hashed as unsigned bytes
    372    u8      log_groups_per_flex  4
    628    u8[4]   wtime, mtime, mkfs_time, lastcheck   bits 32 to 39

The descriptors of all groups follow the superblock in block 1, 32 bytes each:

    0      u32[3]  block_bitmap, inode_bitmap, inode_table      their first blocks
    12     u16[3]  free_blocks_count, free_inodes_count, used_dirs_count
    18     u16     flags                1 no inode is used, 4 the inode table's rest is zero
    28     u16     itable_unused        how many inodes at the end of the table were never used
    30     u16     checksum             see `crc16`

An inode has 256 bytes:

    0      u16[2]  mode, uid_lo
    4      u32[4]  size_lo, atime, ctime, mtime
    20     u32     dtime
    24     u16[2]  gid_lo, links_count
    28     u32[3]  blocks_lo (units of 512 bytes), flags, version
    40     u8[60]  block                extents, target of a short link, or device number
    100    u32[4]  generation, file_acl_lo (block of attributes), size_high, obsolete
    116    u16[6]  blocks_high, file_acl_high, uid_high, gid_high, checksum, 0
    128    u16[2]  extra_isize, checksum_hi             32
    132    u32[5]  ctime_extra, mtime_extra, atime_extra, crtime, crtime_extra
    152    u32[2]  version_hi, projid
    160    u8[96]  attributes, see `xattrs`

A time is 32 bits, signed, with an `extra`: two bits that are added above them, then 30 bits of
nanoseconds; so it reaches from 1901 to 2446.

Spec: Linux, Documentation/filesystems/ext4.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import Final

from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK

BLOCK: Final = 4096
BLOCK_BITS: Final = 12
GROUP: Final = 8 * BLOCK
"""Blocks of a group, and the most inodes that it can have: the bits of a block."""
FLEX: Final = 16
"""Groups whose bitmaps and inode tables lie together, in the first of them."""
MAX_BLOCKS: Final = 0xFFFFFFFF

SUPERBLOCK_OFFSET: Final = 1024
SUPERBLOCK_SIZE: Final = 1024
SUPERBLOCK: Final = struct.Struct(
    "<11I2I6H4I2H I2H3I16s16s 70x H 16x I 8x 4I 2BH I4xI17I 12x 2HI 16xB 255x 4B 392x"
)
MAGIC: Final = 0xEF53

COMPAT_HAS_JOURNAL: Final = 0x4
COMPAT_EXT_ATTR: Final = 0x8
COMPAT_RESIZE_INODE: Final = 0x10
COMPAT_DIR_INDEX: Final = 0x20
INCOMPAT: Final = 0x2 | 0x40 | 0x200
"""filetype, extent, flex_bg."""
RO_COMPAT: Final = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40
"""sparse_super, large_file, huge_file, uninit_bg (checksums of groups), dir_nlink, extra_isize."""

DESCRIPTOR: Final = struct.Struct("<3I4H8xHH")
DESCRIPTORS: Final = BLOCK // DESCRIPTOR.size
"""Descriptors in a block."""
INODE_UNINIT: Final = 0x1
INODE_ZEROED: Final = 0x4

INODE: Final = struct.Struct("<2H5I2H3I60s4I6H2H7I")
INODE_SIZE: Final = 256
INODES: Final = BLOCK // INODE_SIZE
"""Inodes in a block."""
EXTRA_SIZE: Final = 32
FLAG_INDEX: Final = 0x1000
FLAG_EXTENTS: Final = 0x80000

ROOT_INODE: Final = 2
RESIZE_INODE: Final = 7
JOURNAL_INODE: Final = 8
FIRST_INODE: Final = 11
MAX_INODES: Final = 0xFFFFFFFF

MAX_LINKS: Final = 65_000
MAX_OWNER: Final = 0xFFFFFFFF
MAX_SIZE: Final = ((1 << 32) - 1) * BLOCK
"""Bytes of a file that extents can address: 16 TiB less a block."""
MIN_TIME: Final = -(1 << 31)
MAX_TIME: Final = (1 << 34) - (1 << 31) - 1
"""Seconds since 1970 at the end of May 10th, 2446."""
MAX_MAJOR: Final = 0xFFF
MAX_MINOR: Final = 0xFFFFF
SHORT_TARGET: Final = 60
"""Targets shorter than this lie in the inode."""

TYPES: Final = MappingProxyType(
    {S_IFREG: 1, S_IFDIR: 2, S_IFCHR: 3, S_IFBLK: 4, S_IFIFO: 5, S_IFSOCK: 6, S_IFLNK: 7}
)
"""The type in a directory's entry by the type in a mode."""


def blocks_of(size: int) -> int:
    """How many blocks hold so many bytes."""
    return -(-size >> BLOCK_BITS)
