"""Check an image for everything that is promised of it, also for what Linux never looks at."""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError, UnsupportedError
from orlop.fsimage.erofs.access import Metadata
from orlop.fsimage.erofs.check_inode import InodeCheck
from orlop.fsimage.erofs.directory import Directory
from orlop.fsimage.erofs.dirents import block_count, decode_block
from orlop.fsimage.erofs.format import (
    COMPAT_SB_CHKSUM,
    DIRENT_SIZE,
    INCOMPAT_COMPR_CFGS,
    SLOT_SIZE,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
    TYPE_TO_FTYPE,
)
from orlop.fsimage.erofs.inode import Inode, read_inode
from orlop.fsimage.erofs.regions import Regions, require, require_zeros
from orlop.fsimage.erofs.superblock import read_superblock
from orlop.fsimage.erofs.unpack import LZ4, ZSTD
from orlop.tree.node import S_IFDIR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.fsimage.erofs.access import ReadAt
    from orlop.fsimage.erofs.dirents import Dirent

_DIRECTORY: Final = TYPE_TO_FTYPE[S_IFDIR]
_CONFIGURATIONS: Final = {LZ4: 14, ZSTD: 6}  # bytes that Linux wants to know of each
_DEVT_SLOTOFF: Final = 88
_RESERVED: Final = slice(108, SUPERBLOCK_SIZE)


def check_image(image: ReadAt, device_sizes: Sequence[int] = ()) -> None:
    """Return if the image is sound to the last byte, with devices of these sizes in bytes.

    Beyond what reading demands: the checksum is there and right; entries are in byte order, `.`
    and `..` lead where they should, types agree, links are counted right; every inode is reached,
    and their number is the one written; devices lie side by side and have all the blocks that they
    are said to have; compressed content can be undone; nothing overlaps; no tail crosses a block;
    what is reserved, padding or belongs to nothing is zero; the image ends where it says.

    Args:
        image: Reads the image.
        device_sizes: The size in bytes of each device, in the order of the device table.

    Raises:
        InvalidImageError: At the first breach.
        UnsupportedError: The image has features that cannot be checked, such as compression with
            another algorithm than LZ4 and Zstandard, or with one that is not installed.
    """
    _Checker(image, device_sizes).check()


