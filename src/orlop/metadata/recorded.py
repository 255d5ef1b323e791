"""Content with records, for whoever reads it, lists it and labels it; writing it takes a lease."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from orlop.content import MAX_READ_SIZE, Info, info_fields
from orlop.errors import InUseError, NotFoundError
from orlop.filters import apply_labels, parse
from orlop.metadata.blobs import Blobs
from orlop.metadata.find import find_blobs
from orlop.metadata.graph import is_kept
from orlop.metadata.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from orlop.content import ContentStore, IngestStatus, ReaderAt, VerifyingReader
    from orlop.digest import Digest
    from orlop.metadata.blobs import BlobRecord
    from orlop.metadata.database import Database, Transaction


class RecordedContent:
    """The recorded blobs of a content store, and their labels; see `LabelledContent`.

    Nothing is taken in: that needs a lease, which keeps it until something else does.

    Args:
        content: Where the bytes lie.
        database: Where they are recorded.
        now_ns: The clock, in nanoseconds since 1970.
    """

    def __init__(
        self,
        content: ContentStore,
        database: Database,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._content = content
        self._database = database
        self._now_ns = now_ns

    def stat(self, digest: Digest) -> Info | None:
        """What is known about a blob that is recorded and stored, or None."""
        with self._database.read() as tx:
            record = Blobs(tx).get(digest)
        if record is None or self._content.stat(digest) is None:
            return None
        return _info(record)

    def open(self, digest: Digest, size: int | None = None) -> VerifyingReader:
        """A verifying reader of a blob; see `ContentStore.open`."""
        return self._content.open(digest, size)

    def read(self, digest: Digest, size: int, limit: int = MAX_READ_SIZE) -> bytes:
        """The whole of a blob, verified; see `ContentStore.read`."""
        return self._content.read(digest, size, limit)

    def reader_at(self, digest: Digest, size: int | None = None) -> ReaderAt:
        """A reader of any part of a blob; see `ContentStore.reader_at`."""
        return self._content.reader_at(digest, size)

    def walk(self, *filters: str) -> Iterator[Info]:
        """The recorded blobs that any of these filters means; see `ContentStore.walk`.

        A digest or a label that is asked for is looked up in an index.
        """
        meant = parse(*filters, now_ns=self._now_ns())
        infos = map(_info, find_blobs(self._database, meant))
        return (info for info in infos if meant(info_fields(info)))

    def iter_digests(self) -> Iterator[Digest]:
        """Every blob that is recorded, in the order of the digests."""
        with self._database.read() as tx:
            return iter(Blobs(tx).digests())

    def update(self, digest: Digest, labels: Mapping[str, str], *fieldpaths: str) -> Info:
        """Change the labels of a blob; see `LabelledContent.update`.

        Those under `containerd.io/gc.` tell the collector what to keep.

        Raises:
            NotFoundError: The blob is not recorded.
            InvalidError: A path is another, or a label is none, or one for the collector that it
                could not obey.
            LimitExceededError: There are too many labels then, or one is too long.
        """
        with self._database.write() as tx:
            record = Blobs(tx).get(digest)
            if record is None:
                raise NotFoundError(f"content {digest} is not stored")
            kept = apply_labels(record.labels, labels, *fieldpaths)
            now = self._now_ns()
            Labels(tx).replace("blob", digest, kept)
            Blobs(tx).touch(digest, now)
        return replace(_info(record), labels=kept, updated_ns=now)

    def delete(self, digest: Digest) -> bool:
        """Forget a blob and move it to the trash; whether it was there.

        Raises:
            InUseError: An image, a document, a lease or a label keeps it.
        """
        with self._database.write() as tx:
            self._let_go(tx, digest)
            if is_kept(tx, "blob", digest):
                raise InUseError(f"content {digest} is in use")
            recorded = Blobs(tx).delete(digest)
        # Only now, when no power loss can bring the record back.
        with self._database.write() as tx:
            if Blobs(tx).get(digest) is None and not is_kept(tx, "blob", digest):
                self._content.delete(digest)
        return recorded

    def status(self, reference: str) -> IngestStatus | None:
        """How far the ingest of this name has come, or None where there is none."""
        return self._content.status(reference)

    def statuses(self, *filters: str) -> Iterable[IngestStatus]:
        """The ingests that any of these filters means; see `ContentStore.statuses`."""
        return self._content.statuses(*filters)

    def abort(self, reference: str) -> None:
        """Drop the ingest of this name; see `ContentStore.abort`."""
        self._content.abort(reference)

    def prune_ingests(self, before_ns: int, keep: Collection[str] = ()) -> int:
        """Drop the ingests that rest; see `ContentStore.prune_ingests`."""
        return self._content.prune_ingests(before_ns, keep)

    def empty_trash(self) -> int:
        """Free what lies in the trash; how many entries were removed."""
        return self._content.empty_trash()

    def _let_go(self, tx: Transaction, digest: Digest) -> None:
        """Give up what of this store's own would keep a blob that is to be deleted."""


def _info(record: BlobRecord) -> Info:
    return Info(
        digest=record.digest,
        size=record.size,
        created_ns=record.created_at_ns,
        updated_ns=record.updated_at_ns,
        labels=record.labels,
    )
