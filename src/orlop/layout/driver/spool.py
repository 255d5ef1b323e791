"""What goes into a tar waits until it is whole: small in memory, large in a file without a name."""

from __future__ import annotations

import os
import tarfile
import tempfile
from typing import TYPE_CHECKING, Final, final

from orlop.layout.driver.below import DIRECTORY_MODE

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from orlop.layout.driver.protocol import Data

MAX_SPOOLED_SIZE: Final = 1 << 20
"""Bytes of a file on its way into a tar that are kept in memory; larger ones are on disk."""


@final
class SpoolStage:
    """Bytes that a tar takes when they are whole; see `Stage`.

    Args:
        directory: Where a large file waits, without a name.
        take: Called with path, mode, the file at its beginning, and its size.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        take: Callable[[str, int, IO[bytes], int], None],
    ) -> None:
        directory = os.fspath(directory)
        self._file = tempfile.SpooledTemporaryFile(MAX_SPOOLED_SIZE, dir=directory)  # noqa: SIM115
        self._take = take

    def write(self, data: Data) -> None:
        """Append all of `data`."""
        self._file.write(data)

    def keep(self, path: str, mode: int) -> None:
        """Hand the bytes to the tar."""
        size = self._file.tell()
        self._file.seek(0)
        self._take(path, mode, self._file, size)

    def discard(self) -> None:
        """Free the memory or the disk; idempotent."""
        self._file.close()


def file_member(path: str, mode: int, size: int, mtime: int) -> tarfile.TarInfo:
    """The header of a regular file of nobody in particular."""
    member = tarfile.TarInfo(path)
    member.mode, member.size, member.mtime = mode & 0o7777, size, mtime
    return member


def directory_member(path: str, mtime: int) -> tarfile.TarInfo:
    """The header of a directory."""
    member = file_member(path, DIRECTORY_MODE, 0, mtime)
    member.type = tarfile.DIRTYPE
    return member


def parents_of(path: str) -> list[str]:
    """The directories that a path goes through, the outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
