"""EROFS on disk: numbers, structures and limits. Everything is little-endian.

`B` is the block size. The superblock begins at byte 1024:

    offset type   field             here
    0      u32    magic             0xE0F5E1E2
    4      u32    checksum          CRC-32C of what follows byte 1024, see `crc32c`
    8      u32    feature_compat    `COMPAT_…`
    12     u8     blkszbits         log2(B), 9 to 16
    13     u8     sb_extslots       more superblock, in units of 16 bytes: 0
    14     u16    root_nid
    16     u64    inos              how many inodes
    24     u64    epoch             seconds, what a compact inode's mtime is
    32     u32    fixed_nsec        nanoseconds of that
    36     u32    blocks            of the primary device only
    40     u32    meta_blkaddr      block that nid 0 lies in
    44     u32    xattr_blkaddr     block that shared attributes begin in
    48     u8[16] uuid
    64     u8[16] volume_name
    80     u32    feature_incompat  `INCOMPAT_…`
    84     u16    compression       algorithms or LZ4 distance
    86     u16    extra_devices
    88     u16    devt_slotoff      where device slots begin, in units of 128 bytes
    90     u8     dirblkbits        0
    91     u8[37]                   fields of features that are refused or not used: 0

A device slot has 128 bytes:

    0      u8[64] tag               NUL-padded text
    64     u32    blocks
    68     u32    uniaddr           first block of the device in the unified address space, 0: none
    72     u8[56]                   high halves of 48-bit addresses, reserved: 0

An inode lies at `meta_blkaddr * B + 32 * nid`. Compact, 32 bytes, and extended, 64 bytes:

    0      u16    format            bit 0 extended, bits 1 to 3 the layout (`Layout`)
    2      u16    xattr_icount      0, or (bytes of attributes - 12) / 4 + 1
    4      u16    mode
    6      u16    nlink             extended: 0
    8      u32    size              extended: u64
    12     u32    mtime             compact only; 0, see `EPOCH`
    16     u32    union             first block; device number; chunk format
    20     u32    ino               serial number for 32-bit systems
    24     u16[2] uid, gid          extended: u32[2]
    28     u32                      compact: reserved
    32     s64    mtime             seconds since 1970
    40     u32    mtime_nsec
    44     u32    nlink
    48     u8[16]                   reserved

After the inode come its attributes, then the tail of an inline layout or the chunk table. A
chunk table is aligned to its entries of 8 bytes: u16 high half of a 48-bit address, u16 device
(0 the primary, 1 the first slot), u32 block, all ones for a hole.

A directory is a sequence of blocks: entries of 12 bytes (u64 nid, u16 offset of the name in the
block, u8 type, u8 0), then the names back to back. All entries of a directory, `.` and `..`
with them, are in byte order over all blocks.

Spec: Linux, fs/erofs/erofs_fs.h; erofs.docs.kernel.org, "EROFS ondisk format".
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from types import MappingProxyType
from typing import Final

from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK

SUPERBLOCK_OFFSET: Final = 1024
SUPERBLOCK_SIZE: Final = 128
MAGIC: Final = 0xE0F5E1E2
SUPERBLOCK: Final = Struct("<IIIBBHQQIIII16s16sIHHHBBIQB3xIQQ")
CHECKSUM_OFFSET: Final = SUPERBLOCK_OFFSET + 4

COMPAT_SB_CHKSUM: Final = 0x1
COMPAT_MTIME: Final = 0x2
COMPAT_XATTR_FILTER: Final = 0x4

INCOMPAT_LZ4_0PADDING: Final = 0x1
INCOMPAT_COMPR_CFGS: Final = 0x2
INCOMPAT_CHUNKED_FILE: Final = 0x4
INCOMPAT_DEVICE_TABLE: Final = 0x8
INCOMPAT_NAMES: Final = MappingProxyType(
    {
        INCOMPAT_LZ4_0PADDING: "LZ4_0PADDING",
        INCOMPAT_COMPR_CFGS: "COMPR_CFGS",
        INCOMPAT_CHUNKED_FILE: "CHUNKED_FILE",
        INCOMPAT_DEVICE_TABLE: "DEVICE_TABLE",
        0x10: "ZTAILPACKING",
        0x20: "FRAGMENTS",
        0x40: "XATTR_PREFIXES",
        0x80: "48BIT",
        0x100: "METABOX",
    }
)
# Bits 0x10 and 0x20 change only compressed inodes, which are refused one by one.
INCOMPAT_READABLE: Final = 0x3F

DEVICE_SLOT: Final = Struct("<64sIIHH52x")
SLOT_SIZE: Final = 128
TAG_SIZE: Final = 64

NID_SHIFT: Final = 5
NID_SIZE: Final = 1 << NID_SHIFT
COMPACT_INODE: Final = Struct("<HHHHIIIIHHI")
EXTENDED_INODE: Final = Struct("<HHHHQIIIIqII16x")
EXTENDED: Final = 1
EPOCH: Final = 0
"""The mtime of compact inodes, seconds; kernels before 6.15 give them no other."""


class Layout(IntEnum):
    """Where the data of an inode lies."""

    FLAT_PLAIN = 0
    COMPRESSED_FULL = 1
    FLAT_INLINE = 2
    COMPRESSED_COMPACT = 3
    CHUNK_BASED = 4


CHUNK_BITS_MASK: Final = 0x1F
CHUNK_INDEXES: Final = 0x20
CHUNK_ENTRY: Final = Struct("<HHI")
CHUNK_ENTRY_SIZE: Final = 8
HOLE: Final = 0xFFFFFFFF

DIRENT: Final = Struct("<QHBx")
DIRENT_SIZE: Final = 12

XATTR_HEADER: Final = Struct("<IB7x")
XATTR_HEADER_SIZE: Final = 12
XATTR_ENTRY: Final = Struct("<BBH")
XATTR_ENTRY_SIZE: Final = 4

TYPE_TO_FTYPE: Final = MappingProxyType(
    {
        S_IFREG: 1,
        S_IFDIR: 2,
        S_IFCHR: 3,
        S_IFBLK: 4,
        S_IFIFO: 5,
        S_IFSOCK: 6,
        S_IFLNK: 7,
    }
)
FTYPE_TO_TYPE: Final = MappingProxyType({ftype: mode for mode, ftype in TYPE_TO_FTYPE.items()})

MIN_BLOCK_BITS: Final = 9
MAX_BLOCK_BITS: Final = 16
MAX_ROOT_NID: Final = 0xFFFF
MAX_BLOCKS: Final = 0xFFFFFFFF
"""Blocks of the primary device, of one device, and of the unified address space."""
MAX_DEVICES: Final = (MAX_ROOT_NID * NID_SIZE - SUPERBLOCK_OFFSET - SUPERBLOCK_SIZE) // SLOT_SIZE
"""Device slots before the root directory, whose nid has 16 bits."""
MAX_XATTR_NAME: Final = 255
MAX_XATTR_VALUE: Final = 0xFFFF
MAX_XATTR_AREA: Final = XATTR_HEADER_SIZE + 4 * (0xFFFF - 1)
"""Bytes of one inode's attributes."""
MAX_MAJOR: Final = 0xFFF
MAX_MINOR: Final = 0xFFFFF
