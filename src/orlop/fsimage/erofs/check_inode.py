"""Check one inode: its fields, its attributes and where its data lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.fsimage.erofs.access import iter_range
from orlop.fsimage.erofs.clusters import HEADER_USED, read_cluster_index
from orlop.fsimage.erofs.extents import chunk_table, iter_extents
from orlop.fsimage.erofs.format import (
    CHUNK_ENTRY,
    CHUNK_ENTRY_SIZE,
    COMPACT_INODE,
    COMPAT_XATTR_FILTER,
    EXTENDED,
    EXTENDED_INODE,
    HOLE,
    XATTR_HEADER_SIZE,
    Layout,
)
from orlop.fsimage.erofs.regions import require, require_zeros
from orlop.fsimage.erofs.unpack import read_packed
from orlop.fsimage.erofs.xattrs import decode_entries, decode_entry, decode_header
from orlop.fsimage.names import MAX_TARGET
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.fsimage.erofs.access import Metadata
    from orlop.fsimage.erofs.addresses import Extent, Packed
    from orlop.fsimage.erofs.inode import Inode
    from orlop.fsimage.erofs.regions import Regions
    from orlop.fsimage.erofs.superblock import Superblock

_RESERVED_BEFORE: Final = 4  # bytes of the header of an index


class InodeCheck:
    """Checks the inodes of one image, one after another.

    Args:
        superblock: Of the image.
        meta: Reads the image.
        device_sizes: The size in bytes of each device.
        regions: Takes the claims to where inodes and their data lie.
    """

    def __init__(
        self,
        superblock: Superblock,
        meta: Metadata,
        device_sizes: Sequence[int],
        regions: Regions,
    ) -> None:
        self._superblock = superblock
        self._meta = meta
        self._sizes = device_sizes
        self._regions = regions
        self._serials: set[int] = set()
        self._undone: set[tuple[int, int, Packed | None]] = set()

    def check(self, inode: Inode) -> None:
        """Return if the inode and what belongs to it is sound, and claim where it lies.

        Raises:
            InvalidImageError: It is not.
            UnsupportedError: Its data is compressed in a way that is not known here.
        """
        self._check_reserved(inode)
        require(inode.serial not in self._serials, "its serial number is taken", inode.nid)
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
        require(not any(reserved), "reserved bytes are not zero", inode.nid)
        if inode.type not in {S_IFCHR, S_IFBLK} and not inode.is_dir and not inode.size:
            require(not inode.union, "an inode without data has an address", inode.nid)

    def _check_data(self, inode: Inode) -> int:
        """Check where the data lies, claim it, and return where what is beside the inode ends."""
        if inode.is_dir:
            require(inode.size > 0, "a directory without entries", inode.nid)
        elif inode.is_link:
            require(0 < inode.size <= MAX_TARGET, f"a target of {inode.size} bytes", inode.nid)
        elif inode.type != S_IFREG:
            require(not inode.size, f"a special file of {inode.size} bytes", inode.nid)
        if inode.layout == Layout.CHUNK_BASED:
            require(inode.type == S_IFREG, "only regular files have chunk tables", inode.nid)
            return self._check_chunks(inode)
        if inode.layout in {Layout.COMPRESSED_FULL, Layout.COMPRESSED_COMPACT}:
            return self._check_compressed(inode)
        end = inode.end
        for extent in self._extents(inode):
            require(
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
                require(
                    extent.offset + extent.size <= size,
                    f"content ends at {extent.offset + extent.size} of a device of {size} bytes",
                    inode.nid,
                )  # fmt: skip
            yield extent

    def _check_target(self, inode: Inode, end: int) -> None:
        extents = list(iter_extents(inode, self._superblock, self._meta))
        target = b"".join(self._meta(extent.offset, extent.size) for extent in extents)
        require(b"\0" not in target, "its target has a NUL in it", inode.nid)
        crosses = (inode.start ^ end - 1) >> self._superblock.block_bits
        require(
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
                    require(
                        not high and not (block == HOLE and device),
                        "a chunk has bits that mean nothing", inode.nid,
                    )  # fmt: skip
        for extent in self._extents(inode):
            if extent.device == 0:
                self._claim_blocks(inode, extent.offset, extent.size)
        return end

    def _check_compressed(self, inode: Inode) -> int:
        index = read_cluster_index(inode, self._superblock, self._meta)
        require_zeros(self._meta, inode.end, index.header)
        require_zeros(self._meta, index.header, index.header + _RESERVED_BEFORE)
        require_zeros(self._meta, index.header + HEADER_USED, index.table)
        blocks = 0
        for extent in self._extents(inode):
            size = extent.size if extent.packed is None else extent.packed.size
            blocks += -(-size >> self._superblock.block_bits)
            if extent.device:
                continue
            if extent.packed is None:
                self._claim_blocks(inode, extent.offset, extent.size)
            else:
                self._regions.share(extent.offset, extent.offset + size)
                self._undo(extent)
        require(inode.union == blocks, f"{inode.union} blocks are written, not {blocks}", inode.nid)
        return index.end

    def _undo(self, extent: Extent) -> None:
        """Undo a compressed extent, once for all files that share it."""
        key = extent.offset, extent.size, extent.packed
        if key not in self._undone:
            read_packed(self._meta, extent)
            self._undone.add(key)

    def _check_xattrs(self, inode: Inode) -> None:
        if not inode.xattr_size:
            return
        area = self._meta(inode.xattr_start, inode.xattr_size)
        name_filter, shared = decode_header(area)
        filtered = self._superblock.compat & COMPAT_XATTR_FILTER
        require(filtered or not name_filter, "its attributes have a filter", inode.nid)
        require(not any(area[5:12]), "reserved bytes are not zero", inode.nid)
        names = [self._check_shared(number) for number in shared]
        position = XATTR_HEADER_SIZE + 4 * len(shared)
        for name, value, end in decode_entries(area, position):
            names.append(name)
            padding = -(4 + len(_stored_name(name)) + len(value)) % 4
            require(not any(area[end - padding : end]), "padding is not zero", inode.nid)
            position = end
        require(position == len(area), "attributes do not fill their area", inode.nid)
        require(len(set(names)) == len(names), "an attribute is there twice", inode.nid)

    def _check_shared(self, number: int) -> bytes:
        start = self._superblock.xattr_start + 4 * number
        size = min(4 + 255 + 0xFFFF, max(self._superblock.size - start, 4))
        name, _, end = decode_entry(self._meta(start, size), 0)
        self._regions.share(start, start + end)
        return name


def _stored_name(name: bytes) -> bytes:
    return b"" if name.startswith(b"system.posix_acl_") else name[name.index(b".") + 1 :]
