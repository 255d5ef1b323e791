"""What layers are appended from: tars as they are, and directories."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from orlop.digest import Digest
from orlop.errors import InvalidError, OrlopError
from orlop.rootfs import open_upper, read_tree
from orlop.storage.layers.members import iter_members
from orlop.tar.archive import tree_members
from orlop.tree import Link, Merger, Node, Put, lookup, walk
from orlop.tree.node import S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orlop.storage.layers.members import Member

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_HOST_XATTRS: Final = (b"security.selinux", b"trusted.overlay.", b"user.overlay.")
"""Attributes that say something of the machine that a directory lies on, and not of its files."""


class TarSource:
    """A tar, compressed or not: a file, bytes, or a stream from where it stands now.

    Args:
        origin: Where it is.
    """

    def __init__(self, origin: str | bytes | BinaryIO) -> None:
        self._origin = origin
        self._start: int | None = None
        self._spent = False
        if not isinstance(origin, (str, bytes)) and origin.seekable():
            self._start = origin.tell()

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Its bytes, from the beginning.

        Raises:
            InvalidError: It is a stream that has been read already, and cannot be read again.
            OSError: It cannot be opened.
        """
        if isinstance(self._origin, bytes):
            yield io.BytesIO(self._origin)
        elif isinstance(self._origin, str):
            with open(self._origin, "rb") as file:
                try:
                    yield file
                except OrlopError as error:
                    raise error.inside(self._origin)
        else:
            self._rewind(self._origin)
            yield self._origin

    def _rewind(self, stream: BinaryIO) -> None:
        if self._start is not None:
            stream.seek(self._start)
        elif self._spent:
            raise InvalidError(
                "the stream of an appended layer has been read already",
                hint="keep it in a file where a draft is used more than once",
            )
        self._spent = True


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """A directory, whose entries are put into one of the image.

    Attributes:
        path: Where it is.
        target: The directory of the image, without slashes at its ends; empty for the root.
        owner: User and group that everything gets; those of the files where None.
    """

    path: str
    target: bytes = b""
    owner: tuple[int, int] | None = None

    @contextmanager
    def open(
        self, below: Callable[[], Node], latest_ns: int | None
    ) -> Iterator[tuple[Iterator[Member], Callable[[Digest], int]]]:
        """What the layer is to have, as members of a tar, and what opens the files' contents.

        Args:
            below: Gives the tree that the image has already; asked if there is a target.
            latest_ns: What later times become, in nanoseconds since 1970.

        Raises:
            OSError: Something cannot be read.
        """
        handle = os.open(self.path, _DIRECTORY)
        try:
            root = read_tree(handle)
            files = _Files(handle)
            for path, node in walk(root):
                files.note(path, node)
                self._change(node, latest_ns)
            try:
                yield self._members(root, below), files.open
            finally:
                files.close()
        finally:
            os.close(handle)

    def _change(self, node: Node, latest_ns: int | None) -> None:
        if self.owner is not None:
            node.uid, node.gid = self.owner
        if latest_ns is not None:
            node.mtime_ns = min(node.mtime_ns, latest_ns)
        if any(name.startswith(_HOST_XATTRS) for name in node.xattrs):
            node.xattrs = {
                name: value
                for name, value in node.xattrs.items()
                if not name.startswith(_HOST_XATTRS)
            }

    def _members(self, root: Node, below: Callable[[], Node]) -> Iterator[Member]:
        prefix = b""
        entries: list[Put | Link] = []
        if self.target:
            above = parents(below(), self.target)
            entries += above
            prefix = above[-1].path + b"/" if above else b""
        for entry, _ in tree_members(root):
            if not entry.path:
                continue  # The root directory is the image's own.
            if isinstance(entry, Put):
                entries.append(Put(prefix + entry.path, entry.node))
            else:
                entries.append(Link(prefix + entry.path, prefix + entry.target))
        return iter_members(entries, lambda _: None)


def parents(root: Node, path: bytes) -> list[Put]:
    """The directories that lead to a path of an image, itself included, where links lead to.

    A layer that names them is unpacked alike by who unpacks it alone and who unpacks it upon the
    others: the first would make up what is missing, and hide a symbolic link by it. Those that are
    missing are made: 0755, owner 0:0, time 0.

    Args:
        root: The tree of the image, which is changed.
        path: An absolute path, without slashes at its ends.

    Raises:
        InvalidError: Something on the way is no directory, or not at its end.
        InvalidLayerError: It leads through too many symbolic links.
    """
    _require_directories(root, path)
    mark = Node(S_IFREG)
    Merger(root).apply([], [Put(path + b"/.", mark)])
    found = next(name for name, node in walk(root) if node is mark).rpartition(b"/")[0]
    names = found.split(b"/") if found else []
    above = [b"/".join(names[: at + 1]) for at in range(len(names))]
    entries = []
    for each in above:
        node = lookup(root, each)
        assert node is not None
        entries.append(Put(each, Node(node.mode, node.uid, node.gid, node.mtime_ns,
                                      xattrs=node.xattrs)))  # fmt: skip
    return entries


def _require_directories(root: Node, path: bytes) -> None:
    """Refuse a path whose directories would take the place of files."""
    names = path.split(b"/")
    for each in (b"/".join(names[: at + 1]) for at in range(len(names))):
        node = lookup(root, each)
        if node is not None and node.children is None:
            shown = each.decode(errors="backslashreplace")
            raise InvalidError(
                f"/{shown} is no directory of the image, into which something could be put",
                hint="name the directory that it is in",
            )


class _Files:
    """The contents of the files of a directory, of which one is open at a time.

    Args:
        handle: The directory; borrowed.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._paths: dict[Digest, bytes] = {}
        self._open: tuple[Digest, int] | None = None

    def note(self, path: bytes, node: Node) -> None:
        """Give a file a source."""
        if node.type == S_IFREG and node.size and node.source is None:
            node.source = Digest.of(path)
            self._paths[node.source] = path

    def open(self, source: Digest) -> int:
        """A handle of a file's content; borrowed until the next one is asked for."""
        if self._open is None or self._open[0] != source:
            self.close()
            self._open = source, open_upper(self._handle, self._paths[source])
        return self._open[1]

    def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            os.close(self._open[1])
            self._open = None
