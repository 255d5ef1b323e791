"""Directories of an image: their entries in order, and one of them by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import InvalidImageError, NotFoundError, UnsupportedError
from orlop.fsimage.erofs.dirents import Dirent, decode_block, first_name
from orlop.fsimage.erofs.extents import iter_extents
from orlop.fsimage.erofs.format import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.fsimage.erofs.access import Metadata
    from orlop.fsimage.erofs.inode import Inode
    from orlop.fsimage.erofs.superblock import Superblock


class Directory:
    """The blocks of a directory, all of them in the image itself.

    Args:
        inode: The directory.
        superblock: Of the image.
        meta: Reads the image.

    Raises:
        InvalidImageError: Its data is not in the image.
        NotFoundError: This is no directory.
        UnsupportedError: It is compressed or has a chunk table.
    """

    def __init__(self, inode: Inode, superblock: Superblock, meta: Metadata) -> None:
        if not inode.is_dir:
            raise NotFoundError(f"inode {inode.nid} is no directory")
        if inode.size > superblock.size:
            raise InvalidImageError(
                f"a directory of {inode.size} bytes", where=f"inode {inode.nid}"
            )
        if inode.layout == Layout.CHUNK_BASED:
            raise UnsupportedError(f"inode {inode.nid} is a directory with a chunk table")
        self._inode = inode
        self._meta = meta
        self._bits = superblock.block_bits
        self._extents = list(iter_extents(inode, superblock, meta))
        if any(extent.device != 0 for extent in self._extents):
            raise InvalidImageError("a directory is not in the image", where=f"inode {inode.nid}")

    @property
    def blocks(self) -> int:
        """How many blocks there are, the last of them as far as it is used."""
        return -(-self._inode.size >> self._bits)

    def __iter__(self) -> Iterator[Dirent]:
        for number in range(self.blocks):
            yield from decode_block(self.block(number))

    def block(self, number: int) -> bytes:
        """The bytes of one block; the last may be short."""
        start = number << self._bits
        extent = next(extent for extent in reversed(self._extents) if extent.start <= start)
        size = min(1 << self._bits, self._inode.size - start)
        return self._meta(extent.offset + start - extent.start, size)

    def find(self, name: bytes) -> Dirent | None:
        """The entry of a name, None if there is none.

        Raises:
            InvalidImageError: The directory breaks the format.
        """
        low, high = 0, self.blocks
        found = b""
        while low < high:
            middle = (low + high) // 2
            block = self.block(middle)
            if first_name(block) <= name:
                low, found = middle + 1, block
            else:
                high = middle
        entries = decode_block(found) if found else []
        return next((entry for entry in entries if entry.name == name), None)
