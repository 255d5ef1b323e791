"""Blobs that are stored, and which of them name which others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from orlop.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.metadata.database import Row, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRecord:
    """A blob that is stored: verified and durable.

    Attributes:
        digest: Its name.
        size: Its length in bytes.
        media_type: What it is; empty where nobody said.
        created_at_ns: When it was stored, in nanoseconds since 1970.
    """

    digest: Digest
    size: int
    media_type: str = ""
    created_at_ns: int


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
        row = self._tx.row(
            "SELECT digest, size, media_type, created_at_ns FROM blobs WHERE digest = ?", (digest,)
        )
        return None if row is None else _record(row)

    def list(self) -> Iterator[BlobRecord]:
        """All blobs, in the order of the digests."""
        sql = "SELECT digest, size, media_type, created_at_ns FROM blobs ORDER BY digest"
        return map(_record, self._tx.rows(sql))

    def put(self, record: BlobRecord) -> None:
        """Record a blob; of one that is recorded already only the media type may be learned."""
        self._tx.execute(
            "INSERT INTO blobs (digest, size, media_type, created_at_ns) VALUES (?,?,?,?)"
            " ON CONFLICT (digest) DO UPDATE SET media_type = excluded.media_type"
            " WHERE excluded.media_type <> ''",
            (record.digest, record.size, record.media_type, record.created_at_ns),
        )

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
    return BlobRecord(digest=Digest(row[0]), size=row[1], media_type=row[2], created_at_ns=row[3])