class _Checker:
    """One walk over an image, breadth first."""

    def __init__(self, image: ReadAt, device_sizes: Sequence[int]) -> None:
        self._image = image
        self._sizes = device_sizes
        self._superblock = read_superblock(image)
        self._meta = Metadata(image, self._superblock.size)
        self._regions = Regions()
        self._inodes: dict[int, tuple[int, int]] = {}  # nid: ftype, links as the inode says
        self._links: dict[int, int] = {}
        self._inode_check = InodeCheck(self._superblock, self._meta, device_sizes, self._regions)
        self._queue: deque[tuple[Inode, int]] = deque()

    def check(self) -> None:
        self._check_superblock()
        self._check_devices()
        root = self._enter(self._superblock.root_nid, self._superblock.root_nid)
        require(root == _DIRECTORY, "the root is no directory", "superblock")
        while self._queue:
            self._check_directory(*self._queue.popleft())
        for nid, (_, links) in self._inodes.items():
            counted = self._links[nid]
            require(links == counted, f"{links} links are written, {counted} are there", nid)
        count = len(self._inodes)
        require(
            count == self._superblock.inodes,
            f"{self._superblock.inodes} inodes are written, {count} are there", "superblock",
        )  # fmt: skip
        self._regions.judge(self._image, self._superblock.size)

    def _check_superblock(self) -> None:
        superblock = self._superblock
        require(bool(superblock.compat & COMPAT_SB_CHKSUM), "there is no checksum", "superblock")
        raw = self._meta(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE)
        require(not any(raw[_RESERVED]), "reserved bytes are not zero", "superblock")
        require(
            not self._image(superblock.size, 1) and bool(self._image(superblock.size - 1, 1)),
            f"the image does not end after {superblock.size} bytes", "superblock",
        )  # fmt: skip
        end = self._check_configurations(SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE)
        self._regions.claim(SUPERBLOCK_OFFSET, end, "the superblock")

    def _check_configurations(self, position: int) -> int:
        """Check what the image says of algorithms; where that ends, which begins at `position`."""
        superblock = self._superblock
        if not superblock.incompat & INCOMPAT_COMPR_CFGS:
            return position
        for algorithm in range(superblock.algorithms.bit_length()):
            if superblock.algorithms >> algorithm & 1:
                size = int.from_bytes(self._meta(position, 2), "little")
                needed = _CONFIGURATIONS.get(algorithm)
                if needed is None:
                    raise UnsupportedError(f"content compressed with the algorithm {algorithm}")
                require(size >= needed, f"algorithm {algorithm} has {size} bytes", "superblock")
                position += 2 + size
        return position

    def _check_devices(self) -> None:
        slots = self._superblock.devices
        if len(slots) != len(self._sizes):
            raise InvalidImageError(f"{len(self._sizes)} devices for a table of {len(slots)}")
        if not slots:
            return
        raw = self._meta(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE)
        start = struct.unpack_from("<H", raw, _DEVT_SLOTOFF)[0] * SLOT_SIZE
        self._regions.claim(start, start + SLOT_SIZE * len(slots), "the device table")
        free = self._superblock.blocks
        for number, (slot, size) in enumerate(zip(slots, self._sizes, strict=True)):
            where = f"device {number + 1}"
            space = slot.blocks << self._superblock.block_bits
            require(space <= size, f"{space} bytes are promised, {size} are there", where)
            require(not slot.base or slot.base >= free, "it overlaps the one before it", where)
            free = max(free, slot.base + slot.blocks)
            at = start + number * SLOT_SIZE
            require_zeros(self._meta, at + 72, at + SLOT_SIZE)

    def _enter(self, nid: int, parent: int) -> int:
        """Count a name of an inode, check the inode when it is new, and return its type."""
        known = self._inodes.get(nid)
        if known is None:
            inode = read_inode(self._meta, self._superblock, nid)
            self._inode_check.check(inode)
            known = self._inodes[nid] = TYPE_TO_FTYPE[inode.type], inode.nlink
            self._links[nid] = 2 if inode.is_dir else 1
            if inode.is_dir:
                self._queue.append((inode, parent))
                if nid != parent:
                    self._links[parent] += 1
        else:
            require(known[0] != _DIRECTORY, "a directory has two names", nid)
            self._links[nid] += 1
        return known[0]

    def _check_directory(self, inode: Inode, parent: int) -> None:
        directory = Directory(inode, self._superblock, self._meta)
        last = b""
        special = {b".": inode.nid, b"..": parent}
        for number in range(directory.blocks):
            block = directory.block(number)
            entries = decode_block(block)
            _check_padding(block, entries, inode.nid, last=number + 1 == directory.blocks)
            for entry in entries:
                require(last < entry.name, f"{entry.name!r} is out of order", inode.nid)
                last = entry.name
                self._check_entry(entry, inode.nid, special)
        require(not special, f"there is no {' or '.join(map(repr, special))}", inode.nid)

    def _check_entry(self, entry: Dirent, nid: int, special: dict[bytes, int]) -> None:
        expected = special.pop(entry.name, None)
        if expected is None:
            ftype = self._enter(entry.nid, nid)
        else:
            require(entry.nid == expected, f"{entry.name!r} leads to {entry.nid}", nid)
            ftype = _DIRECTORY
        require(entry.ftype == ftype, f"{entry.name!r} has the type {entry.ftype}", nid)


def _check_padding(block: bytes, entries: Sequence[Dirent], nid: int, *, last: bool) -> None:
    used = DIRENT_SIZE * block_count(block) + sum(len(entry.name) for entry in entries)
    require(not any(block[used:]), "padding in a directory is not zero", nid)
    require(not last or used == len(block), "a directory ends in padding", nid)
    for offset in range(DIRENT_SIZE - 1, DIRENT_SIZE * len(entries), DIRENT_SIZE):
        require(not block[offset], "reserved bytes are not zero", nid)
