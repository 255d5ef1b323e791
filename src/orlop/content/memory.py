"""A content store in memory, for tests and for content that nobody keeps."""

from __future__ import annotations

import io
import threading
import time
from typing import TYPE_CHECKING, final

from orlop.content.ingest import HashingIngest, encode_reference
from orlop.content.protocol import MAX_READ_SIZE, Info, IngestStatus
from orlop.content.verify import VerifyingReader, read_verified, size_mismatch
from orlop.errors import InUseError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from orlop.digest import Digest


@final
class MemoryContent:
    """A content store whose blobs and ingests live as long as it does; see `ContentStore`.

    Args:
        now_ns: The clock, in nanoseconds since 1970.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._blobs: dict[Digest, tuple[bytes, Info]] = {}
        self._slots: dict[str, _Slot] = {}
        self._changed = threading.Condition()

    def stat(self, digest: Digest) -> Info | None:
        """What is known about a blob, or None where it is not stored."""
        found = self._blobs.get(digest)
        return None if found is None else found[1]

    def open(self, digest: Digest, size: int | None = None) -> VerifyingReader:
        """A verifying reader of a blob; see `ContentStore.open`."""
        found = self._blobs.get(digest)
        if found is None:
            raise NotFoundError(f"content {digest} is not stored")
        data, info = found
        if size is not None and size != info.size:
            raise size_mismatch(digest, size, info.size)
        return VerifyingReader(io.BytesIO(data), digest, info.size)

    def read(self, digest: Digest, size: int, limit: int = MAX_READ_SIZE) -> bytes:
        """The whole of a blob, verified; see `ContentStore.read`."""
        return read_verified(self.open, digest, size, limit)

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
        slot.digest, slot.size = digest, size
        return MemoryIngest(slot, self._store, self._leave, self._drop)

    def delete(self, digest: Digest) -> bool:
        """Forget a blob; whether it was there."""
        return self._blobs.pop(digest, None) is not None

    def iter_digests(self) -> Iterator[Digest]:
        """Every blob there is, in the order of the digests."""
        return iter(sorted(self._blobs))

    def statuses(self) -> Iterable[IngestStatus]:
        """Every ingest there is, in the order of the references."""
        with self._changed:
            return [self._slots[reference].status() for reference in sorted(self._slots)]

    def abort(self, reference: str) -> None:
        """Drop the ingest of this name; see `ContentStore.abort`."""
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

    def _occupy(self, reference: str, wait: float | bool) -> _Slot:
        timeout = None if wait is True else float(wait)
        with self._changed:
            if not self._changed.wait_for(lambda: not self._busy(reference), timeout):
                raise InUseError(f"ingest {reference!r} is being written")
            slot = self._slots.setdefault(reference, _Slot(reference, self._now_ns()))
            slot.busy = True
            return slot

    def _busy(self, reference: str) -> bool:
        slot = self._slots.get(reference)
        return slot is not None and slot.busy

    def _leave(self, slot: _Slot) -> None:
        with self._changed:
            slot.busy = False
            slot.updated_ns = self._now_ns()
            self._changed.notify_all()

    def _drop(self, slot: _Slot) -> None:
        with self._changed:
            del self._slots[slot.reference]
            self._changed.notify_all()

    def _store(self, digest: Digest, data: bytes) -> None:
        info = Info(digest=digest, size=len(data), created_ns=self._now_ns())
        self._blobs.setdefault(digest, (data, info))


class _Slot:
    """The place of one ingest: its bytes, what is expected of them, whether a writer has it."""

    __slots__ = ("busy", "data", "digest", "reference", "size", "updated_ns")

    def __init__(self, reference: str, now_ns: int) -> None:
        self.reference = reference
        self.digest: Digest | None = None
        self.size: int | None = None
        self.data = bytearray()
        self.busy = False
        self.updated_ns = now_ns

    def status(self) -> IngestStatus:
        return IngestStatus(
            reference=self.reference,
            digest=self.digest,
            size=self.size,
            offset=len(self.data),
            updated_ns=self.updated_ns,
        )


@final
class MemoryIngest(HashingIngest):
    """An ingest of a `MemoryContent`."""

    def __init__(
        self,
        slot: _Slot,
        store: Callable[[Digest, bytes], None],
        leave: Callable[[_Slot], None],
        drop: Callable[[_Slot], None],
    ) -> None:
        self._slot = slot
        self._store = store
        self._leave = leave
        self._drop = drop
        super().__init__(slot.reference, slot.digest, slot.size, (bytes(slot.data),))

    def _append(self, data: memoryview) -> int:
        self._slot.data += data
        return len(data)

    def _truncate(self) -> None:
        self._slot.data.clear()

    def _stored(self) -> Iterable[bytes]:
        return (bytes(self._slot.data),)

    def _sync(self) -> None:
        """Memory is as durable as it gets."""

    def _name(self, digest: Digest) -> None:
        self._store(digest, bytes(self._slot.data))

    def _keep(self) -> None:
        self._leave(self._slot)

    def _discard(self) -> None:
        self._drop(self._slot)
