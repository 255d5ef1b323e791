"""Mounts that orlop has made, what they stand on, and who holds them.

A mount is there as long as anybody holds it. A holder is a process, and ends with it; or it is
nobody in particular (what a person mounted by the command), and ends when it is released.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from orlop.digest import Digest
from orlop.metadata.owner import NOBODY, Owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.metadata.database import Row, Transaction
    from orlop.metadata.images import ImageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class MountRecord:
    """A mount: it keeps what it stands on for as long as its boot lasts.

    Attributes:
        id: Its name, unique.
        chain_id: The stack of layers that is mounted, where it is nothing but a stack.
        image_name: The name of the image that was mounted.
        image_id: Its ID.
        target: The mount point, absolute.
        driver: What mounted it.
        boot_id: The boot in which it exists.
        mount_namespace: The mount namespace in which it exists, by inode number.
        mount_id: The kernel's unique ID of the mount; 0 where the kernel has none.
        created_at_ns: When it was made, in nanoseconds since 1970.
        layer: The layer that is mounted, where it is one with a directory of its own.
        below: The mount that this one stands on, and keeps, if any.
        writable: Whether it takes writes.
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
    created_at_ns: int
    layer: str | None = None
    below: str | None = None
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MountHolder:
    """Somebody who needs a mount.

    Attributes:
        id: Its name, unique.
        mount: The mount.
        owner: The process that it ends with; None where it ends only by release.
        created_at_ns: Since when, in nanoseconds since 1970.
    """

    id: str
    mount: str
    owner: Owner | None
    created_at_ns: int

    def is_live(self, now_ns: int) -> bool:
        """Whether the holder still counts."""
        return self.owner is None or self.owner.is_live(self.created_at_ns, now_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class MountSubject:
    """What is mounted.

    Attributes:
        chain_id: The stack of layers.
        image_name: What the image is called, for whoever lists mounts; None where it is no image.
        image_id: Its ID.
    """

    chain_id: Digest
    image_name: str | None = None
    image_id: Digest | None = None

    @classmethod
    def of(cls, image: ImageRow) -> MountSubject:
        """An image that has been unpacked."""
        assert image.chain_id is not None
        return cls(chain_id=image.chain_id, image_name=image.name, image_id=image.image_id)


_COLUMNS: Final = (
    "id, chain_id, image_name, image_id, target, driver, boot_id, mount_namespace,"
    " mount_id, created_at_ns, layer, below, writable"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM mounts"  # noqa: S608
_HOLDER_COLUMNS: Final = "id, mount, pid, pid_start, pid_namespace, boot_id, created_at_ns"


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

    def of_chain(self, chain_id: Digest, boot_id: str) -> Iterator[MountRecord]:
        """The mounts of a stack in a boot, in the order of their names."""
        sql = f"{_SELECT} WHERE chain_id = ? AND boot_id = ? ORDER BY id"
        return map(_record, self._tx.rows(sql, (chain_id, boot_id)))

    def of_layer(self, layer: str, boot_id: str) -> Iterator[MountRecord]:
        """The mounts of a layer in a boot, the first one first."""
        sql = f"{_SELECT} WHERE layer = ? AND boot_id = ? ORDER BY created_at_ns, id"
        return map(_record, self._tx.rows(sql, (layer, boot_id)))

    def of_layers(self) -> Iterator[MountRecord]:
        """The mounts of all layers, in the order of their names."""
        return map(_record, self._tx.rows(f"{_SELECT} WHERE layer IS NOT NULL ORDER BY id"))

    def is_below(self, id: str) -> bool:  # noqa: A002
        """Whether another mount stands on one."""
        return self._tx.row("SELECT 1 FROM mounts WHERE below = ? LIMIT 1", (id,)) is not None

    def put(self, record: MountRecord) -> None:
        """Record a mount, in place of the one of its name.

        Raises:
            AlreadyExistsError: Another one is recorded at its target.
        """
        self._tx.execute("DELETE FROM mounts WHERE id = ?", (record.id,))
        self._tx.execute(
            f"INSERT INTO mounts ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
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
                record.created_at_ns,
                record.layer,
                record.below,
                int(record.writable),
            ),
        )

    def hold(self, holder: MountHolder) -> None:
        """Record a holder of a mount that is recorded."""
        owner = holder.owner or NOBODY
        self._tx.execute(
            f"INSERT INTO mount_holders ({_HOLDER_COLUMNS}) VALUES (?,?,?,?,?,?,?)",  # noqa: S608
            (
                holder.id,
                holder.mount,
                owner.pid,
                owner.start,
                owner.pid_namespace,
                owner.boot_id,
                holder.created_at_ns,
            ),
        )

    def holders(self, id: str) -> tuple[MountHolder, ...]:  # noqa: A002
        """Who holds a mount, the first one first."""
        sql = f"SELECT {_HOLDER_COLUMNS} FROM mount_holders WHERE mount = ? ORDER BY created_at_ns, id"  # noqa: E501, S608
        return tuple(map(_holder, self._tx.rows(sql, (id,))))

    def release(self, holder_id: str) -> bool:
        """Forget a holder; whether it was there."""
        return self._tx.execute("DELETE FROM mount_holders WHERE id = ?", (holder_id,)) > 0

    def delete(self, id: str) -> bool:  # noqa: A002
        """Forget a mount with its holders; whether it was there."""
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
        created_at_ns=row[9],
        layer=row[10],
        below=row[11],
        writable=bool(row[12]),
    )


def _holder(row: Row) -> MountHolder:
    owner = Owner(pid=row[2], start=row[3], pid_namespace=row[4], boot_id=row[5])
    return MountHolder(
        id=row[0], mount=row[1], owner=owner if owner.pid else None, created_at_ns=row[6]
    )
