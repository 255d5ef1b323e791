"""Leases: what keeps work in progress from being collected.

A lease that has an owner lives as long as that process does, however long it takes, and ends with
it. One without an owner lives until it expires, or until the machine is started again. What a lease
keeps is recorded before it exists, so there is no moment at which it could be taken for garbage.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Self, final

from orlop._sys.process import boot_id, is_alive, process_start
from orlop.errors import AlreadyExistsError, NotFoundError
from orlop.metadata.gclabels import GC_EXPIRE, GC_FLAT, parse_time
from orlop.metadata.labels import Labels, decode_labels, labels_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from orlop.metadata.database import Database, Row, Transaction

Kind = Literal["blob", "form", "chain", "ingest"]
"""What a lease keeps: a blob with all that it names, a layer's forms, a stack with the forms of
its layers, or an ingest."""

PURPOSE: Final = "orlop.purpose"
"""Label that says what a lease is for."""

FOREIGN_LEASE_TIME: Final = 24 * 3600 * 10**9
"""Nanoseconds that a lease lives whose owner cannot be seen: it is in another PID namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process, told from every other that has had or will have its pid.

    Attributes:
        pid: Its pid.
        start: When it began, in clock ticks since boot.
        pid_namespace: The namespace in which it has this pid, by inode number.
        boot_id: The boot in which it runs.
    """

    pid: int
    start: int
    pid_namespace: int
    boot_id: str

    @classmethod
    def current(cls) -> Self:
        """This process."""
        pid = os.getpid()
        return cls(
            pid=pid,
            start=process_start(pid) or 0,
            pid_namespace=_pid_namespace(),
            boot_id=boot_id(),
        )

    def is_live(self, created_at_ns: int, now_ns: int, expires_at_ns: int | None = None) -> bool:
        """Whether the process is there; one in another PID namespace is believed for a while.

        Args:
            created_at_ns: When it was recorded.
            now_ns: The time now.
            expires_at_ns: Until when one that cannot be seen is believed to be there.
        """
        if self.boot_id != boot_id():
            return False
        if self.pid_namespace == _pid_namespace():
            return is_alive(self.pid, self.start)
        return now_ns < (expires_at_ns or created_at_ns + FOREIGN_LEASE_TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """A lease.

    Attributes:
        id: Its name, unique.
        owner: The process that it lives and ends with; None where nobody owns it.
        boot_id: The boot that one without an owner ends with; empty where it outlives all.
        created_at_ns: When it was made, in nanoseconds since 1970.
        expires_at_ns: When it ends at the latest; None for never.
        labels: What its user notes about it, and what tells the collector.
    """

    id: str
    owner: Owner | None
    boot_id: str = ""
    created_at_ns: int
    expires_at_ns: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def purpose(self) -> str:
        """What it is for; empty where nobody said."""
        return self.labels.get(PURPOSE, "")

    @property
    def flat(self) -> bool:
        """Whether it keeps the blobs that it lists without what they name."""
        return GC_FLAT in self.labels

    @property
    def ends_at_ns(self) -> int | None:
        """When it ends at the latest, by `expires_at_ns` or its label `containerd.io/gc.expire`."""
        ends = (self.expires_at_ns, parse_time(self.labels.get(GC_EXPIRE, "")))
        return min((end for end in ends if end is not None), default=None)


def is_live(record: LeaseRecord, now_ns: int) -> bool:
    """Whether a lease keeps what it lists."""
    end = record.ends_at_ns
    if end is not None and now_ns >= end:
        return False
    if record.owner is None:
        return record.boot_id in ("", boot_id())
    return record.owner.is_live(record.created_at_ns, now_ns, end)


@final
class Leases:
    """The leases, as one transaction sees them.

    Args:
        tx: The transaction.
    """

    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, id: str) -> LeaseRecord | None:  # noqa: A002
        """The lease of this name, or None."""
        row = self._tx.row(f"{_SELECT} WHERE id = ?", (id,))
        return None if row is None else _record(row)

    def list(self) -> Iterator[LeaseRecord]:
        """All leases, oldest first."""
        return map(_record, self._tx.rows(f"{_SELECT} ORDER BY created_at_ns, id"))

    def create(self, record: LeaseRecord) -> None:
        """Begin a lease.

        Raises:
            AlreadyExistsError: There is one of this name.
            InvalidError: A label is none, or one for the collector that it could not obey.
        """
        if self.get(record.id) is not None:
            raise AlreadyExistsError(f"lease {record.id!r} exists already")
        owner = record.owner or NOBODY
        values = (
            record.id,
            owner.pid,
            owner.start,
            owner.pid_namespace,
            owner.boot_id or record.boot_id,
            record.created_at_ns,
            record.expires_at_ns,
        )
        self._tx.execute(f"INSERT INTO leases ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)", values)  # noqa: S608
        Labels(self._tx).replace("lease", record.id, record.labels)

    def extend(self, id: str, expires_at_ns: int | None) -> bool:  # noqa: A002
        """Let a lease end at another time; whether there is one."""
        sql = "UPDATE leases SET expires_at_ns = ? WHERE id = ?"
        return self._tx.execute(sql, (expires_at_ns, id)) > 0

    def hold(self, id: str, kind: Kind, keys: Iterable[str]) -> None:  # noqa: A002
        """Keep things that exist or will.

        Raises:
            NotFoundError: The lease has ended.
        """
        if self._tx.row("SELECT 1 FROM leases WHERE id = ?", (id,)) is None:
            raise NotFoundError(f"lease {id!r} has ended", hint="begin the work anew")
        self._tx.execute_many(
            "INSERT INTO lease_items (lease, kind, key) VALUES (?,?,?) ON CONFLICT DO NOTHING",
            ((id, kind, key) for key in keys),
        )

    def drop(self, id: str, kind: Kind, keys: Iterable[str]) -> None:  # noqa: A002
        """Keep things no longer."""
        self._tx.execute_many(
            "DELETE FROM lease_items WHERE lease = ? AND kind = ? AND key = ?",
            ((id, kind, key) for key in keys),
        )

    def items(self, id: str | None = None) -> Iterator[tuple[Kind, str]]:  # noqa: A002
        """What a lease keeps, or what all of them do: kind and key."""
        where, values = ("", ()) if id is None else ("WHERE lease = ?", (id,))
        sql = f"SELECT kind, key FROM lease_items {where} ORDER BY kind, key"  # noqa: S608
        return iter([(row[0], row[1]) for row in self._tx.rows(sql, values)])

    def delete(self, id: str) -> bool:  # noqa: A002
        """End a lease; whether there was one."""
        return self._tx.execute("DELETE FROM leases WHERE id = ?", (id,)) > 0


@final
class Lease:
    """A lease of this process, ended when its block is left.

    Args:
        database: Where it is recorded.
        purpose: What it is for.
        now_ns: The clock, in nanoseconds since 1970.
    """

    def __init__(
        self, database: Database, purpose: str = "", *, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.database = database
        self.record = LeaseRecord(
            id=os.urandom(16).hex(),
            owner=Owner.current(),
            created_at_ns=now_ns(),
            labels={PURPOSE: purpose.encode(errors="backslashreplace").decode()},
        )
        self._held: set[tuple[Kind, str]] = set()
        with database.write() as tx:
            Leases(tx).create(self.record)

    @property
    def id(self) -> str:
        """Its name."""
        return self.record.id

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
        fresh = set(items) - self._held
        if fresh:
            with self.database.write() as tx:
                for kind, key in fresh:
                    self.hold_in(tx, kind, key)
            self._held |= fresh

    def holds(self, kind: Kind, key: str) -> bool:
        """Whether a thing is kept already."""
        return (kind, key) in self._held

    def drop_in(self, tx: Transaction, kind: Kind, *keys: str) -> None:
        """Keep things no longer, as part of a transaction."""
        self._held -= {(kind, key) for key in keys}
        Leases(tx).drop(self.id, kind, keys)

    def hold_in(self, tx: Transaction, kind: Kind, *keys: str) -> None:
        """Keep things, as part of a transaction."""
        Leases(tx).hold(self.id, kind, keys)

    def release(self) -> None:
        """End the lease; what nothing else keeps is garbage."""
        self._held.clear()
        with self.database.write() as tx:
            Leases(tx).delete(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


NOBODY: Final = Owner(pid=0, start=0, pid_namespace=0, boot_id="")
_COLUMNS: Final = "id, pid, pid_start, pid_namespace, boot_id, created_at_ns, expires_at_ns"
_SELECT: Final = f"SELECT {_COLUMNS}, {labels_column('lease', 'id')} FROM leases"  # noqa: S608


def _record(row: Row) -> LeaseRecord:
    owner = Owner(pid=row[1], start=row[2], pid_namespace=row[3], boot_id=row[4])
    return LeaseRecord(
        id=row[0],
        owner=owner if owner.pid else None,
        boot_id="" if owner.pid else row[4],
        created_at_ns=row[5],
        expires_at_ns=row[6],
        labels=decode_labels(row[7]),
    )


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
