"""Directory trees copied, with other owners where that is wanted."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import Fd
from orlop._sys.reflink import clone_file, copy_range
from orlop.errors import ConflictError
from orlop.rootfs.handles import Handles, Place
from orlop.rootfs.owners import change_node
from orlop.rootfs.read import MAX_INODES, OPEN_FILE, read_tree
from orlop.rootfs.write import TreeWriter, WriteReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.rootfs.create import XattrPolicy
    from orlop.rootfs.owners import ChangeOwner
    from orlop.tree import Node

_SMALL: Final = 1 << 16  # Up to here two calls are faster than the kernel's own copying.
_BLOCK: Final = 512


def copy_tree(
    source_fd: int,
    target_fd: int,
    *,
    change: ChangeOwner | None = None,
    ownership: bool = True,
    xattrs: XattrPolicy = "strict",
    one_device: bool = False,
    max_inodes: int = MAX_INODES,
) -> WriteReport:
    """Make an empty directory an exact copy of another, and return what could not be kept of it.

    Names, types, owners, modes, times, extended attributes, access control lists, devices, sockets
    and hard links are the source's; holes stay holes; content shares its blocks where the
    filesystem can. Nothing is followed. After an error the target holds anything, and the caller
    throws it away. Nothing is synced.

    Args:
        source_fd: The directory, which nobody else writes to; borrowed.
        target_fd: The empty directory, likewise.
        change: Gives the owners of the copy for those of the source; see `shift_owners`.
        ownership: As in `write_tree`: without, all belongs to this process, and devices and
            privileged xattrs that it may not make are dropped.
        xattrs: As in `write_tree`.
        one_device: Copy mount points as empty directories.
        max_inodes: How many names are accepted.

    Raises:
        ConflictError: A file was changed while it was copied.
        LimitExceededError: There are more than `max_inodes` names.
        UnsafePathError: A directory was exchanged meanwhile.
        UnsupportedError: An xattr or a device cannot be made here.
        OSError: Something cannot be read or written, with the entry's path.
    """
    root = read_tree(source_fd, one_device=one_device, max_inodes=max_inodes)
    if change is not None:
        for node in _inodes(root):
            change_node(node, change)
    with (
        Handles(Place(None, b"", source_fd)) as sources,
        Handles(Place(None, b"", target_fd)) as targets,
    ):
        writer = TreeWriter(targets, ownership, xattrs)
        try:
            return writer.write(root, _FileCopier(sources, targets.root).copy)
        except OSError as error:
            raise OSError(error.errno, error.strerror, writer.where()) from error


def _inodes(root: Node) -> Iterator[Node]:
    """Every node of the tree once, whatever its number of names."""
    met = {root}
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        for below in (node.children or {}).values():
            if below not in met:
                met.add(below)
                stack.append(below)


class _FileCopier:
    """Copies the content of files that lie at the same places in two trees."""

    def __init__(self, sources: Handles, target: Place) -> None:
        self._sources = sources
        self._twins = {target: sources.root}
        self._may_clone = True
        self._cloned = False

    def copy(self, place: Place, name: bytes, node: Node, fd: int) -> None:
        """Write the content of the source's file to a new and empty file."""
        dir_fd = self._sources.get(self._twins.get(place) or self._twin(place))
        with Fd(os.open(name, OPEN_FILE, dir_fd=dir_fd)) as source:
            number = source.fileno()
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode) or found.st_size != node.size:
                raise _changed(place, name)
            if not self._clone(number, fd) and not _copy_bytes(number, fd, found):
                raise _changed(place, name)

    def _twin(self, place: Place) -> Place:
        """The source's place of the same path."""
        way = []
        here = place
        while here not in self._twins:
            way.append(here)
            assert here.parent is not None
            here = here.parent
        twin = self._twins[here]
        for below in reversed(way):
            twin = self._twins[below] = Place(twin, below.name)
        return twin

    def _clone(self, source: int, target: int) -> bool:
        """Share blocks, which is tried until a filesystem has refused the first time."""
        if not self._may_clone:
            return False
        done = clone_file(source, target)
        self._cloned = self._cloned or done
        self._may_clone = self._cloned
        return done


def _copy_bytes(source: int, target: int, found: os.stat_result) -> bool:
    """Copy content, leaving its holes out; False when there is less than there was."""
    size = found.st_size
    if found.st_blocks * _BLOCK < size:
        return _copy_segments(source, target, size)
    if size > _SMALL:
        return copy_range(source, target, offset=0, size=size, at=0) == size
    data = os.read(source, size)
    written = os.write(target, data)
    while written < len(data):
        written += os.write(target, data[written:])
    return len(data) == size


def _copy_segments(source: int, target: int, size: int) -> bool:
    os.ftruncate(target, size)
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break  # a hole up to the end
            raise
        end = os.lseek(source, start, os.SEEK_HOLE)
        if copy_range(source, target, offset=start, size=end - start, at=start) < end - start:
            return False
    return os.fstat(source).st_size == size


def _changed(place: Place, name: bytes) -> ConflictError:
    path = place.path(name).decode(errors="backslashreplace")
    return ConflictError(f"{path}: was changed while it was copied")
