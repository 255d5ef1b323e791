"""A layout that is appended to a tar, which may be a pipe: nothing in it is read or changed.

import tarfile
from orlop.layout import InitOptions, TarDriver, init, write_blob, write_index

with tarfile.open("image.tar", "w") as tar:
    driver = TarDriver(tar)
    init(driver, InitOptions(skip_index=True))
    …                                             # write_blob, write_json_blob
    write_index(driver, index)                    # once, since it cannot be written again
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn, final

from orlop.errors import AlreadyExistsError, UnsupportedError
from orlop.layout.driver.path import BLOBS
from orlop.layout.driver.spool import SpoolStage, directory_member, file_member, parents_of
from orlop.layout.driver.stage import StagedBlobWriter, StagedWriter
from orlop.layout.files import DEFAULT_SPOOL

if TYPE_CHECKING:
    import os
    import tarfile
    from typing import IO

    from orlop.layout.driver.protocol import TarWriter


@final
class TarDriver:
    """A layout that is appended to a tar, for any number of threads.

    A file waits in a spool until it is whole, for a header says the size of what follows: of one
    that fails nothing comes into the tar. A blob comes once, however often it is written.

    Args:
        tar: Takes the members; opened by the caller, who closes it.
        mtime: The time of all members, in seconds since 1970.
        spool: The directory for files on their way, which have no name there.
    """

    def __init__(
        self,
        tar: TarWriter,
        *,
        mtime: int = 0,
        spool: str | os.PathLike[str] = DEFAULT_SPOOL,
    ) -> None:
        self._tar = tar
        self._mtime = mtime
        self._spool = spool
        self._written: set[str] = set()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def __str__(self) -> str:
        return "layout in a tar"

    def init(self) -> None:
        """Append the directories `blobs` and `blobs/sha256`; see `ImageDriver.init`."""
        with self._lock:
            if self._written:
                raise AlreadyExistsError(f"{self} has members already")
            self._add_directories(f"{BLOBS}/sha256/")

    def remove(self, path: str) -> NoReturn:
        """Nothing can be taken out of a stream."""
        raise _unsupported(self, f"{path} cannot be removed")

    def reader(self, path: str) -> NoReturn:
        """Nothing can be read out of a stream."""
        raise _unsupported(self, f"{path} cannot be read")

    def writer(self, path: str, mode: int) -> StagedWriter:
        """Begin a file, which can be committed once; see `ImageDriver.writer`."""
        return StagedWriter(SpoolStage(self._spool, self._add_file), path, mode)

    def blob_writer(self, algorithm: str) -> StagedBlobWriter:
        """Begin a blob; see `ImageDriver.blob_writer`."""
        return StagedBlobWriter(SpoolStage(self._spool, self._add_file), algorithm)

    def _add_file(self, path: str, mode: int, file: IO[bytes], size: int) -> None:
        with self._lock:
            if path in self._written and path.startswith(f"{BLOBS}/"):
                return
            if path in self._written:
                raise _unsupported(self, f"{path} cannot be written again")
            self._add_directories(path)
            self._add(path, file_member(path, mode, size, self._mtime), file)

    def _add_directories(self, path: str) -> None:
        for parent in parents_of(path):
            if parent not in self._written:
                self._add(parent, directory_member(parent, self._mtime), None)

    def _add(self, path: str, member: tarfile.TarInfo, file: IO[bytes] | None) -> None:
        """Append a member, unless the one before ended halfway."""
        if self._failure is not None:
            raise self._failure
        try:
            self._tar.addfile(member, file)
        except BaseException as error:
            self._failure = error
            raise
        self._written.add(path)


def _unsupported(driver: TarDriver, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{driver}: {what}: a tar is only appended to",
        hint="write index.json once, at the end, after `init` with `skip_index`",
    )
