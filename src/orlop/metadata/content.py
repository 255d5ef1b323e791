"""Content with records: a store in which nothing is kept that is not named, and nothing lost.

An ingest goes through these steps, each durable before the next:

    hold      the ingest, and the digest where it is known, are put under the lease
    seal      the bytes are verified and durable under a temporary name
    hold      the digest is put under the lease, where it was not known before
    publish   the bytes have their final name
    record    the blob and what it names are recorded; from now on it is there

A crash in between leaves bytes without a record: they are adopted by whoever needs them, or freed
by the collector once the lease is dead.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self, final

from orlop.digest import Digest
from orlop.filters import check_labels
from orlop.metadata.blobs import BlobRecord, Blobs
from orlop.metadata.gclabels import check_gc_label
from orlop.metadata.labels import Labels
from orlop.metadata.recorded import RecordedContent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from orlop.content import ContentStore, Info, Ingest
    from orlop.metadata.database import Database, Transaction
    from orlop.metadata.lease import Lease


@final
class LeasedContent(RecordedContent):
    """A content store whose blobs are recorded, and kept by a lease; see `LabelledContent`.

    Args:
        content: Where the bytes lie.
        database: Where they are recorded.
        lease: What keeps them until something else does.
        now_ns: The clock, in nanoseconds since 1970.

    Raises:
        ValueError: The lease is recorded elsewhere, where it keeps nothing of this.
    """

    def __init__(
        self,
        content: ContentStore,
        database: Database,
        lease: Lease,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if lease.database.path != database.path:
            raise ValueError(f"lease {lease.id!r} is one of another store")
        super().__init__(content, database, now_ns)
        self._lease = lease
        self._records = _Records(database, lease, now_ns)

    def claim(self, digest: Digest) -> Info | None:
        """Keep a blob by the lease if it is stored, recording it if nobody has; None if it is not.

        After `stat` a blob may be collected at any time; after this it is not.
        """
        if self._lease.holds("blob", digest) and (info := self.stat(digest)) is not None:
            return info
        if self._content.stat(digest) is None:
            return None
        with self._database.write() as tx:
            # The collector moves files away in such a transaction only, so this look is the last.
            stored = self._content.stat(digest)
            if stored is None:
                return None
            self._lease.hold_in(tx, "blob", digest)
            record = BlobRecord(digest=digest, size=stored.size, created_at_ns=0)
            self._records.add(tx, record)
        return self.stat(digest)

    def ingest(
        self,
        reference: str,
        *,
        digest: Digest | None = None,
        size: int | None = None,
        wait: float | bool = True,
        media_type: str = "",
        children: Iterable[Digest] = (),
    ) -> LeasedIngest:
        """The ingest of this name; see `ContentStore.ingest`.

        Args:
            reference: Any text that is not empty.
            digest: Digest that the content must have.
            size: Length that it must have, in bytes.
            wait: Whether, or for how many seconds, to wait for another writer to end.
            media_type: What will be recorded that it is.
            children: What will be recorded that it names.
        """
        self._lease.hold_all([("ingest", reference), *(("blob", d) for d in (digest,) if d)])
        inner = self._content.ingest(reference, digest=digest, size=size, wait=wait)
        return LeasedIngest(self._records, inner, digest, media_type, tuple(children))

    def put(
        self,
        data: bytes,
        *,
        digest: Digest | None = None,
        media_type: str = "",
        children: Iterable[Digest] = (),
        labels: Mapping[str, str] | None = None,
    ) -> Digest:
        """Store a document, kept by the lease, and record what it names.

        Args:
            data: All of it.
            digest: Digest that it must have.
            media_type: What will be recorded that it is.
            children: What will be recorded that it names.
            labels: What is noted about it, beside the labels that it has.

        Raises:
            DigestMismatchError: It has another digest; nothing is kept.
            InvalidError: A label is none; nothing is kept.
            LimitExceededError: There are too many labels, or one is too long.
        """
        known = digest or Digest.of(data)
        ingest = self.ingest(
            known, digest=known, size=len(data), media_type=media_type, children=children
        )
        with ingest:
            if ingest.offset:
                ingest.restart()
            ingest.write(data)
            return ingest.commit(labels=labels)

    def describe(self, digest: Digest, media_type: str, children: Iterable[Digest] = ()) -> None:
        """Record what a blob is and what it names, unless that is recorded."""
        children = tuple(children)
        with self._database.read() as tx:
            found = Blobs(tx).get(digest)
            named = set(Blobs(tx).children(digest))
        if found is not None and found.media_type == media_type and named.issuperset(children):
            return
        with self._database.write() as tx:
            tx.execute("UPDATE blobs SET media_type = ? WHERE digest = ?", (media_type, digest))
            Blobs(tx).link(digest, children)

    def abort(self, reference: str) -> None:
        """Drop the ingest of this name; see `ContentStore.abort`."""
        super().abort(reference)
        with self._database.write() as tx:
            self._lease.drop_in(tx, "ingest", reference)

    def _let_go(self, tx: Transaction, digest: Digest) -> None:
        self._lease.drop_in(tx, "blob", digest)


@final
class LeasedIngest:
    """An ingest whose content is recorded once it is published; see `LabelledIngest`."""

    def __init__(
        self,
        records: _Records,
        inner: Ingest,
        held: Digest | None,
        media_type: str,
        children: tuple[Digest, ...],
    ) -> None:
        self._records = records
        self._inner = inner
        self._held = held
        self._media_type = media_type
        self._children = children

    @property
    def reference(self) -> str:
        """Name of the ingest."""
        return self._inner.reference

    @property
    def offset(self) -> int:
        """Bytes that are kept and hashed: where the next write goes on."""
        return self._inner.offset

    @property
    def digest(self) -> Digest:
        """Digest of the bytes so far."""
        return self._inner.digest

    def pieces(self) -> Iterable[bytes]:
        """What has arrived so far, in order; see `Ingest.pieces`."""
        return self._inner.pieces()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append all of `data`; see `Ingest.write`."""
        self._inner.write(data)

    def restart(self) -> None:
        """Drop what has arrived, and go on from the beginning."""
        self._inner.restart()

    def seal(self, size: int | None = None, digest: Digest | None = None) -> Digest:
        """Verify the content, make it durable, and keep its final name by the lease."""
        digest = self._inner.seal(size, digest)
        if digest != self._held:
            self._records.hold(digest)
            self._held = digest
        return digest

    def publish(self, labels: Mapping[str, str] | None = None) -> None:
        """Name sealed content by its digest and record it, with labels; the ingest ends."""
        _check(labels or {})
        size = self._inner.offset
        self._inner.publish()
        assert self._held is not None
        record = BlobRecord(
            digest=self._held,
            size=size,
            media_type=self._media_type,
            created_at_ns=0,
            labels=labels or {},
        )
        self._records.published(self.reference, record, self._children)

    def commit(
        self,
        size: int | None = None,
        digest: Digest | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Digest:
        """Seal and publish, with labels; see `LabelledIngest.commit`."""
        _check(labels or {})
        digest = self.seal(size, digest)
        self.publish(labels)
        return digest

    def abort(self) -> None:
        """Drop the content; the ingest ends."""
        self._inner.abort()

    def close(self) -> None:
        """Leave the ingest to the next writer; see `Ingest.close`."""
        self._inner.close()

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
class _Records:
    """What a content store with a lease writes into the database."""

    def __init__(self, database: Database, lease: Lease, now_ns: Callable[[], int]) -> None:
        self._database = database
        self._lease = lease
        self._now_ns = now_ns

    def hold(self, digest: Digest) -> None:
        self._lease.hold("blob", digest)

    def published(self, reference: str, record: BlobRecord, children: Iterable[Digest]) -> None:
        with self._database.write() as tx:
            self._lease.hold_in(tx, "blob", record.digest)
            self.add(tx, record, children)
            self._lease.drop_in(tx, "ingest", reference)

    def add(self, tx: Transaction, record: BlobRecord, children: Iterable[Digest] = ()) -> None:
        """Record a blob as of now; of one that is recorded the labels that are not said stay."""
        now = self._now_ns()
        Blobs(tx).put(replace(record, created_at_ns=now, labels={}))
        Blobs(tx).link(record.digest, children)
        if record.labels:
            labels = {**Labels(tx).get("blob", record.digest), **record.labels}
            Labels(tx).replace("blob", record.digest, labels)
            Blobs(tx).touch(record.digest, now)


def _check(labels: Mapping[str, str]) -> None:
    """Succeed if these labels can be kept: before there is anything to undo."""
    for key, value in check_labels(labels).items():
        check_gc_label(key, value)
