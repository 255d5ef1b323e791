"""A directory read again: what is as its record says is taken for unchanged, all else is read."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop._sys.mountinfo import iter_mounts
from orlop._sys.xattr import xattrs_at, xattrs_of
from orlop.digest import Digest
from orlop.errors import ConflictError, LimitExceededError
from orlop.rootfs.handles import Handles, Place
from orlop.rootfs.read import MAX_INODES
from orlop.tree.node import (
    NO_XATTRS,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    S_IFSOCK,
    Node,
)
from orlop.unpack.rootless import Kept, reveal
from orlop.unpack.stats import StatDirectory, stat_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orlop.unpack.access import Access
    from orlop.unpack.stats import Stat

AGAIN: Final = "let nothing write to the directory, and repack it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something that is not part of an image.

    Attributes:
        path: Where it is.
        what: `socket` or `mount point`.
    """

    path: bytes
    what: str


class _Frame:
    """A directory that is being read."""

    __slots__ = ("before", "found", "node", "path", "place", "record", "same", "stats", "waiting")

    def __init__(
        self, place: Place, path: bytes, found: os.stat_result, stats: StatDirectory
    ) -> None:
        self.place = place
        self.path = path
        self.found = found
        self.stats = stats
        self.node: Node
        self.before: Node | None = None
        self.record: StatDirectory | None = None
        self.same = False
        self.waiting: Iterator[tuple[bytes, os.stat_result]] = iter(())


