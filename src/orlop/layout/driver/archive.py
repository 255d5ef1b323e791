"""A layout in a tar that lies in a file: read where it lies, or edited by writing it anew.

    PATH                    the archive; readers need no lock
    .NAME.orlop-new         beside it: what the archive will be, flock by its one editor

An editor locks the second, makes it whole and durable, and renames it to the first. Others wait
for the lock, find that the file has gone, and begin with the archive that it has become. Whoever
dies in between leaves a file that the next editor takes over.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self, final

from orlop.errors import AlreadyExistsError, NotFoundError, UnsupportedError
from orlop.layout.driver.extent import ExtentReader
from orlop.layout.driver.members import ArchiveMembers
from orlop.layout.driver.path import BLOBS
from orlop.layout.driver.replacement import Replacement
from orlop.layout.driver.spool import SpoolStage
from orlop.layout.driver.stage import StagedBlobWriter, StagedWriter
from orlop.layout.files import ArchiveFiles, open_seekable
from orlop.tree.node import S_IFDIR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import IO


@final
class ArchiveReader:
    """A layout in an existing tar, compressed or not, whose members are read where they lie.

    A context manager; any number of threads may read.

    Args:
        path: The tar, or a FIFO that one comes from.
        spool: The directory for a file as large as the tar is without compression; used only
            when it is compressed or no regular file.

    Raises:
        NotFoundError: There is no such file.
        InvalidArchiveError: It is no tar, is cut short, or has a name twice.
        UnsafePathError: A member's name has `..` in it.
        LimitExceededError: It has too many members or too long names.
        UnsupportedError: It is of a form that this reader does not know.
        OSError: It cannot be read (EACCES, EIO).
    """

    def __init__(self, path: str | os.PathLike[str], *, spool: Path | None = None) -> None:
        self._path = Path(path)
        self._files = ArchiveFiles(open_seekable(self._path, spool), self._path)

    def __str__(self) -> str:
        return str(self._path)

    def init(self) -> NoReturn:
        """The archive is there."""
        raise AlreadyExistsError(f"{self} exists")

    def remove(self, path: str) -> NoReturn:
        """Nothing is changed."""
        raise self._unsupported(f"{path} cannot be removed")

    def reader(self, path: str) -> ExtentReader:
        """Open a member; see `ImageDriver.reader`."""
        return ExtentReader(self._files.open(path))

    def writer(self, path: str, mode: int) -> NoReturn:  # noqa: ARG002
        """Nothing is changed."""
        raise self._unsupported(f"{path} cannot be written")

    def blob_writer(self, algorithm: str) -> NoReturn:  # noqa: ARG002
        """Nothing is changed."""
        raise self._unsupported("no blob can be written")

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Every path in order; see `Enumerable`."""
        for name, node in self._files.iter_members():
            path = name.decode("utf-8", "surrogateescape")
            if node.type != S_IFDIR and path.startswith(prefix):
                yield path

    def has_directory(self, path: str) -> bool:
        """Whether there is a directory, be it only for what lies in it; see `Structured`."""
        wanted = path.encode("utf-8", "surrogateescape")
        return any(
            name.startswith(wanted + b"/") or (name == wanted and node.type == S_IFDIR)
            for name, node in self._files.iter_members()
        )

    def close(self) -> None:
        """Close the archive; readers that are open may be read on. Idempotent."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _unsupported(self, what: str) -> UnsupportedError:
        return UnsupportedError(
            f"{self}: {what}: the archive is only read", hint="open it with ArchiveDriver"
        )


@final
class ArchiveDriver:
    """A layout in a tar that is edited by one at a time, among all processes.

    What is written or removed is seen by this driver's readers at once. It is in the archive after
    `commit`, which writes all of it anew, sorted; members that are no part of a layout stay.

    A context manager: leaving it commits, leaving it by an exception or `close` gives up.

    Args:
        path: An uncompressed tar, or a name for a new one in a directory that exists.
        mtime: The time of all members, in seconds since 1970.
        timeout: Seconds to wait for another editor; 0 tries once, None waits for ever.

    Raises:
        NotFoundError: There is no directory for the archive.
        InUseError: Another editor has it and the wait is over.
        InvalidArchiveError: It is no tar, is cut short, or has a name twice.
        UnsupportedError: It is compressed, or has members that cannot be kept, such as devices.
        UnsafePathError: A member's name has `..` in it; or it, or what lies where the new one will
            be written, is no regular file.
        LimitExceededError: It has too many members or too long names.
        OSError: It cannot be read, or nothing be written beside it (EACCES).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mtime: int = 0,
        timeout: float | None = None,
    ) -> None:
        self._path = os.path.realpath(path)
        self._lock = threading.Lock()
        self._new = Replacement(self._path, timeout)
        try:
            self._members = ArchiveMembers(self._path, mtime)
        except BaseException:
            self._new.close()
            raise

    def __str__(self) -> str:
        return self._path

    def init(self) -> None:
        """Begin with the directories `blobs` and `blobs/sha256`; see `ImageDriver.init`."""
        if not self._members.empty:
            raise AlreadyExistsError(f"{self} exists")
        self._members.put_directories(f"{BLOBS}/sha256/")

    def remove(self, path: str) -> None:
        """Leave a member out; see `ImageDriver.remove`."""
        if not self._members.remove(path):
            raise NotFoundError(f"{self} holds no {path}")

    def reader(self, path: str) -> ExtentReader:
        """Open a member, be it committed yet or not; see `ImageDriver.reader`."""
        return ExtentReader(self._members.open_file(path))

    def writer(self, path: str, mode: int) -> StagedWriter:
        """Begin a member; see `ImageDriver.writer`."""
        return StagedWriter(self._stage(), path, mode)

    def blob_writer(self, algorithm: str) -> StagedBlobWriter:
        """Begin a blob; see `ImageDriver.blob_writer`."""
        return StagedBlobWriter(self._stage(), algorithm)

    def lock(self) -> AbstractContextManager[object]:
        """Keep other threads from changing the index; processes are kept out. See `Lockable`."""
        return self._lock

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Every path in order; see `Enumerable`."""
        return (path for path in self._members.paths() if path.startswith(prefix))

    def has_directory(self, path: str) -> bool:
        """Whether there is a directory, be it only for what lies in it; see `Structured`."""
        return self._members.has_directory(path)

    def commit(self) -> None:
        """Put the archive in its place, whole and durable, where anything has changed; and end.

        Raises:
            ValueError: The driver is closed.
            InvalidArchiveError: The old archive was cut meanwhile; it is as it is.
            OSError: It could not be written (ENOSPC, EIO); the old one is there still.
        """
        self._require_open()
        try:
            if self._members.changed:
                self._new.write(self._members.in_order())
                self._new.commit()
        finally:
            self.close()

    def close(self) -> None:
        """Give up what was not committed, and let the next editor in; idempotent."""
        self._members.close()
        self._new.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and not self._new.closed:
            self.commit()
        self.close()

    def _stage(self) -> SpoolStage:
        self._require_open()
        return SpoolStage(os.path.dirname(self._path), self._take)

    def _take(self, path: str, mode: int, file: IO[bytes], size: int) -> None:
        self._require_open()
        self._members.put_file(path, mode, file, size)

    def _require_open(self) -> None:
        if self._new.closed:
            raise ValueError(f"the editor of {self} is closed")
