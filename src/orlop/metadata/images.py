"""Images: names, and what they mean."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, final

from orlop.digest import Digest
from orlop.errors import AlreadyExistsError
from orlop.metadata.gclabels import GC_EXPIRE
from orlop.metadata.labels import Labels, decode_labels, labels_column
from orlop.timestamp import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orlop.metadata.database import Row, Transaction, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """What a name means.

    Attributes:
        name: The name, unique.
        target: The descriptor that the name was resolved to, as JSON.
        target_digest: The digest in it.
        manifest_digest: The manifest of this image, where the target is an index of several.
        image_id: Digest of the config, or of the target where it is no image manifest.
        chain_id: The stack of layers, where there is one.
        platform: What it runs on, such as `linux/arm64/v8`; empty where unknown.
        size: Bytes of all blobs of this image.
        created_at_ns: When the name was first given, in nanoseconds since 1970.
        updated_at_ns: When it was last given or moved.
        labels: What its user notes about it, and what tells the collector.
    """

    name: str
    target: str
    target_digest: Digest
    manifest_digest: Digest | None = None
    image_id: Digest
    chain_id: Digest | None = None
    platform: str = ""
    size: int
    created_at_ns: int
    updated_at_ns: int
    labels: Mapping[str, str] = field(default_factory=dict)


_COLUMNS: Final = (
    "name, target, target_digest, manifest_digest, image_id, chain_id,"
    " platform, size, created_at_ns, updated_at_ns"
)
_INSERT: Final = f"INSERT INTO images ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
_MOVE: Final = """
ON CONFLICT (name) DO UPDATE SET
    (target, target_digest, manifest_digest, image_id, chain_id, platform, size, updated_at_ns)
  = (excluded.target, excluded.target_digest, excluded.manifest_digest, excluded.image_id,
     excluded.chain_id, excluded.platform, excluded.size, excluded.updated_at_ns)
