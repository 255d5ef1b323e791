"""The members of an archive while it is edited: those that stay, and those that come."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import tempfile
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from orlop.compression import Compression, detect
from orlop.compression.detect import DETECT_SIZE
from orlop.errors import NotFoundError, UnsafePathError, UnsupportedError
from orlop.layout.driver.spool import directory_member, file_member, parents_of
from orlop.layout.files import ArchiveFiles, FileExtent
from orlop.tree.node import S_IFDIR, S_IFLNK, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    from orlop.tree import Node

_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A header, and how to open the body where there is one."""

    header: tarfile.TarInfo
    open: Callable[[], FileExtent] | None = None


@final
class ArchiveMembers:
    """What an archive will hold.

    Args:
        path: The archive that is there, if one is.
        mtime: The time of all members, in seconds since 1970.

    Raises:
        UnsafePathError: It is no regular file.
        UnsupportedError: It is compressed, or holds what cannot be kept.
        InvalidArchiveError: It is no tar, is cut short, or has a name twice.
    """

    def __init__(self, path: str, mtime: int) -> None:
        self._path = path
        self._mtime = mtime
        self._members: dict[str, _Member] = {}
        self._lock = threading.Lock()
        self._spool = tempfile.TemporaryFile(dir=os.path.dirname(path))  # noqa: SIM115 - closed by `close`
        self._base: ArchiveFiles | None = None
        self.changed = False
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    @property
    def empty(self) -> bool:
        """Whether there is nothing."""
        return not self._members

    def paths(self) -> Iterator[str]:
        """Every path but those of directories, in bytewise order."""
        members = sorted(self._members.items(), key=lambda item: os.fsencode(item[0]))
        return (path for path, member in members if not member.header.isdir())

    def has_directory(self, path: str) -> bool:
        """Whether there is a directory, be it only for what lies in it."""
        found = self._members.get(path)
        if found is not None:
            return found.header.isdir()
        return any(name.startswith(f"{path}/") for name in self._members)

    def open_file(self, path: str) -> FileExtent:
        """Open a regular file, or what a link of the archive that is there leads to.

        Raises:
            NotFoundError: There is no such member.
            UnsafePathError: It is no file.
        """
        found = self._members.get(path)
        if found is None:
            raise NotFoundError(f"{self._path} holds no {path}")
        if found.open is not None:
            return found.open()
        if self._base is None or found.header.isdir():
            raise UnsafePathError("is no regular file", where=f"{self._path}: member {path!r}")
        return self._base.open(path)

    def put_file(self, path: str, mode: int, file: IO[bytes], size: int) -> None:
        """Take a copy of a file, and the directories on its way."""
        with self._lock:
            for parent in parents_of(path):
                self._put_directory(parent)
            offset = self._spool.seek(0, os.SEEK_END)
            shutil.copyfileobj(file, self._spool, _PIECE)
            self._spool.flush()
            self._members[path] = _Member(
                header=file_member(path, mode, size, self._mtime),
                open=partial(self._open_spooled, offset, size),
            )
            self.changed = True

    def put_directories(self, path: str) -> None:
        """Have the directories that a path goes through."""
        with self._lock:
            for parent in parents_of(path):
                self._put_directory(parent)

    def remove(self, path: str) -> bool:
        """Leave out what is no directory; whether it was there."""
        with self._lock:
            found = self._members.get(path)
            if found is None or found.header.isdir():
                return False
            del self._members[path]
            self.changed = True
            return True

    def in_order(self) -> Iterator[tuple[bytes, FileExtent | None]]:
        """Each member's header, and its body where it has one, in bytewise order."""
        for member in sorted(self._members.values(), key=_key):
            header = member.header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
            yield header, None if member.open is None else member.open()

    def close(self) -> None:
        """Forget all; readers that are open may be read on. Idempotent."""
        self._spool.close()
        if self._base is not None:
            self._base.close()

    def _read(self) -> None:
        """Take over the archive that is there; an empty file is none."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(status.st_mode):
            raise UnsafePathError("is no regular file, and cannot be edited", where=self._path)
        if not status.st_size:
            return
        self._base = ArchiveFiles(_open_plain(self._path), Path(self._path))
        for name, node in self._base.iter_members():
            path = name.decode("utf-8", "surrogateescape")
            if path:
                self._members[path] = self._kept(path, node)

    def _kept(self, path: str, node: Node) -> _Member:
        assert self._base is not None
        if node.type == S_IFDIR:
            return _Member(header=directory_member(path, self._mtime))
        header = file_member(path, node.mode, node.size, self._mtime)
        if node.type == S_IFREG and node.segments is None:
            return _Member(header=header, open=partial(self._base.extent_of, node, path))
        if node.type != S_IFLNK:
            raise UnsupportedError(
                f"{self._path}: member {path!r} cannot be kept: it is a device, a FIFO or sparse",
                hint="unpack the archive and write to the directory",
            )
        header.type, header.linkname = tarfile.SYMTYPE, os.fsdecode(node.target)
        return _Member(header=header)

    def _put_directory(self, path: str) -> None:
        found = self._members.get(path)
        if found is None:
            self._members[path] = _Member(header=directory_member(path, self._mtime))
            self.changed = True
        elif not found.header.isdir():
            raise UnsafePathError("is no directory", where=f"{self._path}: member {path!r}")

    def _open_spooled(self, offset: int, size: int) -> FileExtent:
        return FileExtent(os.dup(self._spool.fileno()), offset, size)


def _open_plain(path: str) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        compressed = detect(os.pread(fd, DETECT_SIZE, 0)) is not Compression.NONE
    except BaseException:
        os.close(fd)
        raise
    if compressed:
        os.close(fd)
        raise UnsupportedError(
            f"{path} is compressed, and cannot be edited", hint="decompress it first"
        )
    return fd


def _key(member: _Member) -> bytes:
    name = os.fsencode(member.header.name)
    return name + b"/" if member.header.isdir() else name
