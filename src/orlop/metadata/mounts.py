"""Mounts that orlop has made, and what they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from orlop.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.metadata.database import Row, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class MountRecord:
    """A mount: it keeps what it stands on for as long as its boot lasts.

    Attributes:
        id: Its name, unique.
        chain_id: The stack of layers that is mounted.
        image_name: The name of the image that was mounted.
        image_id: Its ID.
        target: The mount point, absolute.
        driver: What mounted it.
        boot_id: The boot in which it exists.
        mount_namespace: The mount namespace in which it exists, by inode number.
        mount_id: The kernel's unique ID of the mount; 0 where the kernel has none.
        count: How many users it has.
        owner_pid: The process that made it.
        created_at_ns: When it was made, in nanoseconds since 1970.
    """

    id: str
    chain_id: Digest | None = None
    image_name: str | None = None
    image_id: Digest | None = None
    target: str
    driver: str
    boot_id: str
    mount_namespace: int
    mount_id: int = 0
    count: int = 1
    owner_pid: int
    created_at_ns: int


_COLUMNS: Final = (
    "id, chain_id, image_name, image_id, target, driver, boot_id, mount_namespace,"
    " mount_id, count, owner_pid, created_at_ns"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM mounts"  # noqa: S608


@final
class Mounts:
    """The mounts, as one transaction sees them.

    Args:
        tx: The transaction.
    """

    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, id: str) -> MountRecord | None:  # noqa: A002
        """The mount of this name, or None."""
        row = self._tx.row(f"{_SELECT} WHERE id = ?", (id,))
        return None if row is None else _record(row)

    def at(self, target: str, boot_id: str, mount_namespace: int) -> MountRecord | None:
        """The mount at a place, or None."""
        row = self._tx.row(
            f"{_SELECT} WHERE target = ? AND boot_id = ? AND mount_namespace = ?",
            (target, boot_id, mount_namespace),
        )
        return None if row is None else _record(row)

    def list(self) -> Iterator[MountRecord]:
        """All mounts, in the order of their names."""
        return map(_record, self._tx.rows(f"{_SELECT} ORDER BY id"))

    def put(self, record: MountRecord) -> None:
        """Record a mount, in place of the one of its name.

        Raises:
            AlreadyExistsError: Another one is recorded at its target.
        """
        self._tx.execute("DELETE FROM mounts WHERE id = ?", (record.id,))
        self._tx.execute(
            f"INSERT INTO mounts ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
            (
                record.id,
                record.chain_id,
                record.image_name,
                record.image_id,
                record.target,
                record.driver,
                record.boot_id,
                record.mount_namespace,
                record.mount_id,
                record.count,
                record.owner_pid,
                record.created_at_ns,
            ),
        )

    def delete(self, id: str) -> bool:  # noqa: A002
        """Forget a mount; whether it was there."""
        return self._tx.execute("DELETE FROM mounts WHERE id = ?", (id,)) > 0


def _record(row: Row) -> MountRecord:
    return MountRecord(
        id=row[0],
        chain_id=None if row[1] is None else Digest(row[1]),
        image_name=row[2],
        image_id=None if row[3] is None else Digest(row[3]),
        target=row[4],
        driver=row[5],
        boot_id=row[6],
        mount_namespace=row[7],
        mount_id=row[8],
        count=row[9],
        owner_pid=row[10],
        created_at_ns=row[11],
    )