class Scanner:
    """Reads a directory as the tree of an image, and finds what changed since it was recorded.

    Both trees lose what is below a directory in which nothing changed: it is the same node in both
    then. A file that did change has a `source` of its own, by which `files` knows where it is.

    Args:
        dir_fd: The directory; borrowed.
        old: The image's tree, which is changed as told.
        records: What each file was like; None where everything is to be read.
        kept: What the directory has of the image.
        latest_ns: Files that were written since the image was made have no later time than this.
        access: Lets it read what it may not.

    Attributes:
        stats: What each file is like now.
        skipped: What is not part of the image.
        files: Path and record of each changed file by its source.
        empty: Path and record of each changed file with nothing in it, which nobody opens.
        directories: Path and record of all directories.
        began_ns: When it began, in nanoseconds since 1970.
    """

    def __init__(
        self,
        dir_fd: int,
        old: Node,
        records: StatDirectory | None,
        *,
        kept: Kept,
        latest_ns: int | None,
        access: Access,
    ) -> None:
        self._root_fd = dir_fd
        self._old = old
        self._records = records
        self._kept: Kept = kept
        self._latest_ns = latest_ns
        self._access = access
        self._found = found = os.fstat(dir_fd)
        self._mounts = _mounts_below(dir_fd)
        self._shared: dict[int, Node] = {}
        self._names = 0
        self.began_ns = time.time_ns()
        self.stats = StatDirectory(stat_of(found))
        self.skipped: list[Skipped] = []
        self.files: dict[Digest, tuple[bytes, Stat]] = {}
        self.empty: list[tuple[bytes, Stat]] = []
        self.directories: list[tuple[bytes, Stat]] = []

    def read(self) -> Node:
        """The tree.

        Raises:
            ConflictError: Something was removed or exchanged meanwhile.
            LimitExceededError: There are too many names.
            OSError: Something cannot be read, with its path.
        """
        with Handles(Place(None, b"", self._root_fd)) as handles:
            frame = _Frame(handles.root, b"", self._found, self.stats)
            frame.before, frame.record = self._old, self._records
            try:
                return self._read(handles, frame)
            except FileNotFoundError as error:
                where = os.fsdecode(error.filename or frame.path)
                raise ConflictError(
                    f"/{where}: was removed while it was read", hint=AGAIN
                ) from None

    def _read(self, handles: Handles, frame: _Frame) -> Node:
        self._begin(handles, frame)
        stack = [frame]
        while True:
            frame = stack[-1]
            found = next(frame.waiting, None)
            if found is not None:
                stack.append(self._below(frame, *found))
                self._begin(handles, stack[-1])
                continue
            stack.pop()
            if frame.same:
                self._prune(frame, stack[-1] if stack else None)
            if not stack:
                return frame.node
            if not frame.same:
                stack[-1].same = False
            assert stack[-1].node.children is not None
            stack[-1].node.children[frame.place.name] = frame.node
            handles.leave(frame.place)

    def _below(self, frame: _Frame, name: bytes, found: os.stat_result) -> _Frame:
        stats = StatDirectory(stat_of(found))
        frame.stats.entries[name] = stats.stat
        frame.stats.below[name] = stats
        path = frame.path + b"/" + name if frame.path else name
        below = _Frame(Place(frame.place, name), path, found, stats)
        before = frame.before.children.get(name) if frame.before and frame.before.children else None
        below.before = before if before is not None and before.is_dir else None
        below.record = frame.record.below.get(name) if frame.record is not None else None
        return below

    @staticmethod
    def _prune(frame: _Frame, above: _Frame | None) -> None:
        """Let both trees have the same node, without what is below it."""
        assert frame.before is not None
        frame.node.children = {}
        if above is None:
            frame.before.children = {}
        else:
            assert above.before is not None
            assert above.before.children is not None
            above.before.children[frame.place.name] = frame.node

    def _begin(self, handles: Handles, frame: _Frame) -> None:
        """Read a directory, but not those in it."""
        stat, before, record = frame.stats.stat, frame.before, frame.record
        closed = self._access.needed(stat[0], stat[1])
        if closed:
            self._access.enter(frame.path, stat[0])
        else:
            self.directories.append((frame.path, stat))
        dir_fd = handles.get(frame.place)
        frame.same = before is not None and record is not None and record.stat == stat
        if frame.same:
            assert before is not None
            frame.node = Node(
                before.mode, before.uid, before.gid, before.mtime_ns, xattrs=before.xattrs
            )
        else:
            frame.node = self._node(frame.found, xattrs_of(dir_fd), before)
        self._list(dir_fd, frame)

    def _list(self, dir_fd: int, frame: _Frame) -> None:
        children, stats = frame.node.children, frame.stats.entries
        assert children is not None
        old = (frame.before.children if frame.before is not None else None) or {}
        records = frame.record.entries if frame.record is not None else {}
        prefix = frame.path + b"/" if frame.path else b""
        directories: list[tuple[bytes, os.stat_result]] = []
        device, mounts = self._found.st_dev, self._mounts
        with os.scandir(dir_fd) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                name = entry.name.encode("utf-8", "surrogateescape")
                if mounts and prefix + name in mounts:
                    self._skip_mount(frame, name)
                    continue
                if found.st_mode & S_IFMT == S_IFDIR:
                    # Files of an overlay may have the device numbers of its layers.
                    if found.st_dev != device:
                        self._skip_mount(frame, name)
                    else:
                        directories.append((name, found))
                    continue
                stat = stats[name] = stat_of(found)
                before = old.get(name)
                if records.get(name) == stat and before is not None and not before.is_dir:
                    children[name] = before
                elif found.st_mode & S_IFMT == S_IFSOCK:
                    self.skipped.append(Skipped(path=prefix + name, what="socket"))
                else:
                    frame.same = False
                    children[name] = self._inode(dir_fd, prefix, name, found, before)
        if len(children) + len(directories) != len(old):
            frame.same = False
        self._count(len(children) + len(directories))
        frame.waiting = iter(directories)

    def _skip_mount(self, frame: _Frame, name: bytes) -> None:
        """Leave a mount point as the image has it: nobody sees what lies below."""
        path = frame.path + b"/" + name if frame.path else name
        self.skipped.append(Skipped(path=path, what="mount point"))
        before = (frame.before.children or {}).get(name) if frame.before is not None else None
        if before is not None:
            assert frame.node.children is not None
            frame.node.children[name] = before
        # What was there is still to be looked at when it is no mount point any more.
        if frame.record is not None and name in frame.record.entries:
            frame.stats.entries[name] = frame.record.entries[name]
            if name in frame.record.below:
                frame.stats.below[name] = frame.record.below[name]

    def _count(self, names: int) -> None:
        self._names += names
        if self._names > MAX_INODES:
            raise LimitExceededError(
                "the directory holds too many names", limit="MAX_INODES", value=MAX_INODES
            )

    def _inode(
        self, dir_fd: int, prefix: bytes, name: bytes, found: os.stat_result, before: Node | None
    ) -> Node:
        shared = found.st_nlink > 1
        if shared and found.st_ino in self._shared:
            return self._shared[found.st_ino]
        node = self._node(found, xattrs_at(dir_fd, name), before)
        if node.type == S_IFLNK:
            node.target = os.readlink(name, dir_fd=dir_fd)
        if node.type == S_IFREG and node.size:
            node.source = Digest.of(b"%d" % len(self.files))
            self.files[node.source] = prefix + name, stat_of(found)
        elif node.type == S_IFREG:
            self.empty.append((prefix + name, stat_of(found)))
        if shared:
            self._shared[found.st_ino] = node
        return node

    def _node(
        self, found: os.stat_result, xattrs: Mapping[bytes, bytes], before: Node | None
    ) -> Node:
        kind = found.st_mode & S_IFMT
        node = Node(
            # A record's 64 bits do not tell times after 2262 from others.
            found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns,
            found.st_size if kind == S_IFREG else 0,
            found.st_rdev if kind in {S_IFCHR, S_IFBLK} else 0,
            xattrs=xattrs or NO_XATTRS,
        )  # fmt: skip
        reveal(node, before, self._kept)
        written = before is None or node.mtime_ns != before.mtime_ns
        if self._latest_ns is not None and written:
            node.mtime_ns = min(node.mtime_ns, self._latest_ns)
        return node


def _mounts_below(dir_fd: int) -> frozenset[bytes]:
    """The paths in a directory at which something is mounted."""
    root = os.readlink(b"/proc/self/fd/%d" % dir_fd).rstrip(b"/") + b"/"
    return frozenset(
        info.mount_point[len(root) :] for info in iter_mounts() if info.mount_point.startswith(root)
    )
