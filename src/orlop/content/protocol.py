"""What a content store is, wherever it keeps its bytes.

Content is named by its digest and never changes. It comes in through an ingest, which has a
reference (any text that the caller chooses, such as the descriptor's digest), is written by one
writer at a time, survives its writer and can be resumed by the next one. An ingest becomes content
in two steps, so that a record can be written between them:

    write … ─► seal (verified, durable under a temporary name) ─► publish (named by its digest)

What a store does is told in parts, so that whoever needs one part asks for no more:

    Provider          reads blobs
    Ingester          takes content in
    Manager           lists and deletes blobs
    ContentStore      all three
    LabelledContent   a store that also keeps labels of its blobs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from types import TracebackType

    from orlop.content.info import Info, IngestStatus
    from orlop.content.verify import VerifyingReader
    from orlop.digest import Digest

MAX_READ_SIZE: Final = 4 << 20
"""Bytes that `read` takes into memory unless told otherwise: the size of the largest document."""


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


class LabelledIngest(Ingest, Protocol):
    """An ingest whose content gets labels in the same step as its name."""

    def publish(self, labels: Mapping[str, str] | None = None) -> None:
        """Name sealed content by its digest, with these labels, durably; the ingest ends.

        Content that was stored before keeps its other labels.

        Args:
            labels: What is known about the content by now; an empty value takes one away.

        Raises:
            InvalidError: A label is none; the ingest goes on.
            LimitExceededError: There are too many labels, or one is too long; likewise.
        """

    def commit(
        self,
        size: int | None = None,
        digest: Digest | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Digest:
        """Seal and publish, with these labels; see `publish`."""


@runtime_checkable
class ReaderAt(Protocol):
    """A blob that is read anywhere, by several threads at once; what is read is not verified."""

    @property
    def digest(self) -> Digest:
        """Name of the content."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes from `offset` on: `size` of them, or fewer where the blob ends before.

        Raises:
            SizeMismatchError: What is stored ends before the blob should.
            OSError: It cannot be read.
            ValueError: The reader is closed, or a number is negative.
        """

    def verify(self) -> None:
        """Read all of the blob, and succeed if it has its digest.

        Raises:
            VerificationError: It has not: what is stored is damaged.
        """

    def close(self) -> None:
        """Let go of the blob; reads that are under way end first."""

    def __enter__(self) -> Self:
        """The reader itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the reader."""


class Provider(Protocol):
    """Reads blobs."""

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

    def reader_at(self, digest: Digest, size: int | None = None) -> ReaderAt:
        """A reader of any part of a blob, which verifies nothing unless it is told to.

        Args:
            digest: The blob.
            size: Length required, in bytes; whatever is stored where None.

        Raises:
            NotFoundError: The blob is not stored.
            SizeMismatchError: It is stored with another length.
            UnsupportedError: Its digest cannot be computed, so that nothing could be verified.
        """


class Ingester(Protocol):
    """Takes content in; for many threads and processes."""

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

    def status(self, reference: str) -> IngestStatus | None:
        """How far the ingest of this name has come, or None where there is none."""

    def statuses(self, *filters: str) -> Iterable[IngestStatus]:
        """The ingests that any of these filters means, in the order of the references.

        Args:
            filters: In the language of `orlop.filters.parse`, over the fields `ref`, `digest`,
                `size`, `offset`, `startedat` and `updatedat`; without one all are meant.

        Raises:
            InvalidFilterError: One of them is no filter.
            LimitExceededError: There are too many, or one is too long.
        """

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


class Manager(Protocol):
    """Lists and deletes blobs."""

    def walk(self, *filters: str) -> Iterator[Info]:
        """The blobs that any of these filters means, in the order of the digests.

        What is stored or deleted meanwhile may be among them or not; all others are, once.

        Args:
            filters: In the language of `orlop.filters.parse`, over the fields `digest`, `size`,
                `createdat`, `updatedat` and `labels.KEY`; without one all are meant.

        Raises:
            InvalidFilterError: One of them is no filter.
            LimitExceededError: There are too many, or one is too long.
        """

    def delete(self, digest: Digest) -> bool:
        """Make a blob unreachable in one step; whether it was there. Readers go on undisturbed."""

    def iter_digests(self) -> Iterator[Digest]:
        """Every blob there is, in the order of the digests."""

    def empty_trash(self) -> int:
        """Free what `delete` and ended ingests left behind; how many entries were removed."""


class ContentStore(Provider, Ingester, Manager, Protocol):
    """Blobs by digest, and the ingests that become blobs; for many threads and processes."""


class LabelledContent(ContentStore, Protocol):
    """A content store that keeps labels of its blobs."""

    def ingest(
        self,
        reference: str,
        *,
        digest: Digest | None = None,
        size: int | None = None,
        wait: float | bool = True,
    ) -> LabelledIngest:
        """The ingest of this name; see `Ingester.ingest`."""

    def update(self, digest: Digest, labels: Mapping[str, str], *fieldpaths: str) -> Info:
        """Change the labels of a blob, all as it is said or none, and return what is known then.

        Args:
            digest: The blob.
            labels: The new labels; one without a value is taken away.
            fieldpaths: What of them is meant, applied in this order: `labels`, or `labels.KEY`,
                where all behind the first dot is the key, and one that `labels` lacks is taken
                away. All labels where there is none.

        Raises:
            NotFoundError: The blob is not stored.
            InvalidError: A path is another, or a label is none.
            LimitExceededError: There are too many labels then, or one is too long.
        """
