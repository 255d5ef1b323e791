"""Read an image without mounting it, and without trusting it."""

from __future__ import annotations

import io
from collections import deque
from typing import TYPE_CHECKING, Final

from orlop.errors import (
    InvalidImageError,
    LimitExceededError,
    NotFoundError,
    UnsupportedError,
)
from orlop.fsimage.erofs.access import Metadata, ReadAt, iter_range
from orlop.fsimage.erofs.copying import iter_zeros
from orlop.fsimage.erofs.dirents import Dirent, decode_block, first_name
from orlop.fsimage.erofs.extents import Extent, iter_extents
from orlop.fsimage.erofs.format import MAX_TARGET
from orlop.fsimage.erofs.inode import Inode, read_inode
from orlop.fsimage.erofs.stream import ExtentReader
from orlop.fsimage.erofs.superblock import read_superblock
from orlop.fsimage.erofs.xattrs import decode_entries, decode_entry, decode_header
from orlop.tree.node import NO_XATTRS, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orlop.digest import Digest
    from orlop.tree.node import Node

MAX_SYMLINKS: Final = 40
"""Symbolic links that one lookup follows, as Linux has it."""
MAX_EXTENTS: Final = 1 << 20
"""Extents of one file."""
MAX_ENTRIES: Final = 1 << 24
"""Names in a tree that is read whole."""
_SHARED_ENTRY: Final = 4 + 255 + 0xFFFF


