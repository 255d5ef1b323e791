"""A content store in memory, for tests and for content that nobody keeps."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, final

from orlop.content.info import Info, IngestStatus, choose_infos, choose_statuses
from orlop.content.ingest import HashingIngest, encode_reference
from orlop.content.protocol import MAX_READ_SIZE
from orlop.content.reader_at import BlobReaderAt, BytesSource
from orlop.content.verify import VerifyingReader, read_verified, size_mismatch
from orlop.errors import InUseError, NotFoundError
from orlop.filters import apply_labels, check_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from orlop.digest import Digest


@final
class MemoryContent:
    """A content store whose blobs and ingests live as long as it does; see `LabelledContent`.

    Args:
        now_ns: The clock, in nanoseconds since 1970.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._blobs: dict[Digest, tuple[bytes, Info]] = {}
        self._slots: dict[str, Slot] = {}
        self._changed = threading.Condition()

    def stat(self, digest: Digest) -> Info | None:
        """What is known about a blob, or None where it is not stored."""
        found = self._blobs.get(digest)
        return None if found is None else found[1]

    def open(self, digest: Digest, size: int | None = None) -> VerifyingReader:
        """A verifying reader of a blob; see `ContentStore.open`."""
        data = self._data(digest, size)
        return VerifyingReader(io.BytesIO(data), digest, len(data))

    def read(self, digest: Digest, size: int, limit: int = MAX_READ_SIZE) -> bytes:
        """The whole of a blob, verified; see `ContentStore.read`."""
        return read_verified(self.open, digest, size, limit)

    def reader_at(self, digest: Digest, size: int | None = None) -> BlobReaderAt:
        """A reader of any part of a blob; see `ContentStore.reader_at`."""
        data = self._data(digest, size)
        return BlobReaderAt(BytesSource(data), digest, len(data))

    def ingest(
        self,
        reference: str,
        *,
        digest: Digest | None = None,
        size: int | None = None,
        wait: float | bool = True,
    ) -> MemoryIngest:
        """The ingest of this name; see `ContentStore.ingest`."""
        encode_reference(reference)
        if digest is not None:
            digest.hasher()
        slot = self._occupy(reference, wait)
        if slot.digest != digest or (size is not None and len(slot.data) > size):
            slot.data.clear()
        slot.begin(digest, size, self._now_ns())
        return MemoryIngest(slot, self)

    def update(self, digest: Digest, labels: Mapping[str, str], *fieldpaths: str) -> Info:
        """Change the labels of a blob; see `LabelledContent.update`."""
        with self._changed:
            found = self._blobs.get(digest)
            if found is None:
                raise _missing(digest)
            data, info = found
            kept = apply_labels(info.labels, labels, *fieldpaths)
            info = replace(info, labels=kept, updated_ns=self._now_ns())
            self._blobs[digest] = data, info
            return info

    def delete(self, digest: Digest) -> bool:
        """Forget a blob; whether it was there."""
        return self._blobs.pop(digest, None) is not None

    def iter_digests(self) -> Iterator[Digest]:
        """Every blob there is, in the order of the digests."""
        return iter(sorted(self._blobs))

    def walk(self, *filters: str) -> Iterator[Info]:
        """The blobs that any of these filters means; see `ContentStore.walk`."""
        return choose_infos(map(self.stat, self.iter_digests()), filters, self._now_ns())

    def status(self, reference: str) -> IngestStatus | None:
        """How far the ingest of this name has come, or None where there is none."""
        encode_reference(reference)
        with self._changed:
            slot = self._slots.get(reference)
            return None if slot is None else slot.status()

    def statuses(self, *filters: str) -> Iterable[IngestStatus]:
        """The ingests that any of these filters means; see `ContentStore.statuses`."""
        with self._changed:
            found = [slot.status() for slot in self._slots.values()]
        return choose_statuses(found, filters, self._now_ns())

    def abort(self, reference: str) -> None:
        """Drop the ingest of this name; see `ContentStore.abort`."""
        encode_reference(reference)
        with self._changed:
            slot = self._slots.get(reference)
            if slot is None:
                raise NotFoundError(f"there is no ingest {reference!r}")
            if slot.busy:
                raise InUseError(f"ingest {reference!r} is being written")
            del self._slots[reference]

    def prune_ingests(self, before_ns: int, keep: Collection[str] = ()) -> int:
        """Drop the ingests that rest; see `ContentStore.prune_ingests`."""
        with self._changed:
            resting = [
                slot.reference
                for slot in self._slots.values()
                if not slot.busy and slot.updated_ns < before_ns and slot.reference not in keep
            ]
            for reference in resting:
                del self._slots[reference]
        return len(resting)

    def empty_trash(self) -> int:
        """Nothing is left behind in memory: 0."""
        return 0

    def now_ns(self) -> int:
        """The time, by the store's clock."""
        return self._now_ns()

    def leave(self, slot: Slot) -> None:
        """Let the next writer have an ingest."""
        with self._changed:
            slot.busy = False
            self._changed.notify_all()

    def drop(self, slot: Slot) -> None:
        """Forget an ingest."""
        with self._changed:
            del self._slots[slot.reference]
            self._changed.notify_all()

    def store(self, digest: Digest, data: bytes, labels: Mapping[str, str]) -> None:
        """Keep a blob; of one that is there only the labels change."""
        now = self._now_ns()
        with self._changed:
            new = Info(digest=digest, size=len(data), created_ns=now, updated_ns=now)
            _, info = self._blobs.get(digest, (data, new))
            if labels:
                kept = check_labels({**info.labels, **labels})
                info = replace(info, labels=kept, updated_ns=now)
            self._blobs[digest] = data, info

    def _data(self, digest: Digest, size: int | None) -> bytes:
        found = self._blobs.get(digest)
        if found is None:
            raise _missing(digest)
        if size is not None and size != found[1].size:
            raise size_mismatch(digest, size, found[1].size)
        return found[0]

    def _occupy(self, reference: str, wait: float | bool) -> Slot:
        timeout = None if wait is True else float(wait)
        with self._changed:
            if not self._changed.wait_for(lambda: not self._busy(reference), timeout):
                raise InUseError(f"ingest {reference!r} is being written")
            slot = self._slots.setdefault(reference, Slot(reference))
            slot.busy = True
            return slot

    def _busy(self, reference: str) -> bool:
        slot = self._slots.get(reference)
        return slot is not None and slot.busy


