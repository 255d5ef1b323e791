"""What a content store is, wherever it keeps its bytes.

Content is named by its digest and never changes. It comes in through an ingest, which has a
reference (any text that the caller chooses, such as the descriptor's digest), is written by one
writer at a time, survives its writer and can be resumed by the next one. An ingest becomes content
in two steps, so that a record can be written between them:

    write … ─► seal (verified, durable under a temporary name) ─► publish (named by its digest)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from types import TracebackType

    from orlop.content.verify import VerifyingReader
    from orlop.digest import Digest

MAX_READ_SIZE: Final = 4 << 20
"""Bytes that `read` takes into memory unless told otherwise: the size of the largest document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a store knows about one blob.

    Attributes:
        digest: Name of the content.
        size: Length in bytes.
        created_ns: When it was stored, in nanoseconds since 1970.
    """

    digest: Digest
    size: int
    created_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestStatus:
    """How far an ingest has come.

    Attributes:
        reference: Name that its writer gave it.
        digest: Digest that is expected, where the writer knew one.
        size: Length that is expected, in bytes, where the writer knew it.
        offset: Bytes that have arrived.
        updated_ns: When bytes last arrived, in nanoseconds since 1970.
    """

    reference: str
    digest: Digest | None
    size: int | None
    offset: int
    updated_ns: int


class Ingest(Protocol):
    """Content on its way in, owned by one writer.

    Leaving the context closes the ingest: what was neither committed nor aborted is kept for the
    next writer of the same reference.
    """

    @property
    def reference(self) -> str:
        """Name of the ingest."""

    @property
    def offset(self) -> int:
        """Bytes that are kept and hashed: where the next write goes on."""

    @property
    def digest(self) -> Digest:
        """Digest of the bytes so far."""

    def pieces(self) -> Iterable[bytes]:
        """What has arrived so far, in order: for whoever works on the content as it comes."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append all of `data`.

        Raises:
            SizeMismatchError: More came than was expected; nothing is kept.
            OSError: Storage failed; after ENOSPC what has arrived is kept for a later writer.
        """

    def restart(self) -> None:
        """Drop what has arrived, and go on from the beginning."""

    def seal(self, size: int | None = None, digest: Digest | None = None) -> Digest:
        """Verify the content and make it durable under its temporary name.

        Args:
            size: Length required, in bytes; the one that `ingest` was told where None.
            digest: Digest required; the one that `ingest` was told where None.

        Returns:
            The digest that `publish` will name it by.

        Raises:
            SizeMismatchError: The length differs; nothing is kept.
            DigestMismatchError: The digest differs; nothing is kept.
            OSError: The content could not be made durable; nothing is kept.
        """

    def publish(self) -> None:
        """Name sealed content by its digest, durably; the ingest ends.

        Idempotent: success means that the content is stored, whoever stored it first.
        """

    def commit(self, size: int | None = None, digest: Digest | None = None) -> Digest:
        """Seal and publish: the content is stored, verified and durable under its digest."""

    def abort(self) -> None:
        """Drop the content; the ingest ends."""

    def close(self) -> None:
        """Leave the ingest to the next writer; after a commit or an abort, do nothing."""

    def __enter__(self) -> Self:
        """The ingest itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the ingest."""


class ContentStore(Protocol):
    """Blobs by digest, and the ingests that become blobs; for many threads and processes."""

    def stat(self, digest: Digest) -> Info | None:
        """What is known about a blob, or None where it is not stored."""

    def open(self, digest: Digest, size: int | None = None) -> VerifyingReader:
        """A reader of a blob, which verifies what it hands out by its end.

        Args:
            digest: The blob.
            size: Length required, in bytes; whatever is stored where None.

        Raises:
            NotFoundError: The blob is not stored.
            SizeMismatchError: It is stored with another length.
            UnsupportedError: Its digest cannot be computed, so that nothing could be verified.
        """

    def read(self, digest: Digest, size: int, limit: int = MAX_READ_SIZE) -> bytes:
        """The whole of a blob, verified.

        Args:
            digest: The blob.
            size: Length required, in bytes.
            limit: Length allowed, in bytes.

        Raises:
            LimitExceededError: `size` is over the limit; nothing was read.
            NotFoundError: The blob is not stored.
            VerificationError: What is stored is not what `digest` and `size` say.
        """

    def ingest(
        self,
        reference: str,
        *,
        digest: Digest | None = None,
        size: int | None = None,
        wait: float | bool = True,
    ) -> Ingest:
        """The ingest of this name, owned by the caller, with what an earlier writer left in it.

        One that waited for another writer should look again (`stat`) whether the content has come.

        Args:
            reference: Any text that is not empty.
            digest: Digest that the content must have; what was kept for another one is dropped.
            size: Length that it must have, in bytes.
            wait: Whether, or for how many seconds, to wait for another writer to end.

        Raises:
            InUseError: Another writer has it and the wait is over.
            UnsupportedError: The digest cannot be computed.
        """

    def delete(self, digest: Digest) -> bool:
        """Make a blob unreachable in one step; whether it was there. Readers go on undisturbed."""

    def iter_digests(self) -> Iterator[Digest]:
        """Every blob there is, in the order of the digests."""

    def statuses(self) -> Iterable[IngestStatus]:
        """Every ingest there is, in the order of the references."""

    def abort(self, reference: str) -> None:
        """Drop the ingest of this name.

        Raises:
            NotFoundError: There is none.
            InUseError: A writer has it.
        """

    def prune_ingests(self, before_ns: int, keep: Collection[str] = ()) -> int:
        """Drop the ingests that rest since `before_ns`, have no writer and are not in `keep`.

        Returns:
            How many were dropped.
        """

    def empty_trash(self) -> int:
        """Free what `delete` and ended ingests left behind; how many entries were removed."""
