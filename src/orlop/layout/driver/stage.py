"""What most drivers' writers have in common: bytes are staged, and put in their place at the end.

A driver brings its `Stage`; `StagedWriter` and `StagedBlobWriter` make the writers of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, final

from orlop.digest import digest_of, new_hash
from orlop.errors import DigestMismatchError, SizeMismatchError
from orlop.layout.driver.path import blob_path

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.layout.driver.protocol import Data

BLOB_MODE = 0o444


class Stage(Protocol):
    """Bytes that have no name yet; of one writer."""

    def write(self, data: Data) -> None:
        """Append all of `data`."""

    def keep(self, path: str, mode: int) -> None:
        """Put the bytes in their place, durably; called at most once, and `discard` follows."""

    def discard(self) -> None:
        """Free what the stage holds; idempotent, and harmless after `keep`."""


class _Staged:
    """The end of a writer: once committed or closed, it takes nothing more."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._open = True

    def close(self) -> None:
        """Give up what was not committed; idempotent."""
        if self._open:
            self._open = False
            self._stage.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_open(self) -> None:
        if not self._open:
            raise ValueError("the writer is closed")


@final
class StagedWriter(_Staged):
    """The writer of a file; see `Writer`.

    Args:
        stage: Takes the bytes.
        path: Where the file will be.
        mode: Its permissions.
    """

    def __init__(self, stage: Stage, path: str, mode: int) -> None:
        super().__init__(stage)
        self._path = path
        self._mode = mode

    def write(self, data: Data, /) -> int:
        """Append all of `data`; its length in bytes."""
        self._require_open()
        self._stage.write(data)
        return memoryview(data).nbytes

    def commit(self) -> None:
        """Put the file in its place, durably; see `Writer.commit`."""
        self._require_open()
        try:
            self._stage.keep(self._path, self._mode)
        finally:
            self.close()


@final
class StagedBlobWriter(_Staged):
    """The writer of a blob, which hashes what comes; see `BlobWriter`.

    Args:
        stage: Takes the bytes.
        algorithm: Of the digest that will name them.

    Raises:
        UnsupportedError: The algorithm cannot be computed here.
    """

    def __init__(self, stage: Stage, algorithm: str) -> None:
        super().__init__(stage)
        self._hash = new_hash(algorithm)
        self._size = 0
        self._digest: Digest | None = None

    @property
    def digest(self) -> Digest:
        """The digest of what was committed; ValueError before."""
        if self._digest is None:
            raise ValueError("the blob is not committed: it has no digest yet")
        return self._digest

    def write(self, data: Data, /) -> int:
        """Append all of `data`; its length in bytes."""
        self._require_open()
        size = memoryview(data).nbytes
        self._stage.write(data)
        self._hash.update(data)
        self._size += size
        return size

    def commit(self, size: int | None = None, expected: Digest | None = None) -> Digest:
        """Name the blob by its digest, durably; see `BlobWriter.commit`."""
        self._require_open()
        try:
            actual = self._verify(size, expected)
            self._stage.keep(blob_path(actual), BLOB_MODE)
        finally:
            self.close()
        self._digest = actual
        return actual

    def _verify(self, size: int | None, expected: Digest | None) -> Digest:
        if size is not None and size != self._size:
            raise SizeMismatchError("size of the blob", expected=size, actual=self._size)
        actual = digest_of(self._hash)
        if expected is None or expected == actual:
            return actual
        if expected.algorithm != actual.algorithm:
            raise ValueError(f"a {actual.algorithm} writer cannot verify {expected}")
        raise DigestMismatchError("digest of the blob", expected=expected, actual=actual)
