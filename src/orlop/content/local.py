"""A content store in a local directory, shared by any number of processes.

    ROOT/
      blobs/<algorithm>/<encoded>   0400; a name here means: whole, verified, durable
      ingest/<id>/                  see `orlop.content.slot`
      trash/<random>                what is being freed

Locks: an ingest's writer holds its lock; blobs need none, for they appear and vanish by a rename.
Reading needs no right to write, so a store on read-only media can be read.
"""

from __future__ import annotations

import os
import time
from io import FileIO
from typing import TYPE_CHECKING, Final, final

from orlop._sys.sync import start_writeback
from orlop.content.directory import DigestDirectory, Trash
from orlop.content.info import Info, IngestStatus, choose_infos, choose_statuses
from orlop.content.ingest import HashingIngest
from orlop.content.protocol import MAX_READ_SIZE
from orlop.content.reader_at import BlobReaderAt, FileSource
from orlop.content.slot import (
    IngestSlot,
    being_written,
    iter_slots,
    last_change,
    read_state,
    slot_name,
    slot_status,
)
from orlop.content.verify import CHUNK_SIZE, VerifyingReader, read_verified, size_mismatch
from orlop.errors import InUseError, NotFoundError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from orlop.digest import Digest

_WRITEBACK_STEP: Final = 8 << 20
_READ_ONLY: Final = 0o400


@final
class LocalContent:
    """A content store in a directory; see `ContentStore`. It keeps no labels.

    Args:
        root: The directory, on one filesystem; made when something is stored.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        root = os.path.abspath(root)
        self.trash = Trash(os.path.join(root, "trash"))
        self._blobs = DigestDirectory(os.path.join(root, "blobs"), self.trash)
        self._ingest_root = os.path.join(root, "ingest")

    def path_of(self, digest: Digest) -> str:
        """Where a blob is, or would be; it must never be written to.

        Raises:
            UnsupportedError: The digest cannot be computed, so that nothing is kept under it.
        """
        return self._blobs.path_of(digest)

    def stat(self, digest: Digest) -> Info | None:
        """What is known about a blob, or None where it is not stored."""
        try:
            found = os.stat(self._blobs.path_of(digest), follow_symlinks=False)
        except (FileNotFoundError, UnsupportedError):
            return None
        stored_ns = found.st_mtime_ns
        return Info(digest=digest, size=found.st_size, created_ns=stored_ns, updated_ns=stored_ns)

    def open(self, digest: Digest, size: int | None = None) -> VerifyingReader:
        """A verifying reader of a blob; see `ContentStore.open`."""
        file, stored = self._open_blob(digest, size)
        return VerifyingReader(file, digest, stored)

    def read(self, digest: Digest, size: int, limit: int = MAX_READ_SIZE) -> bytes:
        """The whole of a blob, verified; see `ContentStore.read`."""
        return read_verified(self.open, digest, size, limit)

    def reader_at(self, digest: Digest, size: int | None = None) -> BlobReaderAt:
        """A reader of any part of a blob; see `ContentStore.reader_at`."""
        file, stored = self._open_blob(digest, size)
        return BlobReaderAt(FileSource(file), digest, stored)

    def ingest(
        self,
        reference: str,
        *,
        digest: Digest | None = None,
        size: int | None = None,
        wait: float | bool = True,
    ) -> LocalIngest:
        """The ingest of this name; see `ContentStore.ingest`."""
        if digest is not None:
            self._blobs.path_of(digest)
        slot = IngestSlot.occupy(self._slot_path(reference), reference, wait)
        try:
            fd = slot.open(reference, digest, size)
            return LocalIngest(slot, fd, self._blobs, self.trash, reference, digest, size)
        except BaseException:
            slot.leave()
            raise

    def delete(self, digest: Digest) -> bool:
        """Move a blob to the trash in one step; whether it was there."""
        return self._blobs.delete(digest)

    def iter_digests(self) -> Iterator[Digest]:
        """Every blob there is, in the order of the digests."""
        return self._blobs.iter_digests()

    def walk(self, *filters: str) -> Iterator[Info]:
        """The blobs that any of these filters means; see `ContentStore.walk`."""
        return choose_infos(map(self.stat, self.iter_digests()), filters, time.time_ns())

    def status(self, reference: str) -> IngestStatus | None:
        """How far the ingest of this name has come, or None where there is none."""
        return slot_status(self._slot_path(reference))

    def statuses(self, *filters: str) -> Iterable[IngestStatus]:
        """The ingests that any of these filters means; see `ContentStore.statuses`."""
        found = map(slot_status, iter_slots(self._ingest_root))
        return choose_statuses(found, filters, time.time_ns())

    def abort(self, reference: str) -> None:
        """Drop the ingest of this name; see `ContentStore.abort`."""
        try:
            slot = IngestSlot.visit(self._slot_path(reference))
        except InUseError as error:
            raise being_written(reference, error) from None
        if slot is None:
            raise NotFoundError(f"there is no ingest {reference!r}")
        slot.end(self.trash)

    def prune_ingests(self, before_ns: int, keep: Collection[str] = ()) -> int:
        """Drop the ingests that rest; see `ContentStore.prune_ingests`."""
        return sum(_prune(path, before_ns, keep, self.trash) for path in self._slots())

    def empty_trash(self) -> int:
        """Free what lies in the trash; how many entries were removed."""
        return self.trash.empty()

    def _slots(self) -> list[str]:
        return sorted(iter_slots(self._ingest_root))

    def _slot_path(self, reference: str) -> str:
        return os.path.join(self._ingest_root, slot_name(reference))

    def _open_blob(self, digest: Digest, size: int | None) -> tuple[FileIO, int]:
        """A blob's file, and its size, which is the one that is required."""
        try:
            file = FileIO(self._blobs.path_of(digest), opener=_open_plain)
        except FileNotFoundError:
            raise NotFoundError(f"content {digest} is not stored") from None
        try:
            stored = os.fstat(file.fileno()).st_size
            if size is not None and stored != size:
                raise size_mismatch(digest, size, stored)
        except BaseException:
            file.close()
            raise
        return file, stored


