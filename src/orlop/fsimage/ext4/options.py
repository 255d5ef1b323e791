"""What an image is asked to be, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from orlop.fsimage.ext4.format import BLOCK, MAX_TIME

NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ext4Options:
    """What an image is to be like; the same tree and options give the same bytes.

    Attributes:
        uuid: The 16 bytes that identify the filesystem.
        label: Its name, up to 16 bytes.
        size: Bytes of the disk; None for as few as the content and `free` need.
        free: Bytes to leave free for users, at least.
        journal: Whether it has a journal, which a disk that is written to wants: as large as
            `mke2fs` makes it, or smaller where only that fits into `size`.
        time_ns: When it is made, in nanoseconds since 1970, not negative: the superblock's times,
            and each inode's times but that of its last modification.
        bytes_per_inode: For how many bytes of the disk there is an inode, at least 1024; and for
            how many that are free there is one besides those of the tree.
        spare_inodes: How many inodes there are at least besides those of the tree.
        drop_foreign_xattrs: Whether extended attributes of namespaces that ext4 has no place for
            are left out; if not, they are an error.
    """

    uuid: bytes
    label: bytes = b""
    size: int | None = None
    free: int = 0
    journal: bool = True
    time_ns: int = 0
    bytes_per_inode: int = 16384
    spare_inodes: int = 512
    drop_foreign_xattrs: bool = False

    def __post_init__(self) -> None:
        """Refuse what no image can be.

        Raises:
            ValueError: An option is out of its range.
        """
        if len(self.uuid) != 16:
            raise ValueError(f"a UUID of {len(self.uuid)} bytes")
        if len(self.label) > 16 or b"\0" in self.label:
            raise ValueError(f"{self.label!r} is no label: it has up to 16 bytes, none of them NUL")
        if self.free < 0 or self.spare_inodes < 0 or (self.size is not None and self.size < BLOCK):
            raise ValueError(f"no disk has {self.size=}, {self.free=} and {self.spare_inodes=}")
        if not 0 <= self.time_ns < (MAX_TIME + 1) * NANOSECONDS:
            raise ValueError(f"{self.time_ns} is no time since 1970 that ext4 can hold")
        if self.bytes_per_inode < 1024:
            raise ValueError(f"an inode for each {self.bytes_per_inode} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenExt4:
    """What an image is, measured or written.

    Attributes:
        size: Bytes of the image.
        blocks: Blocks of 4096 bytes in the filesystem.
        free_blocks: How many of them are free.
        inodes: How many inodes it has.
        free_inodes: How many of them are free.
        groups: Groups of blocks.
        journal_blocks: Blocks of the journal; 0 without one.
    """

    size: int
    blocks: int
    free_blocks: int
    inodes: int
    free_inodes: int
    groups: int
    journal_blocks: int
