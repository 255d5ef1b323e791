"""Reading a blob anywhere, by several threads at once."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, Self, final

from orlop.content.verify import CHUNK_SIZE, digest_mismatch, size_mismatch
from orlop.digest import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from types import TracebackType

    from orlop.digest import Digest


class RandomSource(Protocol):
    """Bytes that are read anywhere, by several threads at once."""

    def pread(self, size: int, offset: int) -> bytes:
        """At most `size` bytes from `offset` on; none behind the end."""

    def close(self) -> None:
        """Free what the source holds; again, do nothing."""


@final
class BlobReaderAt:
    """A reader of any part of a blob; see `ReaderAt`.

    Args:
        source: The bytes; closed with this reader.
        digest: Name of the content.
        size: Length that it must have, in bytes.
    """

    def __init__(self, source: RandomSource, digest: Digest, size: int) -> None:
        self._source = source
        self.digest = digest
        self.size = size

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes from `offset` on; see `ReaderAt.read_at`."""
        if offset < 0 or size < 0:
            raise ValueError(f"a negative number: offset {offset}, size {size}")
        offset = min(offset, self.size)
        end = min(offset + size, self.size)
        pieces = []
        while True:
            piece = self._source.pread(end - offset, offset)
            pieces.append(piece)
            offset += len(piece)
            if offset >= end:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if not piece:
                raise size_mismatch(self.digest, self.size, offset)

    def verify(self) -> None:
        """Read all of the blob, and succeed if it has its digest; see `ReaderAt.verify`."""
        state = self.digest.hasher()
        for offset in range(0, self.size, CHUNK_SIZE):
            state.update(self.read_at(offset, CHUNK_SIZE))
        if digest_of(state) != self.digest:
            raise digest_mismatch(self.digest, digest_of(state))

    def close(self) -> None:
        """Let go of the blob; reads that are under way end first."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@final
class FileSource:
    """A file that is read anywhere, and closed when the last read has ended.

    Closed under a read, its descriptor could stand for another file before the read begins.

    Args:
        file: The file, owned from now on.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._reads = 0
        self._closed = False

    def pread(self, size: int, offset: int) -> bytes:
        """At most `size` bytes from `offset` on."""
        with self._in_use():
            return os.pread(self._file.fileno(), size, offset)

    def close(self) -> None:
        """Close the file, or let the last read do it."""
        with self._lock:
            self._closed = True
            self._close_if_idle()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise ValueError("the reader is closed")
            self._reads += 1
        try:
            yield
        finally:
            with self._lock:
                self._reads -= 1
                self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._closed and not self._reads:
            self._file.close()


@final
class BytesSource:
    """Bytes in memory.

    Args:
        data: The bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data: bytes | None = data

    def pread(self, size: int, offset: int) -> bytes:
        """At most `size` bytes from `offset` on."""
        if self._data is None:
            raise ValueError("the reader is closed")
        return self._data[offset : offset + size]

    def close(self) -> None:
        """Let go of the bytes."""
        self._data = None
