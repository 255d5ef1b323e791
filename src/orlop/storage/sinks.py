"""Where the uncompressed bytes of a layer go: a tar, a directory in overlay form, or nowhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Self

from orlop._sys.sync import start_writeback

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orlop.tree import Entry

_WRITEBACK_STEP: Final = 16 << 20


class TarSink:
    """Keeps the bytes as they are; the kernel begins to write them to the disk at once.

    Args:
        path: The file to make.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._started = 0

    def write(self, piece: bytes, offset: int, entries: Sequence[Entry]) -> None:  # noqa: ARG002
        """Append the bytes."""
        rest = memoryview(piece)
        while rest:
            written = os.pwrite(self._fd, rest, offset)
            offset += written
            rest = rest[written:]
        if offset - self._started >= _WRITEBACK_STEP:
            start_writeback(self._fd, self._started, offset - self._started)
            self._started = offset

    def finish(self, entries: Sequence[Entry]) -> None:
        """Nothing is left to do: a tar is complete with its last byte."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


class DirectorySink:
    """Writes the layer as a directory in overlay form, while it passes by.

    Args:
        path: The directory to make.
        lowest: Whether the layer lies below all others, where more layers can be expressed.

    Attributes:
        anywhere: Once finished, whether the directory is right above other layers too.
    """

    def __init__(self, path: Path, *, lowest: bool) -> None:
        from orlop.rootfs import StreamWriter

        path.mkdir(mode=0o700)
        self.anywhere = False
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._writer = StreamWriter(self._fd, lowest=lowest)

    def write(self, piece: bytes, offset: int, entries: Sequence[Entry]) -> None:
        """Write what the piece has of each file."""
        self._writer.feed(piece, offset, entries)

    def finish(self, entries: Sequence[Entry]) -> None:
        """Write the whiteouts, and the attributes of directories."""
        self._writer.feed(b"", 0, entries)
        self.anywhere = self._writer.close().anywhere

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._writer.__exit__(None, None, None)
        os.close(self._fd)


class NoSink:
    """Keeps nothing: for a layer whose blob is its tar, or whose form is here."""

    def write(self, piece: bytes, offset: int, entries: Sequence[Entry]) -> None:
        """Drop the bytes."""

    def finish(self, entries: Sequence[Entry]) -> None:
        """Nothing is left to do."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
