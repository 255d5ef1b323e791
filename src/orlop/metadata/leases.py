"""Leases: what keeps work in progress from being collected.

A lease that has an owner lives as long as that process does, however long it takes, and ends with
it. One without an owner lives until it expires, or until the machine is started again. What a lease
keeps is recorded before it exists, so there is no moment at which it could be taken for garbage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, final

from orlop._sys.process import boot_id
from orlop.errors import AlreadyExistsError, InvalidError, NotFoundError
from orlop.metadata.gclabels import GC_EXPIRE, GC_FLAT
from orlop.metadata.labels import Labels, decode_labels, labels_column
from orlop.metadata.owner import NOBODY, Owner
from orlop.timestamp import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orlop.metadata.database import Row, Transaction

Kind = Literal["blob", "form", "chain", "ingest"]
"""What a lease keeps: a blob with all that it names, a layer's forms, a stack with the forms of
its layers, or an ingest."""

MAX_LEASE_ID: Final = 76
"""Characters of a lease's name."""

_ID: Final = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")

PURPOSE: Final = "orlop.purpose"
"""Label that says what a lease is for."""


unreleased: Final = set[str]()
"""Leases of this process that have ended, though they are recorded: the disk was full."""


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
        ends = (self.expires_at_ns, parse_timestamp(self.labels.get(GC_EXPIRE, "")))
        return min((end for end in ends if end is not None), default=None)


def is_live(record: LeaseRecord, now_ns: int) -> bool:
    """Whether a lease keeps what it lists."""
    end = record.ends_at_ns
    if (end is not None and now_ns >= end) or record.id in unreleased:
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
            InvalidError: The name is not made of letters and digits, with single points, dashes
                and underscores between them; or a label is none, or one for the collector that
                it could not obey.
        """
        if len(record.id) > MAX_LEASE_ID or _ID.fullmatch(record.id) is None:
            raise InvalidError(
                f"{record.id[:100]!r} is no name for a lease",
                hint=f"use up to {MAX_LEASE_ID} letters, digits, and `.-_` between them",
            )
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

    def detach(self, id: str, boot_id: str) -> bool:  # noqa: A002
        """Let a lease have no owner, and end with a boot, or with none; whether there is one."""
        sql = (
            "UPDATE leases SET pid = 0, pid_start = 0, pid_namespace = 0, boot_id = ? WHERE id = ?"
        )
        return self._tx.execute(sql, (boot_id, id)) > 0

    def extend(self, id: str, expires_at_ns: int | None) -> bool:  # noqa: A002
        """Let a lease end at another time; whether there is one."""
        sql = "UPDATE leases SET expires_at_ns = ? WHERE id = ?"
        return self._tx.execute(sql, (expires_at_ns, id)) > 0

    def require_live(self, id: str, now_ns: int) -> LeaseRecord:  # noqa: A002
        """The lease of this name, if it has not ended.

        Raises:
            NotFoundError: It has, or there never was one.
        """
        record = self.get(id)
        if record is None:
            raise NotFoundError(f"there is no lease {id!r}", hint="it has ended, or never begun")
        if not is_live(record, now_ns):
            raise NotFoundError(f"lease {id!r} has ended", hint="begin the work anew")
        return record

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
