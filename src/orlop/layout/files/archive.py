"""The files of a tar, read where they lie: its headers are read once, nothing is unpacked.

Links between members are followed inside the archive only. A name that comes twice is refused:
readers differ in which of the two they take.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, final

from orlop.errors import (
    InvalidArchiveError,
    InvalidLayerError,
    LimitExceededError,
    NotFoundError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.layout.files.extents import FileExtent
from orlop.tar import TarLimits, TarScanner
from orlop.tree import Link, Put
from orlop.tree.node import S_IFDIR, S_IFLNK, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orlop.tree import Entry, Node

ARCHIVE_LIMITS: Final = TarLimits(max_entries=100_000, max_metadata_size=16 << 20)
"""Bounds of an archive of images, in which a layer has four members at most."""

MAX_LINK_HOPS: Final = 16
"""Most links between a name and its file."""

# Enough for the headers of one member; bodies are hopped over.
_CHUNK_SIZE: Final = 4096


@final
class ArchiveFiles:
    """The members of one tar that lies in a seekable file.

    Args:
        fd: The file, open for reading; owned, and closed also when this fails. Its position is
            neither used nor moved.
        path: What to call it in messages.
        limits: Bounds of what its headers may ask.

    Raises:
        InvalidArchiveError: It is no tar, is cut short, or has a name twice.
        UnsafePathError: A member's name has `..` in it.
        LimitExceededError: It has too many members or too long names.
        UnsupportedError: It has members that this reader does not know.
    """

    def __init__(self, fd: int, path: Path, *, limits: TarLimits = ARCHIVE_LIMITS) -> None:
        self._fd = fd
        self._path = path
        try:
            self._members = self._index(limits)
        except BaseException:
            self.close()
            raise

    def open(self, name: str) -> FileExtent:
        """Open the regular file that a name means, as `Files.open` says.

        Raises:
            NotFoundError: There is no such member.
            UnsafePathError: It, or what it links to, is outside of the archive or is no file.
            LimitExceededError: Links lead to links, perhaps in a circle.
            UnsupportedError: It is a sparse member.
        """
        return self.extent_of(self._resolve(name.encode("utf-8", "surrogatepass")), name)

    def extent_of(self, node: Node, name: str) -> FileExtent:
        """The bytes of a regular file among the members; `name` is for messages.

        Raises:
            UnsupportedError: It is a sparse member.
        """
        if node.segments is not None:
            raise UnsupportedError(f"{self._path}: member {name!r} is a sparse file")
        if self._fd < 0:
            raise ValueError("the archive is closed")
        return FileExtent(os.dup(self._fd), node.offset, node.size)

    def size(self, name: str) -> int | None:
        """The length of a regular file in bytes; None where there is none of this name."""
        try:
            return self._resolve(name.encode("utf-8", "surrogatepass")).size
        except NotFoundError:
            return None

    def iter_members(self) -> Iterator[tuple[bytes, Node]]:
        """Every member with what it is, in bytewise order; a hard link is the file it links to.

        Raises:
            NotFoundError: A hard link links to nothing.
            LimitExceededError: Hard links lead to hard links, perhaps in a circle.
        """
        for path, member in sorted(self._members.items(), key=_path_of):
            yield path, self._resolve(path) if isinstance(member, bytes) else member

    def close(self) -> None:
        """Close the archive; idempotent."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _index(self, limits: TarLimits) -> dict[bytes, Node | bytes]:
        """Each name with its node, or with the name that it is a hard link of."""
        members: dict[bytes, Node | bytes] = {}
        for entry in _scan(self._fd, self._path, limits):
            path, member = _member_of(entry)
            before = members.get(path)
            if before is None:
                members[path] = member
            elif not (_is_directory(before) and _is_directory(member)):
                raise InvalidArchiveError(
                    "comes twice", where=f"{self._path}: member {_shown(path)}"
                )
        return members

    def _resolve(self, name: bytes) -> Node:
        path = _normalise(name, self._path)
        for _ in range(MAX_LINK_HOPS):
            member = self._members.get(path)
            if member is None:
                raise NotFoundError(f"{self._path} holds no {_plain(name)}")
            if isinstance(member, bytes):
                path = member
            elif member.type == S_IFLNK:
                path = self._target(path, member)
            elif member.type == S_IFREG:
                return member
            else:
                where = f"{self._path}: member {_shown(name)}"
                raise UnsafePathError("is no regular file", where=where)
        raise LimitExceededError(
            f"{self._path}: member {_shown(name)} is a link to a link to a link",
            limit="MAX_LINK_HOPS",
            value=MAX_LINK_HOPS,
        )

    def _target(self, path: bytes, link: Node) -> bytes:
        parent = path.rpartition(b"/")[0]
        return _normalise(link.target, self._path, parent)


def _scan(fd: int, path: Path, limits: TarLimits) -> Iterator[Entry]:
    """The entries of the tar in the file, of which only headers are read."""
    scanner = TarScanner(None, limits=limits, whiteouts=False)
    end = os.fstat(fd).st_size
    try:
        while scanner.size < end:
            yield from scanner.feed(os.pread(fd, _CHUNK_SIZE, scanner.size))
            scanner.skip(end - scanner.size)
        yield from scanner.close()
    except InvalidLayerError as error:
        raise InvalidArchiveError(f"{path} is no whole tar: {error}") from error
    except UnsafePathError as error:
        raise UnsafePathError(str(error), where=str(path)) from error


def _member_of(entry: Entry) -> tuple[bytes, Node | bytes]:
    if isinstance(entry, Put):
        return entry.path, entry.node
    assert isinstance(entry, Link), "markers are names like others here"
    return entry.path, entry.target


def _path_of(member: tuple[bytes, object]) -> bytes:
    return member[0]


def _is_directory(member: Node | bytes) -> bool:
    return not isinstance(member, bytes) and member.type == S_IFDIR


def _normalise(target: bytes, archive: Path, parent: bytes = b"") -> bytes:
    """The member name that a relative path means, from a directory of the archive.

    Raises:
        UnsafePathError: It is absolute, or leads out of the archive.
    """
    if target.startswith(b"/"):
        raise UnsafePathError(f"{_shown(target)} is an absolute path", where=str(archive))
    parts = parent.split(b"/") if parent else []
    for part in target.split(b"/"):
        if part == b".." and not parts:
            raise UnsafePathError(f"{_shown(target)} leads out of the archive", where=str(archive))
        if part == b"..":
            parts.pop()
        elif part not in {b"", b"."}:
            parts.append(part)
    return b"/".join(parts)


def _shown(path: bytes) -> str:
    return ascii(_plain(path[:200]))


def _plain(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
