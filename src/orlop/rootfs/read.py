"""Directories into trees."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from orlop._sys.xattr import xattrs_at, xattrs_of
from orlop.digest import Digest
from orlop.errors import LimitExceededError
from orlop.rootfs.handles import Handles, Place
from orlop.tree.node import NO_XATTRS, S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG, Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_INODES: Final = 1 << 24
OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_tree(
    dir_fd: int,
    *,
    digest_files: bool = False,
    one_device: bool = False,
    max_inodes: int = MAX_INODES,
) -> Node:
    """Read a directory as a tree, which is whole if nobody wrote to it meanwhile.

    Nothing is followed: neither symbolic links nor names outside of the directory.

    Args:
        dir_fd: The directory; borrowed.
        digest_files: Name each regular file's content by its own SHA-256 as `source`; without,
            `source` is None and the size alone is known.
        one_device: Show mount points as empty directories.
        max_inodes: How many names are accepted.

    Raises:
        LimitExceededError: There are more than `max_inodes` names.
        OSError: Something cannot be read, with its path.
    """
    with Handles(Place(None, b"", dir_fd)) as handles:
        reader = _TreeReader(handles, digest_files, one_device, max_inodes)
        try:
            return reader.read()
        except OSError as error:
            raise OSError(error.errno, error.strerror, reader.where()) from error


class _TreeReader:
    def __init__(
        self, handles: Handles, digest_files: bool, one_device: bool, max_inodes: int
    ) -> None:
        self._handles = handles
        self._digest_files = digest_files
        self._device = os.fstat(handles.root.fd).st_dev if one_device else None
        self._max_inodes = max_inodes
        self._names = 0
        self._place = handles.root
        self._name = b""
        self._shared: dict[tuple[int, int], Node] = {}

    def where(self) -> bytes:
        """The path of the entry at hand."""
        return self._place.path(self._name)

    def read(self) -> Node:
        fd = self._handles.root.fd
        root = _node(os.fstat(fd), xattrs=xattrs_of(fd))
        stack = [(root, iter(_names(fd)))]
        while stack:
            node, names = stack[-1]
            below = self._read_entries(node, names)
            if below is not None:
                stack.append((below, iter(_names(self._handles.get(self._place)))))
                continue
            stack.pop()
            if self._place.parent is not None:
                self._handles.leave(self._place)
                self._place = self._place.parent
        return root

    def _read_entries(self, parent: Node, names: Iterator[bytes]) -> Node | None:
        """Read entries until one is a directory, which is entered and returned."""
        assert parent.children is not None
        dir_fd = self._handles.get(self._place)
        for name in names:
            self._name = name
            self._count()
            found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            node = self._read_node(dir_fd, name, found)
            parent.children[name] = node
            if node.is_dir and self._device in {None, found.st_dev}:
                self._place = Place(self._place, name)
                self._name = b""
                return node
        return None

    def _count(self) -> None:
        self._names += 1
        if self._names > self._max_inodes:
            raise LimitExceededError(
                "the directory holds too many names", limit="max_inodes", value=self._max_inodes
            )

    def _read_node(self, dir_fd: int, name: bytes, found: os.stat_result) -> Node:
        identity = found.st_dev, found.st_ino
        linked = found.st_nlink > 1 and found.st_mode & 0o170000 != S_IFDIR
        if linked and identity in self._shared:
            return self._shared[identity]
        node = _node(
            found,
            target=os.readlink(name, dir_fd=dir_fd) if found.st_mode & 0o170000 == S_IFLNK else b"",
            xattrs=xattrs_at(dir_fd, name) or NO_XATTRS,
            source=self._digest(dir_fd, name, found) if self._digest_files else None,
        )
        if linked:
            self._shared[identity] = node
        return node

    def _digest(self, dir_fd: int, name: bytes, found: os.stat_result) -> Digest | None:
        if found.st_mode & 0o170000 != S_IFREG or not found.st_size:
            return None
        with open(os.open(name, OPEN_FILE, dir_fd=dir_fd), "rb", buffering=0) as file:
            return Digest(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")


def _node(
    found: os.stat_result,
    *,
    target: bytes = b"",
    xattrs: Mapping[bytes, bytes] = NO_XATTRS,
    source: Digest | None = None,
) -> Node:
    kind = found.st_mode & 0o170000
    return Node(
        found.st_mode,
        found.st_uid,
        found.st_gid,
        found.st_mtime_ns,
        found.st_size if kind == S_IFREG else 0,
        found.st_rdev if kind in {S_IFCHR, S_IFBLK} else 0,
        target,
        xattrs,
        source,
    )


def _names(fd: int) -> list[bytes]:
    """The names in a directory, in byte order."""
    return sorted(map(os.fsencode, os.listdir(fd)))
