"""Mounts of stacks that a process keeps for its next container.

The mount of an image costs more than that of a container on it. Who makes one container after the
other has it made once: the last few are held until the store is closed, or collects, or the process
ends.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from orlop.errors import OrlopError
from orlop.storage.mounts import LOCK_TIMEOUT

if TYPE_CHECKING:
    from orlop.metadata import MountRecord
    from orlop.storage.mounts import MountTable

MAX_HELD: Final = 4
"""Mounts of stacks that a store holds while nobody needs them."""

_AT_EXIT: Final = 1.0
"""Seconds that the end of a process waits for others; what it leaves goes with a collection."""
_open: Final = weakref.WeakSet["StackHolds"]()


class StackHolds:
    """The mounts that this store's object holds; safe for threads. A forked child holds nothing.

    Args:
        mounts: What mounts stacks.
    """

    def __init__(self, mounts: MountTable) -> None:
        self._mounts = mounts
        self._begin()
        _open.add(self)

    def _begin(self) -> None:
        self._held: OrderedDict[str, tuple[MountRecord, str]] = OrderedDict()
        self._lock = threading.Lock()
        self._process = os.getpid()

    def has(self, record: MountRecord) -> bool:
        """Whether a mount is held."""
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            return record.id in self._held

    def keep(self, record: MountRecord, holder: str) -> bool:
        """Hold a mount from now on, if it is not held already; whether the hold was taken over.

        Args:
            record: The mount.
            holder: A hold on it, which belongs to this object from now on if that is so.
        """
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            if record.id in self._held:
                self._held.move_to_end(record.id)
                return False
            self._held[record.id] = record, holder
            evicted = self._held.popitem(last=False) if len(self._held) > MAX_HELD else None
        if evicted is not None:
            self._release(*evicted[1])
        return True

    def release(self, *, timeout: float = LOCK_TIMEOUT) -> None:
        """Hold nothing any more; what nobody needs is unmounted.

        Args:
            timeout: Seconds to wait for others who mount or unmount there.
        """
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            held = [*self._held.values()]
            self._held.clear()
        for record, holder in held:
            self._release(record, holder, timeout)

    def _release(self, record: MountRecord, holder: str, timeout: float = LOCK_TIMEOUT) -> None:
        # Of a mount that is in use the hold is dropped all the same with this process.
        with suppress(OrlopError, OSError):
            self._mounts.release(record, holder, timeout=timeout)


@atexit.register
def _release_all() -> None:
    """Release what stores hold that nobody has closed."""
    for each in list(_open):
        each.release(timeout=_AT_EXIT)