def _open_plain(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _prune(path: str, before_ns: int, keep: Collection[str], trash: Trash) -> bool:
    try:
        slot = IngestSlot.visit(path)
    except InUseError:
        return False
    if slot is None:
        return False
    changed = last_change(path)
    if (changed and changed[1] >= before_ns) or read_state(path).get("reference") in keep:
        slot.leave()
        return False
    slot.end(trash)
    return True


@final
class LocalIngest(HashingIngest):
    """An ingest of a `LocalContent`: a locked slot and a descriptor of its data."""

    def __init__(
        self,
        slot: IngestSlot,
        fd: int,
        blobs: DigestDirectory,
        trash: Trash,
        reference: str,
        digest: Digest | None,
        size: int | None,
    ) -> None:
        self._slot = slot
        self._fd = fd
        self._blobs = blobs
        self._trash = trash
        self._written_back = 0
        try:
            super().__init__(reference, digest, size, self._stored())
        except BaseException:
            os.close(fd)
            raise

    def _append(self, data: memoryview) -> int:
        written = os.pwrite(self._fd, data, self.offset)
        behind = self.offset + written - self._written_back
        if behind >= _WRITEBACK_STEP:
            start_writeback(self._fd, self._written_back, behind)
            self._written_back += behind
        return written

    def _truncate(self) -> None:
        os.ftruncate(self._fd, 0)
        self._written_back = 0

    def _stored(self) -> Iterator[bytes]:
        position = 0
        while piece := os.pread(self._fd, CHUNK_SIZE, position):
            yield piece
            position += len(piece)

    def _sync(self) -> None:
        os.fsync(self._fd)

    def _name(self, digest: Digest) -> None:
        os.utime(self._fd)
        self._blobs.adopt(self._slot.data_path, digest)
        os.fchmod(self._fd, _READ_ONLY)

    def _keep(self) -> None:
        try:
            self._sync()
            self._slot.write_state(self.reference, self._expected, self._expected_size, self.offset)
        except OSError:
            self._discard()
            raise
        os.close(self._fd)
        self._slot.leave()

    def _discard(self) -> None:
        os.close(self._fd)
        self._slot.end(self._trash)
