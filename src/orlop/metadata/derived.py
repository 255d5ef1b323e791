"""What is derived: the forms of single layers, and what is made of whole stacks of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from orlop.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.metadata.database import Row, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedRecord:
    """Something derived from a layer or a stack, which can always be built again.

    Attributes:
        source: The layer's diffID, or the stack's chainID.
        kind: What it is: `tar`, `changeset`, `diff`, `index`, `rootfs`…
        size: Its length in bytes; of a directory what its files hold.
        digest: Digest of the file, where it was computed.
        boot_id: The boot in which it was written.
        durable: Whether it is known to be on the disk; otherwise another boot verifies it first.
        writer_version: Version of the code that wrote it.
    """

    source: Digest
    kind: str
    size: int
    digest: Digest | None = None
    boot_id: str
    durable: bool = False
    writer_version: int = 1


@final
class _Table:
    """The statements of one of the two tables, which differ by names alone."""

    def __init__(self, table: str, key: str) -> None:
        columns = f"{key}, kind, size, digest, boot_id, durable, writer_version"
        select = f"SELECT {columns} FROM {table}"  # noqa: S608 - names from this module
        self.get = f"{select} WHERE {key} = ? AND kind = ?"
        self.list_of = f"{select} WHERE {key} = ? ORDER BY kind"
        self.list = f"{select} ORDER BY {key}, kind"
        self.put = f"INSERT OR REPLACE INTO {table} ({columns}) VALUES (?,?,?,?,?,?,?)"  # noqa: S608
        self.delete = f"DELETE FROM {table} WHERE {key} = ? AND kind = ?"  # noqa: S608
        self.delete_all = f"DELETE FROM {table} WHERE {key} = ?"  # noqa: S608
        self.unmarked = f"{select} WHERE durable = 0 AND boot_id = ? ORDER BY {key}, kind"
        self.durable = (
            f"UPDATE {table} SET durable = 1 WHERE {key} = ? AND kind = ? AND boot_id = ?"  # noqa: S608
        )


_FORMS: Final = _Table("forms", "diff_id")
_CHAINS: Final = _Table("chains", "chain_id")


class _Derived:
    """The records of one of the tables, as one transaction sees them."""

    __slots__ = ("_tx",)
    _sql: _Table

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, source: Digest, kind: str) -> DerivedRecord | None:
        """What of this kind was derived from `source`, or None."""
        row = self._tx.row(self._sql.get, (source, kind))
        return None if row is None else _record(row)

    def list(self, source: Digest | None = None) -> Iterator[DerivedRecord]:
        """All that was derived from `source`, or from anything."""
        if source is None:
            return map(_record, self._tx.rows(self._sql.list))
        return map(_record, self._tx.rows(self._sql.list_of, (source,)))

    def put(self, record: DerivedRecord) -> None:
        """Record something derived, in place of the one of its kind."""
        values = (
            record.source,
            record.kind,
            record.size,
            record.digest,
            record.boot_id,
            int(record.durable),
            record.writer_version,
        )
        self._tx.execute(self._sql.put, values)

    def unmarked(self, boot_id: str) -> Iterator[DerivedRecord]:
        """All that a boot wrote, and that is not known to be on the disk."""
        return map(_record, self._tx.rows(self._sql.unmarked, (boot_id,)))

    def mark_durable(self, source: Digest, kind: str, boot_id: str) -> bool:
        """Record that it is on the disk; nothing happens if another boot wrote it since."""
        return self._tx.execute(self._sql.durable, (source, kind, boot_id)) > 0

    def delete(self, source: Digest, kind: str | None = None) -> bool:
        """Forget one kind, or all that was derived from `source`; whether there was any."""
        if kind is None:
            return self._tx.execute(self._sql.delete_all, (source,)) > 0
        return self._tx.execute(self._sql.delete, (source, kind)) > 0


@final
class Forms(_Derived):
    """What is derived from single layers, by diffID.

    Args:
        tx: The transaction.
    """

    __slots__ = ()
    _sql = _FORMS


@final
class Chains(_Derived):
    """What is derived from stacks of layers, by chainID; and the layers of each stack.

    Args:
        tx: The transaction.
    """

    __slots__ = ()
    _sql = _CHAINS

    def put_layers(self, chain_id: Digest, diff_ids: Sequence[Digest]) -> None:
        """Record the layers of a stack, lowest first: their forms are kept as long as it is."""
        self._tx.execute_many(
            "INSERT INTO chain_layers (chain_id, ordinal, diff_id) VALUES (?,?,?)"
            " ON CONFLICT DO NOTHING",
            ((chain_id, ordinal, diff_id) for ordinal, diff_id in enumerate(diff_ids)),
        )

    def layers(self, chain_id: Digest) -> tuple[Digest, ...]:
        """The layers of a stack, lowest first; none where it is not known."""
        sql = "SELECT diff_id FROM chain_layers WHERE chain_id = ? ORDER BY ordinal"
        return tuple(Digest(row[0]) for row in self._tx.rows(sql, (chain_id,)))

    def delete_layers(self, chain_id: Digest) -> bool:
        """Forget the layers of a stack; whether they were known."""
        sql = "DELETE FROM chain_layers WHERE chain_id = ?"
        return self._tx.execute(sql, (chain_id,)) > 0


def _record(row: Row) -> DerivedRecord:
    return DerivedRecord(
        source=Digest(row[0]),
        kind=row[1],
        size=row[2],
        digest=None if row[3] is None else Digest(row[3]),
        boot_id=row[4],
        durable=bool(row[5]),
        writer_version=row[6],
    )
