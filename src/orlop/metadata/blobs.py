"""Blobs that are stored, and which of them name which others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, final

from orlop.digest import Digest
from orlop.metadata.labels import Labels, decode_labels, labels_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orlop.metadata.database import Row, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRecord:
    """A blob that is stored: verified and durable.

    Attributes:
        digest: Its name.
        size: Its length in bytes.
        media_type: What it is; empty where nobody said.
        created_at_ns: When it was stored, in nanoseconds since 1970.
        updated_at_ns: When its labels were last changed; 0 stands for `created_at_ns`.
        labels: What its user notes about it, and what tells the collector.
    """

    digest: Digest
    size: int
    media_type: str = ""
    created_at_ns: int
    updated_at_ns: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


_COLUMNS: Final = "digest, size, media_type, created_at_ns, updated_at_ns"
_SELECT: Final = f"SELECT {_COLUMNS}, {labels_column('blob', 'digest')} FROM blobs"  # noqa: S608


@final
class Blobs:
    """The blobs, as one transaction sees them.

    Args:
        tx: The transaction.
    """

    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, digest: Digest) -> BlobRecord | None:
        """The blob of this digest, or None."""
        row = self._tx.row(f"{_SELECT} WHERE digest = ?", (digest,))
        return None if row is None else _record(row)

    def list(self, *, after: str = "", limit: int | None = None) -> Iterator[BlobRecord]:
        """The blobs in the order of the digests.

        Args:
            after: Only those behind this one.
            limit: How many; all where None.
        """
        sql = f"{_SELECT} WHERE digest > ? ORDER BY digest LIMIT ?"
        return map(_record, self._tx.rows(sql, (after, -1 if limit is None else limit)))

    def digests(self) -> tuple[Digest, ...]:
        """The names of all blobs, in their order."""
        return tuple(
            Digest(row[0]) for row in self._tx.rows("SELECT digest FROM blobs ORDER BY digest")
        )

    def put(self, record: BlobRecord) -> None:
        """Record a blob; of one that is recorded already only the media type may be learned.

        Its labels stay, unless the record has some.

        Raises:
            InvalidError: A label is none, or one for the collector that it could not obey.
        """
        self._tx.execute(
            f"INSERT INTO blobs ({_COLUMNS}) VALUES (?,?,?,?,?)"  # noqa: S608
            " ON CONFLICT (digest) DO UPDATE SET media_type = excluded.media_type"
            " WHERE excluded.media_type <> ''",
            (
                record.digest,
                record.size,
                record.media_type,
                record.created_at_ns,
                record.updated_at_ns or record.created_at_ns,
            ),
        )
        if record.labels:
            Labels(self._tx).replace("blob", record.digest, record.labels)

    def touch(self, digest: Digest, updated_at_ns: int) -> bool:
        """Record when the labels of a blob were changed; whether there is one."""
        sql = "UPDATE blobs SET updated_at_ns = ? WHERE digest = ?"
        return self._tx.execute(sql, (updated_at_ns, digest)) > 0

    def link(self, parent: Digest, children: Iterable[Digest]) -> None:
        """Record that a stored document names others: they are kept as long as it is.

        The others need not be stored yet.
        """
        self._tx.execute_many(
            "INSERT INTO edges (parent, child) VALUES (?,?) ON CONFLICT DO NOTHING",
            ((parent, child) for child in children),
        )

    def children(self, parent: Digest) -> tuple[Digest, ...]:
        """What a document names, in the order of the digests."""
        sql = "SELECT child FROM edges WHERE parent = ? ORDER BY child"
        return tuple(Digest(row[0]) for row in self._tx.rows(sql, (parent,)))

    def delete(self, digest: Digest) -> bool:
        """Forget a blob and what it names; whether it was there."""
        return self._tx.execute("DELETE FROM blobs WHERE digest = ?", (digest,)) > 0


def _record(row: Row) -> BlobRecord:
    return BlobRecord(
        digest=Digest(row[0]),
        size=row[1],
        media_type=row[2],
        created_at_ns=row[3],
        updated_at_ns=row[4],
        labels=decode_labels(row[5]),
    )
