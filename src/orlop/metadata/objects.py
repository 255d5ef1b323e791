"""What layers, images and containers have alike: names, and named files of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, final

from orlop.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.metadata.database import Transaction

ObjectKind = Literal["layer", "image", "container"]
"""What may have names and big data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BigDatum:
    """A named file that belongs to a layer, an image or a container.

    Attributes:
        name: What it is called, unique there.
        file: The name of the file that holds it, where it is one of its own; else empty.
        size: Its length in bytes.
        digest: Of all its bytes.
    """

    name: str
    file: str = ""
    size: int
    digest: Digest


@final
class Names:
    """The names of layers, images and containers, as one transaction sees them.

    Those of images that were pulled are not among them: they are the records of `Images`.

    Args:
        tx: The transaction.
    """

    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, kind: ObjectKind, id: str) -> tuple[str, ...]:  # noqa: A002
        """The names of one object, in the order in which they were given."""
        sql = "SELECT name FROM object_names WHERE kind = ? AND id = ? ORDER BY ordinal, name"
        return tuple(row[0] for row in self._tx.rows(sql, (kind, id)))

    def all(self, kind: ObjectKind) -> dict[str, list[str]]:
        """The names of all objects of a kind, by ID."""
        sql = "SELECT id, name FROM object_names WHERE kind = ? ORDER BY ordinal, name"
        found: dict[str, list[str]] = {}
        for id, name in self._tx.rows(sql, (kind,)):  # noqa: A001
            found.setdefault(id, []).append(name)
        return found

    def find(self, kind: ObjectKind, name: str) -> str | None:
        """The ID of what is called that, or None."""
        sql = "SELECT id FROM object_names WHERE kind = ? AND name = ?"
        row = self._tx.row(sql, (kind, name))
        return None if row is None else str(row[0])

    def add(self, kind: ObjectKind, id: str, names: Iterable[str]) -> None:  # noqa: A002
        """Give an object more names; one that is taken moves here, and one that it has stays."""
        sql = "SELECT coalesce(max(ordinal), 0) FROM object_names WHERE kind = ? AND id = ?"
        row = self._tx.row(sql, (kind, id))
        assert row is not None
        self._tx.execute_many(
            "INSERT INTO object_names (kind, name, id, ordinal) VALUES (?,?,?,?)"
            " ON CONFLICT (kind, name) DO UPDATE"
            " SET (id, ordinal) = (excluded.id, excluded.ordinal) WHERE id <> excluded.id",
            ((kind, name, id, row[0] + 1 + index) for index, name in enumerate(names)),
        )

    def remove(self, kind: ObjectKind, id: str, names: Iterable[str]) -> None:  # noqa: A002
        """Take names away from an object; those that it has not are none."""
        self._tx.execute_many(
            "DELETE FROM object_names WHERE kind = ? AND name = ? AND id = ?",
            ((kind, name, id) for name in names),
        )

    def clear(self, kind: ObjectKind, id: str) -> None:  # noqa: A002
        """Take all names away from an object."""
        self._tx.execute("DELETE FROM object_names WHERE kind = ? AND id = ?", (kind, id))

    def history(self, image: str) -> tuple[str, ...]:
        """What an image has been called, the last name first."""
        sql = "SELECT name FROM name_history WHERE id = ? ORDER BY ordinal DESC"
        return tuple(row[0] for row in self._tx.rows(sql, (image,)))

    def remember(self, image: str, names: Iterable[str]) -> None:
        """Note what an image is called, or was."""
        sql = "SELECT coalesce(max(ordinal), 0) FROM name_history WHERE id = ?"
        row = self._tx.row(sql, (image,))
        assert row is not None
        self._tx.execute_many(
            "INSERT OR REPLACE INTO name_history (id, name, ordinal) VALUES (?,?,?)",
            ((image, name, row[0] + 1 + index) for index, name in enumerate(names)),
        )

    def forget_history(self, image: str) -> None:
        """Note nothing any more of what an image was called."""
        self._tx.execute("DELETE FROM name_history WHERE id = ?", (image,))


_SELECT: Final = "SELECT name, file, size, digest FROM big_data WHERE kind = ? AND id = ?"


@final
class BigData:
    """The records of big data, as one transaction sees them.

    Args:
        tx: The transaction.
    """

    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def list(self, kind: ObjectKind, id: str) -> tuple[BigDatum, ...]:  # noqa: A002
        """The items of an object, in the order of the names."""
        rows = self._tx.rows(f"{_SELECT} ORDER BY name", (kind, id))
        return tuple(_datum(*row) for row in rows)

    def get(self, kind: ObjectKind, id: str, name: str) -> BigDatum | None:  # noqa: A002
        """One item of an object, or None."""
        row = self._tx.row(f"{_SELECT} AND name = ?", (kind, id, name))
        return None if row is None else _datum(*row)

    def put(self, kind: ObjectKind, id: str, datum: BigDatum) -> None:  # noqa: A002
        """Record an item, in place of the one of its name."""
        self._tx.execute(
            "INSERT OR REPLACE INTO big_data (kind, id, name, file, size, digest)"
            " VALUES (?,?,?,?,?,?)",
            (kind, id, datum.name, datum.file, datum.size, datum.digest),
        )

    def delete(self, kind: ObjectKind, id: str, name: str) -> bool:  # noqa: A002
        """Forget an item; whether it was there."""
        sql = "DELETE FROM big_data WHERE kind = ? AND id = ? AND name = ?"
        return self._tx.execute(sql, (kind, id, name)) > 0

    def count(self, kind: ObjectKind, id: str) -> int:  # noqa: A002
        """How many items an object has."""
        sql = "SELECT count(*) FROM big_data WHERE kind = ? AND id = ?"
        row = self._tx.row(sql, (kind, id))
        assert row is not None
        return int(row[0])

    def clear(self, kind: ObjectKind, id: str) -> None:  # noqa: A002
        """Forget all items of an object."""
        self._tx.execute("DELETE FROM big_data WHERE kind = ? AND id = ?", (kind, id))

    def with_digest(self, kind: ObjectKind, digest: Digest) -> tuple[tuple[str, str], ...]:
        """Who has an item of these bytes, and what it is called there."""
        sql = "SELECT id, name FROM big_data WHERE digest = ? AND kind = ? ORDER BY id, name"
        return tuple((row[0], row[1]) for row in self._tx.rows(sql, (digest, kind)))


def _datum(name: str, file: str, size: int, digest: str) -> BigDatum:
    return BigDatum(name=name, file=file, size=size, digest=Digest(digest))
