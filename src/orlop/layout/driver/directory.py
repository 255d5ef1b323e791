"""A layout in a directory, for any number of processes that write into it at once.

    PATH/                  flock, exclusive: whoever reads index.json to write it
      oci-layout           0444
      index.json           0644
      blobs/               flock, shared: writers of blobs that nothing names yet;
                           exclusive: a collector
        <algorithm>/<hex>  0444
      .orlop-<random>      0600, flock by its writer: a file on its way in

A file is written under the name of the last kind, made durable, and renamed to its own, whose
directory is then made durable. Whoever dies in between leaves a file that nobody holds the lock of,
and nothing else.

The locks bind only those that take them. skopeo, podman, umoci, oras and others rewrite
`index.json` without any: while one of them writes, nobody else should. Readers need no lock.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from orlop.errors import AlreadyExistsError, InUseError, NotFoundError
from orlop.layout.driver.below import (
    directory_of,
    is_same_file,
    iter_paths,
    make_root,
    open_root,
)
from orlop.layout.driver.extent import ExtentReader
from orlop.layout.driver.path import BLOBS, INDEX_FILE, LAYOUT_FILE
from orlop.layout.driver.stage import StagedBlobWriter, StagedWriter
from orlop.layout.driver.temporary import STAGE_PREFIX, DirectoryStage
from orlop.layout.driver.waiting import flocked, lock_within, unlock
from orlop.layout.files import DirectoryFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

_STAGE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@final
class DirectoryDriver:
    """A layout in a directory; many threads and processes may use it, each with its own driver.

    Symbolic links in it are not followed.

    Args:
        path: The directory; `init` makes it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)

    def __str__(self) -> str:
        return self._path

    @property
    def path(self) -> str:
        """The directory."""
        return self._path

    def init(self) -> None:
        """Make the directory, with `blobs/sha256` in it; see `ImageDriver.init`.

        What an `init` that was killed has left is no hindrance.

        Raises:
            AlreadyExistsError: There is something else of this name, or a directory that is not
                empty.
            OSError: It cannot be made (EACCES, ENOSPC).
        """
        make_root(self._path)
        if not os.path.isdir(self._path):
            raise AlreadyExistsError(f"{self._path} exists and is no directory")
        with self.lock():
            self._require_empty()
            with self._opened() as root, directory_of(root, f"{BLOBS}/sha256/", make=True):
                pass

    def remove(self, path: str) -> None:
        """Remove a file; see `ImageDriver.remove`."""
        try:
            with self._opened() as root, directory_of(root, path, make=False) as (fd, name):
                os.unlink(name, dir_fd=fd)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"{self._path} holds no {path}") from None

    def reader(self, path: str) -> ExtentReader:
        """Open a regular file; see `ImageDriver.reader`.

        Raises:
            NotFoundError: There is no such file or layout.
            UnsafePathError: It, or a directory above it, is a symbolic link or no file at all.
            OSError: It cannot be opened (EACCES).
        """
        files = DirectoryFiles(Path(self._path))
        try:
            return ExtentReader(files.open(path))
        finally:
            files.close()

    def writer(self, path: str, mode: int) -> StagedWriter:
        """Begin a file; see `ImageDriver.writer`.

        Raises:
            NotFoundError: There is no such directory.
            OSError: It cannot be written to (EACCES, ENOSPC).
        """
        return StagedWriter(DirectoryStage(self._path), path, mode)

    def blob_writer(self, algorithm: str) -> StagedBlobWriter:
        """Begin a blob; see `ImageDriver.blob_writer`, and `writer` for what it raises."""
        return StagedBlobWriter(DirectoryStage(self._path), algorithm)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes and threads from changing the index; see `Lockable`."""
        with self._opened() as root, flocked(root, fcntl.LOCK_EX):
            yield

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Keep a collector away; see `Shareable`."""
        with self._opened_blobs() as blobs, flocked(blobs, fcntl.LOCK_SH):
            yield

    @contextmanager
    def collecting(self, timeout: float | None = None) -> Iterator[None]:
        """Collect when nobody is sharing; see `Shareable`."""
        with self._opened_blobs() as blobs:
            if not lock_within(blobs, fcntl.LOCK_EX, timeout):
                raise InUseError(
                    f"{self._path} is being written to", hint="try again when that is done"
                )
            try:
                yield
            finally:
                unlock(blobs)

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Every path in order; see `Enumerable`. Symbolic links are among them, not followed."""
        with self._opened() as root:
            yield from iter_paths(root, prefix, STAGE_PREFIX)

    def has_directory(self, path: str) -> bool:
        """Whether there is a directory, and no link to one; see `Structured`."""
        try:
            with self._opened() as root, directory_of(root, f"{path}/", make=False):
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False

    def modified_ns(self, path: str) -> int:
        """When a file was last written; see `Dated`."""
        try:
            with self._opened() as root, directory_of(root, path, make=False) as (fd, name):
                return os.stat(name, dir_fd=fd, follow_symlinks=False).st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"{self._path} holds no {path}") from None

    def unfinished(self) -> list[str]:
        """The files that writers have begun, in order; see `Cleanable`."""
        with self._opened() as root, os.scandir(root) as entries:
            files = (entry.name for entry in entries if entry.is_file(follow_symlinks=False))
            return sorted(name for name in files if name.startswith(STAGE_PREFIX))

    def discard(self, path: str, *, dry_run: bool = False) -> bool:
        """Remove one of the unfinished files, unless its writer is alive; see `Cleanable`.

        Raises:
            ValueError: It is the path of something else.
        """
        if not path.startswith(STAGE_PREFIX) or "/" in path:
            raise ValueError(f"{path!r} is not among the unfinished files")
        with self._opened() as root:
            return _discard(path, root, dry_run=dry_run)

    def _require_empty(self) -> None:
        """Refuse a directory with anything in it but what a killed `init` can leave."""
        with self._opened() as root:
            found = set(iter_paths(root, "", STAGE_PREFIX))
            unknown = set(os.listdir(root)) - {BLOBS, LAYOUT_FILE}
        if found - {LAYOUT_FILE} or any(not name.startswith(STAGE_PREFIX) for name in unknown):
            hint = "add to it without `init`" if INDEX_FILE in found else "choose another directory"
            raise AlreadyExistsError(f"{self._path} exists and is not empty", hint=hint)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        fd = open_root(self._path)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _opened_blobs(self) -> Iterator[int]:
        with ExitStack() as stack:
            root = stack.enter_context(self._opened())
            yield stack.enter_context(directory_of(root, f"{BLOBS}/", make=True))[0]


def _discard(name: str, root: int, *, dry_run: bool) -> bool:
    try:
        fd = os.open(name, _STAGE_FLAGS, dir_fd=root)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_same_file(fd, name, root):
            if not dry_run:
                os.unlink(name, dir_fd=root)
            return True
    except BlockingIOError:
        pass
    finally:
        os.close(fd)
    return False
