"""Check an image for everything that is promised of it, also for what Linux never looks at."""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError
from orlop.fsimage.erofs.access import Metadata, iter_range
from orlop.fsimage.erofs.directory import Directory
from orlop.fsimage.erofs.dirents import block_count, decode_block
from orlop.fsimage.erofs.extents import chunk_table, iter_extents
from orlop.fsimage.erofs.format import (
    CHUNK_ENTRY,
    CHUNK_ENTRY_SIZE,
    COMPACT_INODE,
    COMPAT_SB_CHKSUM,
    COMPAT_XATTR_FILTER,
    EXTENDED,
    EXTENDED_INODE,
    HOLE,
    MAX_TARGET,
    SLOT_SIZE,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
    TYPE_TO_FTYPE,
    XATTR_HEADER_SIZE,
    Layout,
)
from orlop.fsimage.erofs.inode import Inode, read_inode
from orlop.fsimage.erofs.regions import Regions, require_zeros
from orlop.fsimage.erofs.superblock import read_superblock
from orlop.fsimage.erofs.xattrs import decode_entries, decode_entry, decode_header
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.fsimage.erofs.access import ReadAt
    from orlop.fsimage.erofs.dirents import Dirent
    from orlop.fsimage.erofs.extents import Extent

_DEVT_SLOTOFF: Final = 88
_RESERVED: Final = slice(108, SUPERBLOCK_SIZE)