class ErofsReader:
    """An EROFS image, uncompressed, whose inodes, names and bytes can be read.

    Nothing that the image says is trusted: whatever leads outside it, or nowhere, is an
    `InvalidImageError` when it is met. What Linux does not need is left to `check_image`.

    Args:
        image: Reads the image.
        devices: Read the extra devices, in the order of the image's device table. With none,
            devices are looked for behind the image, as Linux does.

    Raises:
        InvalidImageError: This is no EROFS image, or its superblock is damaged.
        UnsupportedError: The image needs a feature that is not known here.
        ValueError: There are some devices, but not as many as in the table.
    """

    def __init__(self, image: ReadAt, devices: Sequence[ReadAt] = ()) -> None:
        self.superblock = read_superblock(image)
        slots = self.superblock.devices
        if devices and len(devices) != len(slots):
            raise ValueError(f"{len(devices)} devices for a table of {len(slots)}")
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
        for block in self._blocks(inode):
            for entry in decode_block(block):
                if entry.name not in {b".", b".."}:
                    yield entry

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
            UnsupportedError: A name's prefix is not known.
        """
        if not inode.xattr_size:
            return {}
        area = self._meta(inode.xattr_start, inode.xattr_size)
        _, shared = decode_header(area)
        xattrs = {name: value for name, value, _ in decode_entries(area, 12 + 4 * len(shared))}
        for number in shared:
            name, value = self._shared(number)
            xattrs.setdefault(name, value)
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
            UnsupportedError: The data is compressed.
        """
        return iter_extents(inode, self.superblock, self._meta)

    def iter_data(self, inode: Inode) -> Iterator[bytes]:
        """The data of an inode in pieces, holes as zeros.

        Raises:
            InvalidImageError: Data is said to lie where its device has none.
            UnsupportedError: The data is compressed.
        """
        for extent in self.extents(inode):
            if extent.device is None:
                yield from iter_zeros(extent.size)
            else:
                yield from iter_range(self._reads[extent.device], extent.offset, extent.size)

    def open(self, inode: Inode) -> io.BufferedReader:
        """A regular file as a buffered, seekable stream, holes as zeros.

        Raises:
            InvalidImageError: Data is said to lie where its device has none.
            LimitExceededError: The file is in more pieces than `MAX_EXTENTS`.
            UnsupportedError: The data is compressed, or this is no regular file.
        """
        if inode.type != S_IFREG:
            raise UnsupportedError(f"inode {inode.nid} is no regular file")
        return io.BufferedReader(ExtentReader(self._extents(inode), self._reads))

    def _extents(self, inode: Inode) -> Sequence[Extent]:
        extents: list[Extent] = []
        for extent in self.extents(inode):
            extents.append(extent)
            if len(extents) > MAX_EXTENTS:
                raise LimitExceededError(
                    f"inode {inode.nid} is in too many pieces",
                    limit="MAX_EXTENTS", value=MAX_EXTENTS,
                )  # fmt: skip
        return extents

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
        trail = [self.root]
        names = deque(path.split(b"/"))
        links = 0
        while names:
            name = names.popleft()
            if not trail[-1].is_dir:
                raise NotFoundError(f"{_text(path)} leads through what is no directory")
            if name in {b"", b"."}:
                continue
            if name == b"..":
                del trail[max(len(trail) - 1, 1) :]
                continue
            inode = self._child(trail[-1], name, path)
            if inode.is_link and (follow or any(names)):
                links += 1
                if links > MAX_SYMLINKS:
                    raise LimitExceededError(
                        f"{_text(path)} leads through too many symbolic links",
                        limit="MAX_SYMLINKS", value=MAX_SYMLINKS,
                    )  # fmt: skip
                target = self.readlink(inode)
                names.extendleft(reversed(target.split(b"/")))
                if target.startswith(b"/"):
                    del trail[1:]
                continue
            trail.append(inode)
        return trail[-1]

    def _child(self, inode: Inode, name: bytes, path: bytes) -> Inode:
        block = self._block_of(inode, name)
        for entry in decode_block(block) if block else ():
            if entry.name == name:
                return self.inode(entry.nid)
        raise NotFoundError(f"{_text(path)} does not exist: there is no {_text(name)}")

    def _block_of(self, inode: Inode, name: bytes) -> bytes:
        """The block of a directory that the name is in, if it is there at all."""
        extents = self._directory_extents(inode)
        low, high = 0, -(-inode.size >> self.superblock.block_bits)
        found = b""
        while low < high:
            middle = (low + high) // 2
            block = self._directory_block(inode, extents, middle)
            if first_name(block) <= name:
                low, found = middle + 1, block
            else:
                high = middle
        return found

    def _directory_extents(self, inode: Inode) -> Sequence[Extent]:
        if not inode.is_dir:
            raise NotFoundError(f"inode {inode.nid} is no directory")
        extents = self._extents(inode)
        if any(extent.device != 0 for extent in extents):
            raise InvalidImageError("a directory is not in the image", where=f"inode {inode.nid}")
        return extents

    def _directory_block(self, inode: Inode, extents: Sequence[Extent], number: int) -> bytes:
        start = number << self.superblock.block_bits
        extent = next(e for e in reversed(extents) if e.start <= start)
        size = min(self.superblock.block_size, inode.size - start)
        return self._meta(extent.offset + start - extent.start, size)

    def _blocks(self, inode: Inode) -> Iterator[bytes]:
        extents = self._directory_extents(inode)
        for number in range(-(-inode.size >> self.superblock.block_bits)):
            yield self._directory_block(inode, extents, number)

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
            InvalidImageError: The image is broken; a directory is in the tree twice.
            LimitExceededError: There are more names than `max_entries`.
            UnsupportedError: A file is compressed, or cannot be pointed at and `adopt` is missing.
            ValueError: There are other devices than `sources`.
        """
        if len(sources) != len(self.superblock.devices):
            raise ValueError(f"{len(sources)} sources for {len(self.superblock.devices)} devices")
        root = self.root
        nodes = {root.nid: self.stat(root)}
        queue = deque([(root, nodes[root.nid])])
        entries = 0
        while queue:
            directory, node = queue.popleft()
            assert node.children is not None
            for name, nid, _ in self.list(directory):
                entries += 1
                if entries > max_entries:
                    raise LimitExceededError(
                        "the tree has too many names", limit="max_entries", value=max_entries
                    )
                child = nodes.get(nid)
                if child is None:
                    inode = self.inode(nid)
                    child = nodes[nid] = self._node(inode, sources, adopt)
                    if inode.is_dir:
                        queue.append((inode, child))
                elif child.is_dir:
                    raise InvalidImageError("a directory has two names", where=f"inode {nid}")
                if name in node.children:
                    raise InvalidImageError(
                        f"{_text(name)} is there twice", where=f"inode {directory.nid}"
                    )
                node.children[name] = child
        return nodes[root.nid]

    def _node(
        self,
        inode: Inode,
        sources: Sequence[Digest],
        adopt: Callable[[Inode], tuple[Digest, int]] | None,
    ) -> Node:
        node = self.stat(inode)
        if inode.type != S_IFREG or not inode.size:
            return node
        extents = self._extents(inode)
        stored = [extent for extent in extents if extent.device is not None]
        if len(stored) != len(extents):
            node.segments = tuple((extent.start, extent.size) for extent in stored)
        if not stored:
            return node
        if _one_range(stored):
            assert stored[0].device
            node.source, node.offset = sources[stored[0].device - 1], stored[0].offset
        elif adopt is not None:
            node.segments = None
            node.source, node.offset = adopt(inode)
        else:
            raise UnsupportedError(
                f"the content of inode {inode.nid} is not one range of a device",
                hint="give `adopt`, or read the file through `open`",
            )
        return node


def _one_range(stored: Sequence[Extent]) -> bool:
    """Whether extents lie one after another in one extra device."""
    offset = stored[0].offset
    for extent in stored:
        if not extent.device or extent.device != stored[0].device or extent.offset != offset:
            return False
        offset += extent.size
    return True


def _shifted(read: ReadAt, base: int) -> ReadAt:
    """Reads of a device that lies behind the image."""

    def read_at(offset: int, size: int, /) -> bytes:
        if not base:
            raise UnsupportedError("a device is needed that is not there")
        return read(base + offset, size)

    return read_at


def _text(name: bytes) -> str:
    return repr(name.decode(errors="backslashreplace"))