"""
# An image that was made here and is called so is not any more.
_TAKE_OVER: Final = "DELETE FROM object_names WHERE kind = 'image' AND name = ?"
_SELECT: Final = f"SELECT {_COLUMNS}, {labels_column('image', 'name')} FROM images"  # noqa: S608
# Above every character of a digest, so that a prefix is a range of the index.
_ABOVE: Final = "~"
_ABOVE_ALL: Final = "\U0010ffff"


@final
class Images:
    """The images, as one transaction sees them.

    Args:
        tx: The transaction.
    """

    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, name: str) -> ImageRow | None:
        """The image of this name, or None."""
        row = self._tx.row(f"{_SELECT} WHERE name = ?", (name,))
        return None if row is None else _record(row)

    def list(self, prefix: str = "", *, after: str = "", limit: int = -1) -> Iterator[ImageRow]:
        """The images whose names begin with `prefix`, in the order of the names.

        Args:
            prefix: Beginning of the names.
            after: Leave out this name and all before it.
            limit: How many at most; all where negative.
        """
        # One bound on each side: SQLite would look at all names between two lower ones.
        first, operator = (after, ">") if after >= prefix else (prefix, ">=")
        rows = self._tx.rows(
            f"{_SELECT} WHERE name {operator} ? AND name < ? ORDER BY name LIMIT ?",
            (first, prefix + _ABOVE_ALL, limit),
        )
        return map(_record, rows)

    def with_id(self, image_id: Digest) -> Iterator[ImageRow]:
        """The images that have this ID, in the order of the names."""
        return map(
            _record, self._tx.rows(f"{_SELECT} WHERE image_id = ? ORDER BY name", (image_id,))
        )

    def with_id_prefix(
        self, prefix: str, *, algorithm: str = "sha256", limit: int = -1
    ) -> Iterator[ImageRow]:
        """The images whose ID begins with these hexadecimal digits, in the order of the IDs."""
        begin = f"{algorithm}:{prefix}"
        rows = self._tx.rows(
            f"{_SELECT} WHERE image_id >= ? AND image_id < ? ORDER BY image_id, name LIMIT ?",
            (begin, begin + _ABOVE, limit),
        )
        return map(_record, rows)

    def with_target(self, digest: Digest) -> Iterator[ImageRow]:
        """The images whose target has this digest, in the order of the names."""
        rows = self._tx.rows(f"{_SELECT} WHERE target_digest = ? ORDER BY name", (digest,))
        return map(_record, rows)

    def with_manifest(self, digest: Digest) -> Iterator[ImageRow]:
        """The images that have this manifest, in the order of the names."""
        rows = self._tx.rows(f"{_SELECT} WHERE manifest_digest = ? ORDER BY name", (digest,))
        return map(_record, rows)

    def with_chain(self, chain_id: Digest) -> Iterator[ImageRow]:
        """The images that have this stack of layers, in the order of the names."""
        rows = self._tx.rows(f"{_SELECT} WHERE chain_id = ? ORDER BY name", (chain_id,))
        return map(_record, rows)

    def find(
        self,
        *,
        names: Iterable[str] | None = None,
        name_prefix: str | None = None,
        label: tuple[str, str | None] | None = None,
        target_digest: Digest | None = None,
    ) -> Iterator[ImageRow]:
        """The images that fit all that is asked, in the order of the names; each by an index.

        Args:
            names: Only these.
            name_prefix: Only those whose names begin so.
            label: Only those that have a label: its key, and its value, or None for any.
            target_digest: Only those whose target has this digest.
        """
        conditions = ["TRUE"]
        values: list[Value] = []
        if names is not None:
            conditions.append("name IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(list(names)))
        if name_prefix is not None:
            conditions.append("name >= ? AND name < ?")
            values += (name_prefix, name_prefix + _ABOVE_ALL)
        if label is not None:
            key, value = label
            equal = "" if value is None else " AND value = ?"
            conditions.append(f"name IN (SELECT image FROM image_labels WHERE key = ?{equal})")  # noqa: S608
            values += (key,) if value is None else (key, value)
        if target_digest is not None:
            conditions.append("target_digest = ?")
            values.append(target_digest)
        sql = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY name"
        return map(_record, self._tx.rows(sql, tuple(values)))

    def count(self) -> int:
        """How many there are."""
        row = self._tx.row("SELECT count(*) FROM images")
        assert row is not None
        return int(row[0])

    def put(self, record: ImageRow, *, keep_labels: bool = True) -> None:
        """Give the name; one that is taken moves here, and keeps `created_at_ns`.

        Args:
            record: The image.
            keep_labels: Let a name that is taken keep its labels, unless the record has some; but
                not an end that has passed, or the name would go with the next collection.

        Raises:
            InvalidError: A label is none, or one for the collector that it could not obey.
        """
        self._tx.execute(_INSERT + _MOVE, _values(record))
        self._tx.execute(_TAKE_OVER, (record.name,))
        if record.labels or not keep_labels:
            Labels(self._tx).replace("image", record.name, record.labels)
        else:
            self._forget_end(record.name, record.updated_at_ns)

    def create(self, record: ImageRow) -> None:
        """Give the name.

        Raises:
            AlreadyExistsError: It is taken.
            InvalidError: A label is none, or one for the collector that it could not obey.
        """
        if not self._tx.execute(f"{_INSERT} ON CONFLICT (name) DO NOTHING", _values(record)):
            raise AlreadyExistsError(f"image {record.name!r} exists already")
        Labels(self._tx).replace("image", record.name, record.labels)

    def update(self, record: ImageRow, *, expected: ImageRow | None = None) -> bool:
        """Replace the image of this name, labels included; only `created_at_ns` stays.

        Args:
            record: What the name means from now on.
            expected: Only if this is what the name means now.

        Returns:
            Whether there was an image of this name, and it was the one that was expected.

        Raises:
            InvalidError: A label is none, or one for the collector that it could not obey.
        """
        found = self.get(record.name)
        if found is None or expected not in (None, found):
            return False
        self.put(record, keep_labels=False)
        return True

    def _forget_end(self, name: str, now_ns: int) -> None:
        labels = Labels(self._tx)
        end = parse_timestamp(labels.get("image", name).get(GC_EXPIRE, ""))
        if end is not None and end <= now_ns:
            labels.set("image", name, GC_EXPIRE, "")

    def delete(self, name: str, *, target_digest: Digest | None = None) -> bool:
        """Take the name away; whether it was there.

        Args:
            name: The name.
            target_digest: Only if it still means this.
        """
        if target_digest is None:
            return self._tx.execute("DELETE FROM images WHERE name = ?", (name,)) > 0
        sql = "DELETE FROM images WHERE name = ? AND target_digest = ?"
        return self._tx.execute(sql, (name, target_digest)) > 0


def _values(record: ImageRow) -> tuple[Value, ...]:
    return (
        record.name,
        record.target,
        record.target_digest,
        record.manifest_digest,
        record.image_id,
        record.chain_id,
        record.platform,
        record.size,
        record.created_at_ns,
        record.updated_at_ns,
    )


def _record(row: Row) -> ImageRow:
    return ImageRow(
        name=row[0],
        target=row[1],
        target_digest=Digest(row[2]),
        manifest_digest=None if row[3] is None else Digest(row[3]),
        image_id=Digest(row[4]),
        chain_id=None if row[5] is None else Digest(row[5]),
        platform=row[6],
        size=row[7],
        created_at_ns=row[8],
        updated_at_ns=row[9],
        labels=decode_labels(row[10]),
    )
