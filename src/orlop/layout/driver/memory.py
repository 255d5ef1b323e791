"""A layout in memory, for tests and for images that nobody keeps."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from orlop.errors import AlreadyExistsError, InUseError, NotFoundError
from orlop.layout.driver.stage import StagedBlobWriter, StagedWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from orlop.layout.driver.protocol import Data


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFile:
    """A file of a layout in memory.

    Attributes:
        data: Its bytes.
        mode: Its permissions.
    """

    data: bytes
    mode: int


@final
class MemoryDriver:
    """A layout whose files live as long as it does, for any number of threads.

    Attributes:
        files: Every file by its path; tests may look at it, and spoil it.
    """

    def __init__(self) -> None:
        self.files: dict[str, MemoryFile] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._sharers = 0

    def __str__(self) -> str:
        return "layout in memory"

    def init(self) -> None:
        """Nothing is needed; see `ImageDriver.init`."""
        if self.files:
            raise AlreadyExistsError(f"{self} holds files already")

    def remove(self, path: str) -> None:
        """Forget a file; see `ImageDriver.remove`."""
        if self.files.pop(path, None) is None:
            raise NotFoundError(f"{self} holds no {path}")

    def reader(self, path: str) -> io.BytesIO:
        """Open a file; see `ImageDriver.reader`."""
        found = self.files.get(path)
        if found is None:
            raise NotFoundError(f"{self} holds no {path}")
        return io.BytesIO(found.data)

    def writer(self, path: str, mode: int) -> StagedWriter:
        """Begin a file; see `ImageDriver.writer`."""
        return StagedWriter(_MemoryStage(self.files), path, mode)

    def blob_writer(self, algorithm: str) -> StagedBlobWriter:
        """Begin a blob; see `ImageDriver.blob_writer`."""
        return StagedBlobWriter(_MemoryStage(self.files), algorithm)

    def lock(self) -> AbstractContextManager[object]:
        """Keep other threads from changing the index; see `Lockable`."""
        return self._lock

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Keep a collector away; see `Shareable`."""
        with self._changed:
            self._sharers += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharers -= 1
                self._changed.notify_all()

    @contextmanager
    def collecting(self, timeout: float | None = None) -> Iterator[None]:
        """Collect when nobody is sharing; see `Shareable`."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._sharers, timeout):
                raise InUseError(f"{self} is being written to")
            yield

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Every path in order; see `Enumerable`."""
        return iter(sorted(path for path in self.files if path.startswith(prefix)))


@final
class _MemoryStage:
    def __init__(self, files: dict[str, MemoryFile]) -> None:
        self._files = files
        self._data = bytearray()

    def write(self, data: Data) -> None:
        self._data += data

    def keep(self, path: str, mode: int) -> None:
        self._files[path] = MemoryFile(data=bytes(self._data), mode=mode)

    def discard(self) -> None:
        self._data = bytearray()
