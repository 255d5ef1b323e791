"""Labels: what users note about images, blobs and leases, and what tells the collector."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal, final

from orlop.metadata.gclabels import check_gc_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orlop.metadata.database import Transaction

LabelKind = Literal["image", "blob", "lease"]
"""What may have labels: an image by name, a blob by digest, a lease by its name."""


@final
class Labels:
    """The labels of all things, as one transaction sees them; empty values are not kept.

    Args:
        tx: The transaction.
    """

    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, kind: LabelKind, owner: str) -> dict[str, str]:
        """The labels of one thing, in the order of the keys; none where it does not exist."""
        sql = f"SELECT key, value FROM {kind}_labels WHERE {kind} = ? ORDER BY key"  # noqa: S608
        return {row[0]: row[1] for row in self._tx.rows(sql, (owner,))}

    def find(self, kind: LabelKind, key: str, value: str | None = None) -> Iterator[str]:
        """Who has a label, with this value or with any, in their order."""
        sql = f"SELECT {kind} FROM {kind}_labels WHERE key = ?"  # noqa: S608
        if value is None:
            return (row[0] for row in self._tx.rows(f"{sql} ORDER BY {kind}", (key,)))
        return (
            row[0] for row in self._tx.rows(f"{sql} AND value = ? ORDER BY {kind}", (key, value))
        )

    def replace(self, kind: LabelKind, owner: str, labels: Mapping[str, str]) -> None:
        """Give a thing these labels and no others.

        Raises:
            NotFoundError: It does not exist.
            InvalidError: A label is none, or one for the collector that it could not obey.
            LimitExceededError: There are too many, or one is too long.
        """
        from orlop.filters import check_labels

        kept = check_labels(labels)
        self._tx.execute(f"DELETE FROM {kind}_labels WHERE {kind} = ?", (owner,))  # noqa: S608
        for key, value in kept.items():
            self._put(kind, owner, key, value)

    def set(self, kind: LabelKind, owner: str, key: str, value: str) -> None:
        """Give a thing a label, in place of the one of that key; take it away for an empty value.

        Raises:
            NotFoundError: The thing does not exist.
            InvalidError: The label is none, or one for the collector that it could not obey.
            LimitExceededError: It is too long.
        """
        from orlop.filters import check_labels

        if check_labels({key: value}):
            self._put(kind, owner, key, value)
        else:
            sql = f"DELETE FROM {kind}_labels WHERE {kind} = ? AND key = ?"  # noqa: S608
            self._tx.execute(sql, (owner, key))

    def _put(self, kind: LabelKind, owner: str, key: str, value: str) -> None:
        check_gc_label(key, value)
        sql = (
            f"INSERT INTO {kind}_labels ({kind}, key, value) VALUES (?,?,?)"  # noqa: S608
            f" ON CONFLICT ({kind}, key) DO UPDATE SET value = excluded.value"
        )
        self._tx.execute(sql, (owner, key, value))


def labels_column(kind: LabelKind, owner: str) -> str:
    """SQL for the labels of one row, read in the same query; for `decode_labels`."""
    return f"(SELECT json_group_object(key, value) FROM {kind}_labels WHERE {kind} = {owner})"  # noqa: S608


def decode_labels(column: str) -> dict[str, str]:
    """The labels that `labels_column` has read."""
    return {} if column == _NONE else dict(json.loads(column))


_NONE: Final = "{}"
