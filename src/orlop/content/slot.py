"""The directory of one ingest, and who may write in it.

    ingest/<sha256 of the reference>/
      lock      held by the writer; nothing in here is touched without it
      state     JSON: reference, digest, size, started_ns, boot_id, durable
      data      what has arrived

A slot ends by being renamed to the trash, lock and all. Whoever waits for the lock then finds that
it is not the one that the path names any more, and begins anew.

After a crash of the writer all of `data` is kept, for the page cache outlives it; after a crash of
the machine (another boot id) only the first `durable` bytes are. Either way they are hashed again
before anything is added to them.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Self, final

from orlop._sys.lock import FileLock
from orlop._sys.process import boot_id
from orlop.content.directory import ensure_directory
from orlop.content.info import IngestStatus
from orlop.content.ingest import encode_reference
from orlop.digest import Digest
from orlop.errors import InUseError, InvalidDigestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.content.directory import Trash

_MAX_STATE_SIZE: Final = 1 << 20


@final
class IngestSlot:
    """The directory of one ingest, locked by its writer.

    Args:
        path: The directory.
        lock: Its lock, held.
    """

    def __init__(self, path: str, lock: FileLock) -> None:
        self.path = path
        self.data_path = os.path.join(path, "data")
        self._lock = lock
        self._started_ns = 0

    @classmethod
    def occupy(cls, path: str, reference: str, wait: float | bool) -> Self:
        """The slot, made when missing and locked for the caller.

        Raises:
            InUseError: Another writer has it and the wait is over.
            OSError: It cannot be made.
        """
        lock = _lock(path, None if wait is True else float(wait))
        while not lock.held:
            ensure_directory(path)
            try:
                lock.acquire()
            except FileNotFoundError:
                continue  # The last writer ended, and its directory went.
            except InUseError as error:
                raise being_written(reference, error) from None
        return cls(path, lock)

    @classmethod
    def visit(cls, path: str) -> Self | None:
        """The slot, locked for the caller; None where it is missing.

        Raises:
            InUseError: A writer has it.
        """
        lock = _lock(path, 0)
        try:
            lock.acquire()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cls(path, lock)

    def open(self, reference: str, digest: Digest | None, size: int | None) -> int:
        """A descriptor of `data`, cut down to what the next writer may go on from."""
        state = read_state(self.path)
        fd = os.open(self.data_path, _DATA_FLAGS, 0o600)
        try:
            stored = os.fstat(fd).st_size
            kept = _resumable(state, digest, stored)
            if size is not None and kept > size:
                kept = 0
            if kept < stored:
                os.ftruncate(fd, kept)
            # By the clock of the filesystem, as all later times.
            began = os.fstat(fd).st_mtime_ns
            self._started_ns = _number(state, "started_ns") if kept else began
            durable = min(kept, _number(state, "durable"))
            self.write_state(reference, digest, size, durable)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def write_state(
        self, reference: str, digest: Digest | None, size: int | None, durable: int
    ) -> None:
        """Record what is expected, and how many bytes would outlive the machine."""
        state = {
            "reference": reference,
            "digest": digest,
            "size": size,
            "started_ns": self._started_ns,
            "boot_id": boot_id(),
            "durable": durable,
        }
        path = os.path.join(self.path, "state")
        temporary = path + ".new"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(state, file)
        os.rename(temporary, path)

    def leave(self) -> None:
        """Let the next writer in."""
        self._lock.release()

    def end(self, trash: Trash) -> None:
        """Drop the slot and all that is in it."""
        try:
            place = trash.put(self.path)
        finally:
            self._lock.release()
        if place is not None:
            trash.remove(place)


_DATA_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def being_written(reference: str, error: InUseError) -> InUseError:
    """The error for an ingest whose lock somebody has, as the error of the lock says."""
    return InUseError(f"ingest {reference!r} is being written: {error}", hint=error.hint)


def slot_name(reference: str) -> str:
    """The name of the directory of an ingest.

    Raises:
        ValueError: The reference is empty, or no text that UTF-8 can say.
    """
    return sha256(encode_reference(reference), usedforsecurity=False).hexdigest()


def read_state(path: str) -> dict[str, object]:
    """What a slot's `state` says; nothing where it is missing or broken."""
    try:
        with open(os.path.join(path, "state"), "rb") as file:
            state = json.loads(file.read(_MAX_STATE_SIZE))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def slot_status(path: str) -> IngestStatus | None:
    """How far the ingest in a directory has come; None where no writer has begun it."""
    state = read_state(path)
    reference = state.get("reference")
    data = last_change(path)
    if not isinstance(reference, str) or data is None:
        return None
    return IngestStatus(
        reference=reference,
        digest=_digest(state),
        size=_number(state, "size") if state.get("size") is not None else None,
        offset=data[0],
        started_ns=min(_number(state, "started_ns") or data[1], data[1]),
        updated_ns=data[1],
    )


def last_change(path: str) -> tuple[int, int] | None:
    """Size of a slot's data in bytes, and when the slot changed last; None where it is gone."""
    for name in ("data", ""):
        try:
            found = os.stat(os.path.join(path, name), follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            continue
        return found.st_size if name else 0, found.st_mtime_ns
    return None


def iter_slots(path: str) -> Iterator[str]:
    """The directories of all ingests."""
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return
    for name in names:
        yield os.path.join(path, name)


def _lock(path: str, timeout: float | None) -> FileLock:
    return FileLock(os.path.join(path, "lock"), timeout=timeout)


def _resumable(state: dict[str, object], digest: Digest | None, stored: int) -> int:
    if not state or _digest(state) != digest:
        return 0
    if state.get("boot_id") == boot_id():
        return stored
    return min(stored, _number(state, "durable"))


def _digest(state: dict[str, object]) -> Digest | None:
    text = state.get("digest")
    try:
        return Digest(text) if isinstance(text, str) else None
    except InvalidDigestError:
        return None


def _number(state: dict[str, object], name: str) -> int:
    value = state.get(name)
    return value if isinstance(value, int) and value > 0 else 0
