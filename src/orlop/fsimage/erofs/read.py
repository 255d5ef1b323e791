"""Read an image without mounting it, and without trusting it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError, LimitExceededError, UnsupportedError
from orlop.fsimage.content import iter_zeros
from orlop.fsimage.erofs.access import Metadata, ReadAt, iter_range
from orlop.fsimage.erofs.directory import Directory
from orlop.fsimage.erofs.extents import iter_extents
from orlop.fsimage.erofs.format import MAX_XATTR_AREA
from orlop.fsimage.erofs.inode import Inode, read_inode
from orlop.fsimage.erofs.lookup import lookup
from orlop.fsimage.erofs.stream import ExtentReader
from orlop.fsimage.erofs.superblock import read_superblock
from orlop.fsimage.erofs.tree import MAX_ENTRIES, TreeBuilder, bounded_extents
from orlop.fsimage.erofs.unpack import read_packed
from orlop.fsimage.erofs.xattrs import decode_entries, decode_entry, decode_header
from orlop.fsimage.names import MAX_TARGET
from orlop.tree.node import NO_XATTRS, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orlop.digest import Digest
    from orlop.fsimage.erofs.addresses import Extent
    from orlop.fsimage.erofs.dirents import Dirent
    from orlop.tree.node import Node

_SHARED_ENTRY: Final = 4 + 255 + 0xFFFF


class ErofsReader:
    """An EROFS image whose inodes, names and bytes can be read.

    Compressed files are read whose extents lie in blocks of their own, by LZ4 or Zstandard.

    Nothing that the image says is trusted: whatever leads outside it, or nowhere, is an
    `InvalidImageError` when it is met. What Linux does not need is left to `check_image`.

    Args:
        image: Reads the image.
        devices: Read the extra devices, in the order of the image's device table. With none,
            devices are looked for behind the image, as Linux does.

    Raises:
        InvalidImageError: This is no EROFS image, its superblock is damaged, or there are some
            devices, but not as many as in its table.
        UnsupportedError: The image needs a feature that is not known here.
    """

    def __init__(self, image: ReadAt, devices: Sequence[ReadAt] = ()) -> None:
        self.superblock = read_superblock(image)
        slots = self.superblock.devices
        if devices and len(devices) != len(slots):
            raise InvalidImageError(f"{len(devices)} devices for a table of {len(slots)}")
        self._meta = Metadata(image, self.superblock.size)
        behind = [_shifted(image, slot.base << self.superblock.block_bits) for slot in slots]
        self._reads: list[ReadAt] = [image, *(devices or behind)]

    @property
    def root(self) -> Inode:
        """The root directory.

        Raises:
            InvalidImageError: The root is no directory.
        """
        root = self.inode(self.superblock.root_nid)
        if not root.is_dir:
            raise InvalidImageError("the root is no directory", where=f"inode {root.nid}")
        return root

    def inode(self, nid: int) -> Inode:
        """The inode with a number.

        Raises:
            InvalidImageError: No inode can be there.
            UnsupportedError: Its format is not known.
        """
        return read_inode(self._meta, self.superblock, nid)

    def stat(self, inode: Inode) -> Node:
        """A tree node with all that describes the inode, without content or children."""
        target = self.readlink(inode) if inode.is_link else b""
        return inode.node(target, self.xattrs(inode) or NO_XATTRS)

    def list(self, inode: Inode) -> Iterator[Dirent]:
        """The names in a directory in byte order, `.` and `..` left out.

        Raises:
            InvalidImageError: The directory breaks the format.
            NotFoundError: This is no directory.
        """
        for entry in Directory(inode, self.superblock, self._meta):
            if entry.name not in {b".", b".."}:
                yield entry

    def find(self, inode: Inode, name: bytes) -> Inode | None:
        """The inode that a directory has under a name, None if it has none.

        Raises:
            InvalidImageError: The directory breaks the format.
            NotFoundError: This is no directory.
        """
        entry = Directory(inode, self.superblock, self._meta).find(name)
        return None if entry is None else self.inode(entry.nid)

    def readlink(self, inode: Inode) -> bytes:
        """The target of a symbolic link.

        Raises:
            InvalidImageError: It is longer than any target, or not in the image.
        """
        if inode.size > MAX_TARGET:
            raise InvalidImageError(f"a target of {inode.size} bytes", where=f"inode {inode.nid}")
        return b"".join(self.iter_data(inode))

    def xattrs(self, inode: Inode) -> Mapping[bytes, bytes]:
        """The extended attributes of an inode by full name.

        Raises:
            InvalidImageError: They break the format.
            LimitExceededError: They take more bytes than any inode's may.
            UnsupportedError: A name's prefix is not known.
        """
        if not inode.xattr_size:
            return {}
        area = self._meta(inode.xattr_start, inode.xattr_size)
        _, shared = decode_header(area)
        xattrs = {name: value for name, value, _ in decode_entries(area, 12 + 4 * len(shared))}
        total = inode.xattr_size
        for number in shared:
            name, value = self._shared(number)
            xattrs.setdefault(name, value)
            total += len(name) + len(value)
            if total > MAX_XATTR_AREA:
                raise LimitExceededError(
                    f"the extended attributes of inode {inode.nid} take too many bytes",
                    limit="MAX_XATTR_AREA", value=MAX_XATTR_AREA,
                )  # fmt: skip
        return xattrs

    def _shared(self, number: int) -> tuple[bytes, bytes]:
        start = self.superblock.xattr_start + 4 * number
        size = min(_SHARED_ENTRY, max(self.superblock.size - start, 4))
        name, value, _ = decode_entry(self._meta(start, size), 0)
        return name, value

    def extents(self, inode: Inode) -> Iterator[Extent]:
        """Where the data of an inode lies.

        Raises:
            InvalidImageError: Data is said to lie where its device has none.
            UnsupportedError: The data is compressed in a way that is not known here.
        """
        return iter_extents(inode, self.superblock, self._meta)

    def iter_data(self, inode: Inode) -> Iterator[bytes]:
        """The data of an inode in pieces, holes as zeros.

        Raises:
            InvalidImageError: Data is said to lie where its device has none.
            UnsupportedError: The data is compressed in a way that is not known here.
        """
        for extent in self.extents(inode):
            if extent.device is None:
                yield from iter_zeros(extent.size)
            elif extent.packed is not None:
                yield read_packed(self._reads[extent.device], extent)
            else:
                yield from iter_range(self._reads[extent.device], extent.offset, extent.size)

    def open(self, inode: Inode) -> io.BufferedReader:
        """A regular file as a buffered, seekable stream, holes as zeros.

        Raises:
            InvalidImageError: Data is said to lie where its device has none.
            LimitExceededError: The file is in more pieces than `MAX_EXTENTS`.
            UnsupportedError: The data is compressed in a way that is not known here, or this is no
                regular file.
        """
        if inode.type != S_IFREG:
            raise UnsupportedError(f"inode {inode.nid} is no regular file")
        return io.BufferedReader(ExtentReader(bounded_extents(self.extents(inode)), self._reads))

    def lookup(self, path: bytes, *, follow: bool = True) -> Inode:
        """The inode at a path below the root; links and `..` never lead out of it.

        Args:
            path: Names with slashes between them; a leading slash changes nothing.
            follow: Whether a symbolic link at the end is followed; those before it always are.

        Raises:
            NotFoundError: There is no such path.
            LimitExceededError: More links than `MAX_SYMLINKS` lead on.
            InvalidImageError: A directory on the way is broken.
        """
        return lookup(self, path, follow=follow)

    def tree(
        self,
        sources: Sequence[Digest] = (),
        *,
        adopt: Callable[[Inode], tuple[Digest, int]] | None = None,
        max_entries: int = MAX_ENTRIES,
    ) -> Node:
        """The whole tree, as it was written: names of one inode share one node.

        Args:
            sources: What nodes name the devices by, in the order of the device table.
            adopt: Says where the content of a file is that no node can point at, because it lies
                in the image itself or in several places: a source, and where it begins there.
            max_entries: How many names the tree may have.

        Raises:
            InvalidImageError: The image is broken, a directory is in the tree twice, or there are
                other devices than `sources`.
            LimitExceededError: There are more names than `max_entries`.
            UnsupportedError: A file is compressed in a way that is not known here, or cannot be
                pointed at and `adopt` is missing.
        """
        if len(sources) != len(self.superblock.devices):
            raise InvalidImageError(
                f"{len(sources)} sources for {len(self.superblock.devices)} devices"
            )
        return TreeBuilder(self, sources, adopt, max_entries).build()


def _shifted(read: ReadAt, base: int) -> ReadAt:
    """Reads of a device that lies behind the image."""

    def read_at(offset: int, size: int, /) -> bytes:
        if not base:
            raise UnsupportedError("a device is needed that is not there")
        return read(base + offset, size)

    return read_at