def check_image(image: ReadAt, device_sizes: Sequence[int] = ()) -> None:
    """Return if the image is sound to the last byte, with devices of these sizes in bytes.

    Beyond what reading demands: the checksum is there and right; entries are in byte order, `.`
    and `..` lead where they should, types agree, links are counted right; every inode is reached,
    and their number is the one written; devices lie side by side and have all the blocks that they
    are said to have; nothing overlaps; no tail crosses a block; what is reserved, padding or
    belongs to nothing is zero; the image ends where it says.

    Args:
        image: Reads the image.
        device_sizes: The size in bytes of each device, in the order of the device table.

    Raises:
        InvalidImageError: At the first breach.
        UnsupportedError: The image has features that cannot be checked, such as compression.
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
        self._serials: set[int] = set()
        self._queue: deque[tuple[Inode, int]] = deque()

    def check(self) -> None:
        self._check_superblock()
        self._check_devices()
        root = self._enter(self._superblock.root_nid, self._superblock.root_nid)
        _require(root == TYPE_TO_FTYPE[0o040000], "the root is no directory", "superblock")
        while self._queue:
            self._check_directory(*self._queue.popleft())
        for nid, (_, links) in self._inodes.items():
            counted = self._links[nid]
            _require(links == counted, f"{links} links are written, {counted} are there", nid)
        count = len(self._inodes)
        _require(
            count == self._superblock.inodes,
            f"{self._superblock.inodes} inodes are written, {count} are there", "superblock",
        )  # fmt: skip
        self._regions.judge(self._image, self._superblock.size)

    def _check_superblock(self) -> None:
        superblock = self._superblock
        _require(bool(superblock.compat & COMPAT_SB_CHKSUM), "there is no checksum", "superblock")
        raw = self._meta(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE)
        _require(not any(raw[_RESERVED]), "reserved bytes are not zero", "superblock")
        _require(
            not self._image(superblock.size, 1) and bool(self._image(superblock.size - 1, 1)),
            f"the image does not end after {superblock.size} bytes", "superblock",
        )  # fmt: skip
        end = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE
        self._regions.claim(SUPERBLOCK_OFFSET, end, "the superblock")

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
            _require(space <= size, f"{space} bytes are promised, {size} are there", where)
            _require(not slot.base or slot.base >= free, "it overlaps the one before it", where)
            free = max(free, slot.base + slot.blocks)
            at = start + number * SLOT_SIZE
            require_zeros(self._meta, at + 72, at + SLOT_SIZE)

    def _enter(self, nid: int, parent: int) -> int:
        """Count a name of an inode, check the inode when it is new, and return its type."""
        known = self._inodes.get(nid)
        if known is None:
            inode = read_inode(self._meta, self._superblock, nid)
            self._check_inode(inode)
            known = self._inodes[nid] = TYPE_TO_FTYPE[inode.type], inode.nlink
            self._links[nid] = 2 if inode.is_dir else 1
            if inode.is_dir:
                self._queue.append((inode, parent))
                if nid != parent:
                    self._links[parent] += 1
        else:
            _require(known[0] != TYPE_TO_FTYPE[0o040000], "a directory has two names", nid)
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
                _require(last < entry.name, f"{entry.name!r} is out of order", inode.nid)
                last = entry.name
                self._check_entry(entry, inode.nid, special)
        _require(not special, f"there is no {' or '.join(map(repr, special))}", inode.nid)

    def _check_entry(self, entry: Dirent, nid: int, special: dict[bytes, int]) -> None:
        expected = special.pop(entry.name, None)
        if expected is None:
            ftype = self._enter(entry.nid, nid)
        else:
            _require(entry.nid == expected, f"{entry.name!r} leads to {entry.nid}", nid)
            ftype = TYPE_TO_FTYPE[0o040000]
        _require(entry.ftype == ftype, f"{entry.name!r} has the type {entry.ftype}", nid)

    def _check_inode(self, inode: Inode) -> None:
        self._check_reserved(inode)
        _require(inode.serial not in self._serials, "its serial number is taken", inode.nid)
        self._serials.add(inode.serial)
        self._check_xattrs(inode)
        end = self._check_data(inode)
        self._regions.claim(inode.start, end, f"inode {inode.nid}")

    def _check_reserved(self, inode: Inode) -> None:
        raw = self._meta(inode.start, inode.xattr_start - inode.start)
        if raw[0] & EXTENDED:
            assert len(raw) == EXTENDED_INODE.size
            reserved = raw[6:8] + raw[48:64]
        else:
            assert len(raw) == COMPACT_INODE.size
            reserved = raw[12:16] + raw[28:32]
        _require(not any(reserved), "reserved bytes are not zero", inode.nid)
        if inode.type not in {S_IFCHR, S_IFBLK} and not inode.is_dir and not inode.size:
            _require(not inode.union, "an inode without data has an address", inode.nid)

    def _check_data(self, inode: Inode) -> int:
        """Check where the data lies, claim it, and return where what is beside the inode ends."""
        if inode.is_dir:
            _require(inode.size > 0, "a directory without entries", inode.nid)
        elif inode.is_link:
            _require(0 < inode.size <= MAX_TARGET, f"a target of {inode.size} bytes", inode.nid)
        elif inode.type != S_IFREG:
            _require(not inode.size, f"a special file of {inode.size} bytes", inode.nid)
        if inode.layout == Layout.CHUNK_BASED:
            return self._check_chunks(inode)
        end = inode.end
        for extent in self._extents(inode):
            _require(
                inode.type == S_IFREG or extent.device == 0, "its data is not in the image",
                inode.nid,
            )  # fmt: skip
            if inode.layout == Layout.FLAT_INLINE and extent.offset == inode.end:
                end += extent.size
            elif extent.device == 0:
                self._claim_blocks(inode, extent.offset, extent.size)
        if inode.is_link:
            self._check_target(inode, end)
        return end

    def _extents(self, inode: Inode) -> Iterator[Extent]:
        for extent in iter_extents(inode, self._superblock, self._meta):
            if extent.device:
                size = self._sizes[extent.device - 1]
                _require(
                    extent.offset + extent.size <= size,
                    f"content ends at {extent.offset + extent.size} of a device of {size} bytes",
                    inode.nid,
                )  # fmt: skip
            yield extent

    def _check_target(self, inode: Inode, end: int) -> None:
        extents = list(iter_extents(inode, self._superblock, self._meta))
        target = b"".join(self._meta(extent.offset, extent.size) for extent in extents)
        _require(b"\0" not in target, "its target has a NUL in it", inode.nid)
        crosses = (inode.start ^ end - 1) >> self._superblock.block_bits
        _require(
            inode.layout != Layout.FLAT_INLINE or not crosses,
            "a link with an inline target crosses a block", inode.nid,
        )  # fmt: skip

    def _claim_blocks(self, inode: Inode, start: int, size: int) -> None:
        end = start + size
        padded = end + -end % self._superblock.block_size
        require_zeros(self._meta, end, padded)
        if inode.type == S_IFREG:
            self._regions.share(start, padded)
        else:
            self._regions.claim(start, padded, f"data of inode {inode.nid}")

    def _check_chunks(self, inode: Inode) -> int:
        _, table, count, width = chunk_table(inode, self._superblock)
        require_zeros(self._meta, inode.end, table)
        end = table + count * width
        if width == CHUNK_ENTRY_SIZE:
            for piece in iter_range(self._meta, table, end - table):
                for high, device, block in CHUNK_ENTRY.iter_unpack(piece):
                    _require(
                        not high and not (block == HOLE and device),
                        "a chunk has bits that mean nothing", inode.nid,
                    )  # fmt: skip
        for extent in self._extents(inode):
            if extent.device == 0:
                self._claim_blocks(inode, extent.offset, extent.size)
        return end

    def _check_xattrs(self, inode: Inode) -> None:
        if not inode.xattr_size:
            return
        area = self._meta(inode.xattr_start, inode.xattr_size)
        name_filter, shared = decode_header(area)
        filtered = self._superblock.compat & COMPAT_XATTR_FILTER
        _require(filtered or not name_filter, "its attributes have a filter", inode.nid)
        _require(not any(area[5:12]), "reserved bytes are not zero", inode.nid)
        names = [self._check_shared(number) for number in shared]
        position = XATTR_HEADER_SIZE + 4 * len(shared)
        for name, value, end in decode_entries(area, position):
            names.append(name)
            padding = -(4 + len(_stored_name(name)) + len(value)) % 4
            _require(not any(area[end - padding : end]), "padding is not zero", inode.nid)
            position = end
        _require(position == len(area), "attributes do not fill their area", inode.nid)
        _require(len(set(names)) == len(names), "an attribute is there twice", inode.nid)

    def _check_shared(self, number: int) -> bytes:
        start = self._superblock.xattr_start + 4 * number
        size = min(4 + 255 + 0xFFFF, max(self._superblock.size - start, 4))
        name, _, end = decode_entry(self._meta(start, size), 0)
        self._regions.share(start, start + end)
        return name


def _stored_name(name: bytes) -> bytes:
    return b"" if name.startswith(b"system.posix_acl_") else name[name.index(b".") + 1 :]


def _check_padding(block: bytes, entries: Sequence[Dirent], nid: int, *, last: bool) -> None:
    used = 12 * block_count(block) + sum(len(entry.name) for entry in entries)
    _require(not any(block[used:]), "padding in a directory is not zero", nid)
    _require(not last or used == len(block), "a directory ends in padding", nid)
    for offset in range(11, 12 * len(entries), 12):
        _require(not block[offset], "reserved bytes are not zero", nid)


def _require(condition: object, message: str, where: int | str) -> None:
    if not condition:
        raise InvalidImageError(
            message, where=f"inode {where}" if isinstance(where, int) else where
        )
