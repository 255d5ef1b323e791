"""A lease to hold: what keeps work in progress, and what somebody wants to keep for a while."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, Self, final

from orlop._sys.process import boot_id
from orlop.errors import NotFoundError
from orlop.metadata.leases import PURPOSE, LeaseRecord, Leases, is_live, unreleased
from orlop.metadata.owner import Owner
from orlop.spec.members import MAX_INT64

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from orlop.metadata.database import Database, Transaction
    from orlop.metadata.leases import Kind

Until = Literal["process", "boot", "expiry"]
"""What a lease ends with, unless it is released or expires before: this process, however it ends;
this boot of the machine; or its expiry alone."""

_MAX_PURPOSE: Final = 1000
_SECOND: Final = 10**9


@final
class Lease:
    """A lease, ended when its block is left.

        with Lease(database, "copy") as lease:
            lease.hold("blob", digest)

    Args:
        database: Where it is recorded.
        purpose: What it is for.
        labels: What else is noted about it, and what tells the collector.
        id: Its name; a random one where None. One whose lease has ended is free again.
        expires: Seconds after which it ends, whatever else; None for never, as is what lies beyond
            the year 2262.
        until: What else it ends with.
        now_ns: The clock, in nanoseconds since 1970.

    Raises:
        AlreadyExistsError: There is a lease of this name.
        InvalidError: The name is none, or a label is.
        ValueError: It expires before it begins.
    """

    def __init__(
        self,
        database: Database,
        purpose: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        id: str | None = None,  # noqa: A002
        expires: float | None = None,
        until: Until = "process",
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        now = now_ns()
        # It may name any file.
        what = purpose[:_MAX_PURPOSE].encode(errors="backslashreplace").decode()
        record = LeaseRecord(
            id=os.urandom(16).hex() if id is None else id,
            owner=Owner.current() if until == "process" else None,
            boot_id=boot_id() if until == "boot" else "",
            created_at_ns=now,
            expires_at_ns=_end(now, expires),
            labels={**({PURPOSE: what} if what else {}), **(labels or {})},
        )
        with database.write() as tx:
            taken = Leases(tx).get(record.id)
            if taken is not None and not is_live(taken, now):
                Leases(tx).delete(record.id)
            over = {each for each in unreleased.copy() if Leases(tx).delete(each)}
            Leases(tx).create(record)
        unreleased.difference_update(over, (record.id,))
        self._begin(database, record, now_ns)

    @classmethod
    def resume(
        cls,
        database: Database,
        id: str,  # noqa: A002
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> Self:
        """A lease that there is already, to go on with; leaving its block ends it, too.

        Raises:
            NotFoundError: It has ended, or there never was one.
        """
        with database.read() as tx:
            record = Leases(tx).require_live(id, now_ns())
        lease = cls.__new__(cls)
        lease._begin(database, record, now_ns)  # noqa: SLF001 - of this class
        return lease

    def _begin(self, database: Database, record: LeaseRecord, now_ns: Callable[[], int]) -> None:
        self.database = database
        self.record = record
        self._now_ns = now_ns
        self._held: set[tuple[Kind, str]] = set()
        self._detached = False

    @property
    def id(self) -> str:
        """Its name."""
        return self.record.id

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        end = self.record.ends_at_ns
        return end is not None and self._now_ns() >= end

    def hold(self, kind: Kind, *keys: str) -> None:
        """Keep things that exist or will, until the lease ends.

        Raises:
            NotFoundError: The lease has ended.
        """
        self.hold_all([(kind, key) for key in keys])

    def hold_all(self, items: Iterable[tuple[Kind, str]]) -> None:
        """Keep things of several kinds; those that are kept already cost nothing.

        Raises:
            NotFoundError: The lease has ended.
        """
        fresh = {item for item in items if not self.holds(*item)}
        if fresh:
            with self.database.write() as tx:
                for kind, key in fresh:
                    self.hold_in(tx, kind, key)
            self._held |= fresh

    def holds(self, kind: Kind, key: str) -> bool:
        """Whether a thing is kept already."""
        return (kind, key) in self._held and not self.expired

    def drop(self, kind: Kind, *keys: str) -> None:
        """Keep things no longer."""
        with self.database.write() as tx:
            self.drop_in(tx, kind, *keys)

    def drop_in(self, tx: Transaction, kind: Kind, *keys: str) -> None:
        """Keep things no longer, as part of a transaction."""
        self._held -= {(kind, key) for key in keys}
        Leases(tx).drop(self.id, kind, keys)

    def hold_in(self, tx: Transaction, kind: Kind, *keys: str) -> None:
        """Keep things, as part of a transaction.

        Raises:
            NotFoundError: The lease has ended.
        """
        self.require_in(tx)
        Leases(tx).hold(self.id, kind, keys)

    def require_in(self, tx: Transaction) -> None:
        """Succeed if nobody has ended the lease, as a transaction sees it.

        Raises:
            NotFoundError: It has; what it kept may be gone.
        """
        found = Leases(tx).get(self.id)
        if found is None or not is_live(found, self._now_ns()):
            raise NotFoundError(f"lease {self.id!r} has ended", hint="begin the work anew")
        self.record = found

    def extend(self, seconds: float | None) -> None:
        """Let the lease end so long after now, or never by time.

        Its label `containerd.io/gc.expire` ends it all the same.

        Args:
            seconds: How long; None for no end.

        Raises:
            NotFoundError: It has ended already.
        """
        now = self._now_ns()
        end = _end(now, seconds)
        with self.database.write() as tx:
            record = Leases(tx).require_live(self.id, now)
            Leases(tx).extend(self.id, end)
        self.record = replace(record, expires_at_ns=end)

    def detach(self) -> None:
        """Leave the lease behind: neither this process nor the block ends it any more.

        It ends when it expires; one that does not, and was this process's, with this boot.

        Raises:
            NotFoundError: It has ended already.
        """
        with self.database.write() as tx:
            record = Leases(tx).require_live(self.id, self._now_ns())
            boot = record.boot_id
            if record.owner is not None:
                boot = boot_id() if record.ends_at_ns is None else ""
                Leases(tx).detach(self.id, boot)
        self.record = replace(record, owner=None, boot_id=boot)
        self._detached = True

    def release(self) -> None:
        """End the lease; what nothing else keeps is garbage.

        Raises:
            OSError: That cannot be written. It has ended for this process, and when that ends or
                begins another lease, for all.
        """
        self._held.clear()
        unreleased.add(self.id)
        with self.database.write() as tx:
            Leases(tx).delete(self.id)
        unreleased.discard(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._detached:
            return
        try:
            self.release()
        except OSError:
            if error is None:  # Of a full disk the block has said more.
                raise


def _end(now_ns: int, seconds: float | None) -> int | None:
    """When a lease ends that is to last so long; None for never."""
    if seconds is None or seconds * _SECOND > MAX_INT64 - now_ns:
        return None
    if seconds < 0:
        raise ValueError(f"a lease cannot end {-seconds} seconds ago")
    return now_ns + round(seconds * _SECOND)
