"""What every ingest does, wherever its bytes go: count, hash, verify, end once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from orlop.digest import digest_of, new_hash
from orlop.errors import DigestMismatchError, SizeMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from orlop.digest import Digest


def encode_reference(reference: str) -> bytes:
    """The reference of an ingest in bytes.

    Raises:
        ValueError: It is empty, or no text that UTF-8 can say.
    """
    if not reference:
        raise ValueError("an ingest needs a reference")
    return reference.encode()


class HashingIngest(ABC):
    """An ingest that hashes what it is given, and leaves only storage to its subclass.

    Args:
        reference: Name of the ingest.
        digest: Digest expected, or None.
        size: Length expected, in bytes, or None.
        kept: Pieces that an earlier writer left, in order.
    """

    def __init__(
        self, reference: str, digest: Digest | None, size: int | None, kept: Iterable[bytes]
    ) -> None:
        self.reference = reference
        self.offset = 0
        self._expected = digest
        self._expected_size = size
        self._hash = new_hash("sha256") if digest is None else digest.hasher()
        self._sealed: Digest | None = None
        self._ended = False
        for piece in kept:
            self._account(piece)

    @property
    def digest(self) -> Digest:
        """Digest of the bytes so far."""
        return digest_of(self._hash)

    def pieces(self) -> Iterable[bytes]:
        """What has arrived so far, in order; see `Ingest.pieces`."""
        self._require_open()
        return self._stored()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append all of `data`; see `Ingest.write`."""
        self._require_unsealed()
        rest = memoryview(data).cast("B")
        self._refuse_excess(self.offset + len(rest))
        while rest:
            written = self._append(rest)
            self._account(rest[:written])
            rest = rest[written:]

    def restart(self) -> None:
        """Drop what has arrived, and go on from the beginning."""
        self._require_unsealed()
        self._truncate()
        self._hash = new_hash(self._hash.name)
        self.offset = 0

    def seal(self, size: int | None = None, digest: Digest | None = None) -> Digest:
        """Verify the content and make it durable; see `Ingest.seal`."""
        self._require_open()
        if self._sealed is None:
            try:
                self._verify_size(self._expected_size if size is None else size)
                self._sealed = self._verify_digest(digest or self._expected)
                self._sync()
            except (OSError, DigestMismatchError, SizeMismatchError):
                with suppress(OSError):  # The first failure is the one to hear of.
                    self.abort()
                raise
        return self._sealed

    def publish(self) -> None:
        """Name sealed content by its digest; see `Ingest.publish`."""
        self._require_open()
        if self._sealed is None:
            raise ValueError(f"ingest {self.reference!r} is not sealed")
        self._name(self._sealed)
        self._ended = True
        self._discard()

    def commit(self, size: int | None = None, digest: Digest | None = None) -> Digest:
        """Seal and publish; see `Ingest.commit`."""
        digest = self.seal(size, digest)
        self.publish()
        return digest

    def abort(self) -> None:
        """Drop the content; the ingest ends."""
        if not self._ended:
            self._ended = True
            self._discard()

    def close(self) -> None:
        """Leave the ingest to the next writer; see `Ingest.close`."""
        if self._ended:
            return
        if self.offset == 0:
            self.abort()
        else:
            self._ended = True
            self._keep()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _append(self, data: memoryview) -> int:
        """Store a beginning of `data`; how much."""

    @abstractmethod
    def _truncate(self) -> None:
        """Forget what is stored."""

    @abstractmethod
    def _stored(self) -> Iterable[bytes]:
        """All that is stored, in pieces."""

    @abstractmethod
    def _sync(self) -> None:
        """Make what is stored durable."""

    @abstractmethod
    def _name(self, digest: Digest) -> None:
        """Give what is stored its final name, durably."""

    @abstractmethod
    def _keep(self) -> None:
        """Leave what is stored to the next writer."""

    @abstractmethod
    def _discard(self) -> None:
        """Drop what is still stored, and let the next writer begin."""

    def _account(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self.offset += len(data)

    def _require_open(self) -> None:
        if self._ended:
            raise ValueError(f"ingest {self.reference!r} has ended")

    def _require_unsealed(self) -> None:
        self._require_open()
        if self._sealed is not None:
            raise ValueError(f"ingest {self.reference!r} is sealed")

    def _refuse_excess(self, size: int) -> None:
        if self._expected_size is not None and size > self._expected_size:
            try:
                self._verify_size(self._expected_size, size)
            finally:
                self.abort()

    def _verify_size(self, expected: int | None, actual: int | None = None) -> None:
        actual = self.offset if actual is None else actual
        if expected is not None and actual != expected:
            raise SizeMismatchError(f"size of {self.reference!r}", expected=expected, actual=actual)

    def _verify_digest(self, expected: Digest | None) -> Digest:
        actual = self.digest
        if expected is not None and expected.algorithm != actual.algorithm:
            state = expected.hasher()
            for piece in self._stored():
                state.update(piece)
            actual = digest_of(state)
        if expected is not None and actual != expected:
            raise DigestMismatchError(
                f"digest of {self.reference!r}", expected=expected, actual=actual
            )
        return actual