def _missing(digest: Digest) -> NotFoundError:
    return NotFoundError(f"content {digest} is not stored")


class Slot:
    """The place of one ingest: its bytes, what is expected of them, whether a writer has it.

    Args:
        reference: Name of the ingest.
    """

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self.digest: Digest | None = None
        self.size: int | None = None
        self.data = bytearray()
        self.busy = False
        self.started_ns = 0
        self.updated_ns = 0

    def begin(self, digest: Digest | None, size: int | None, now_ns: int) -> None:
        """Note what a writer expects, and that an ingest without bytes begins now."""
        self.digest, self.size = digest, size
        if not self.data:
            self.started_ns = self.updated_ns = now_ns

    def status(self) -> IngestStatus:
        """How far the ingest has come."""
        return IngestStatus(
            reference=self.reference,
            digest=self.digest,
            size=self.size,
            offset=len(self.data),
            started_ns=self.started_ns,
            updated_ns=self.updated_ns,
        )


@final
class MemoryIngest(HashingIngest):
    """An ingest of a `MemoryContent`; see `LabelledIngest`."""

    def __init__(self, slot: Slot, content: MemoryContent) -> None:
        self._slot = slot
        self._content = content
        self._labels: Mapping[str, str] = {}
        super().__init__(slot.reference, slot.digest, slot.size, (bytes(slot.data),))

    def publish(self, labels: Mapping[str, str] | None = None) -> None:
        """Name sealed content by its digest, with labels; see `LabelledIngest.publish`."""
        check_labels(labels or {})
        self._labels = labels or {}
        super().publish()

    def commit(
        self,
        size: int | None = None,
        digest: Digest | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Digest:
        """Seal and publish, with labels; see `LabelledIngest.commit`."""
        check_labels(labels or {})
        digest = self.seal(size, digest)
        self.publish(labels)
        return digest

    def _append(self, data: memoryview) -> int:
        self._slot.data += data
        self._slot.updated_ns = self._content.now_ns()
        return len(data)

    def _truncate(self) -> None:
        self._slot.data.clear()

    def _stored(self) -> Iterable[bytes]:
        return (bytes(self._slot.data),)

    def _sync(self) -> None:
        """Memory is as durable as it gets."""

    def _name(self, digest: Digest) -> None:
        self._content.store(digest, bytes(self._slot.data), self._labels)

    def _keep(self) -> None:
        self._content.leave(self._slot)

    def _discard(self) -> None:
        self._content.drop(self._slot)
