"""Layers: each with one parent at most; those of images that were pulled, and those made here.

A layer holds what a tar has put into it (`diff_id`), what was written since into a directory of
its own (`form`), or both, or nothing yet. A layer that came with an image has its chainID as ID,
and is there as long as something needs it; one that was made here (`pinned`) until it is deleted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, final

from orlop.digest import Digest, chain_ids
from orlop.errors import AlreadyExistsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orlop.metadata.database import Row, Transaction, Value

LayerForm = Literal["diff", "user-diff", "tree"]
"""What a directory of writes is: overlay's changes, marked in `trusted.` or `user.` attributes; or
the whole tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One layer.

    Attributes:
        id: Its name; the digits of its chainID where it came with an image.
        parent: The layer that it stands on, if any.
        diff_id: The tar that it holds, if any.
        diff_size: Length of that tar in bytes, where known.
        chain_id: The stack of tars up to this one, where it and all below hold nothing else.
        source: The digest of what the tar came in; it need not be stored.
        source_size: Its length in bytes, where known.
        compression: How that was compressed, where known: empty, `none`, `gzip`, `zstd`…
        form: What its directory is, or will be once it is written to; None where it never is.
        read_only: Whether it is never written to again.
        frozen: Whether its directory holds nothing that its tar has not, and only waits until no
            mount stands on it.
        pinned: Whether it stays though nothing needs it.
        metadata: What its user notes about it.
        flags: What programs note about it, as JSON.
        mount_label: The SELinux label that its user gave.
        id_mapping: The IDs that it is seen through, as JSON; None for none.
        created_at_ns: When it was made, in nanoseconds since 1970; 0 where unknown.
    """

    id: str
    parent: str | None = None
    diff_id: Digest | None = None
    diff_size: int | None = None
    chain_id: Digest | None = None
    source: Digest | None = None
    source_size: int | None = None
    compression: str = ""
    form: LayerForm | None = None
    read_only: bool = False
    frozen: bool = False
    pinned: bool = True
    metadata: str = ""
    flags: Mapping[str, object] = field(default_factory=dict)
    mount_label: str = ""
    id_mapping: str | None = None
    created_at_ns: int

    @property
    def pulled(self) -> bool:
        """Whether it is one of an image that was pulled, and so many images' and nobody's."""
        return self.chain_id is not None and self.id == self.chain_id.encoded


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSource:
    """What a layer of an image came in.

    Attributes:
        digest: Of the blob.
        size: Its length in bytes.
        compression: How it is compressed.
    """

    digest: Digest
    size: int
    compression: str


_COLUMNS: Final = (
    "id, parent, diff_id, diff_size, chain_id, source, source_size, compression, form, read_only,"
    " frozen, pinned, metadata, flags, mount_label, id_mapping, created_at_ns"
)
_MARKS: Final = ",".join("?" * 17)
_SELECT: Final = f"SELECT {_COLUMNS} FROM layers"  # noqa: S608
_INSERT: Final = f"INSERT INTO layers ({_COLUMNS}) VALUES ({_MARKS}) ON CONFLICT DO NOTHING"  # noqa: S608
_UPDATE: Final = f"INSERT OR REPLACE INTO layers ({_COLUMNS}) VALUES ({_MARKS})"  # noqa: S608
_SOURCE: Final = "UPDATE layers SET source = ?, source_size = ?, compression = ? WHERE id = ?"
_SIZE: Final = """
    UPDATE layers SET diff_size = (
        SELECT max(size) FROM forms WHERE forms.diff_id = layers.diff_id AND kind <> 'changeset'
    ) WHERE id = ? AND diff_size IS NULL
"""
_ABOVE: Final = "\U0010ffff"


@final
class Layers:
    """The layers, as one transaction sees them.

    Args:
        tx: The transaction.
    """

    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, id: str) -> LayerRow | None:  # noqa: A002
        """The layer of this ID, or None."""
        row = self._tx.row(f"{_SELECT} WHERE id = ?", (id,))
        return None if row is None else _record(row)

    def delete(self, id: str) -> bool:  # noqa: A002
        """Forget a layer; whether it was there."""
        return self._tx.execute("DELETE FROM layers WHERE id = ?", (id,)) > 0

    def list(self) -> Iterator[LayerRow]:
        """All layers, in the order of the IDs."""
        return map(_record, self._tx.rows(f"{_SELECT} ORDER BY id"))

    def with_prefix(self, prefix: str, *, limit: int = -1) -> tuple[str, ...]:
        """The IDs that begin so, in their order."""
        sql = "SELECT id FROM layers WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        return tuple(row[0] for row in self._tx.rows(sql, (prefix, prefix + _ABOVE, limit)))

    def children(self, id: str) -> tuple[str, ...]:  # noqa: A002
        """The IDs of the layers that stand on one, in their order."""
        sql = "SELECT id FROM layers WHERE parent = ? ORDER BY id"
        return tuple(row[0] for row in self._tx.rows(sql, (id,)))

    def has_children(self, id: str) -> bool:  # noqa: A002
        """Whether any layer stands on one."""
        return self._tx.row("SELECT 1 FROM layers WHERE parent = ? LIMIT 1", (id,)) is not None

    def with_diff_id(self, diff_id: Digest) -> Iterator[LayerRow]:
        """The layers that hold a tar, in the order of the IDs."""
        return map(_record, self._tx.rows(f"{_SELECT} WHERE diff_id = ? ORDER BY id", (diff_id,)))

    def with_source(self, digest: Digest) -> Iterator[LayerRow]:
        """The layers that came in a blob of this digest, in the order of the IDs."""
        return map(_record, self._tx.rows(f"{_SELECT} WHERE source = ? ORDER BY id", (digest,)))

    def ancestry(self, id: str) -> tuple[LayerRow, ...]:  # noqa: A002
        """A layer and all below it, the topmost first; it ends early where a parent is missing."""
        return tuple(_record(row) for row in self._tx.rows(_ANCESTRY, (id,)))

    def create(self, row: LayerRow) -> None:
        """Record a layer.

        Raises:
            AlreadyExistsError: There is one of its ID.
        """
        if not self._tx.execute(_INSERT, _values(row)):
            raise AlreadyExistsError(f"layer {row.id} exists already")

    def replace(self, row: LayerRow) -> None:
        """Record what has become of a layer."""
        self._tx.execute(_UPDATE, _values(row))

    def put_stack(
        self, diff_ids: Sequence[Digest], sources: Sequence[LayerSource] = (), now_ns: int = 0
    ) -> None:
        """Record the layers of a stack, the base first; those that are known stay.

        Args:
            diff_ids: What they hold.
            sources: What each came in, where that is known; then one for each.
            now_ns: The time, in nanoseconds since 1970.

        Raises:
            AlreadyExistsError: A layer that holds something else was given such an ID.
        """
        parent = None
        for ordinal, chain_id in enumerate(chain_ids(diff_ids)):
            row = LayerRow(
                id=chain_id.encoded,
                parent=parent,
                diff_id=diff_ids[ordinal],
                chain_id=chain_id,
                read_only=True,
                pinned=False,
                created_at_ns=now_ns,
            )
            if not self._tx.execute(_INSERT, _values(row)):
                self._require_same(row)
            self._tx.execute(_SIZE, (row.id,))
            if sources:
                source = sources[ordinal]
                values = (source.digest, source.size, source.compression, row.id)
                self._tx.execute(_SOURCE, values)
            parent = row.id

    def _require_same(self, row: LayerRow) -> None:
        known = self.get(row.id)
        if known is not None and known.chain_id != row.chain_id:
            raise AlreadyExistsError(
                f"layer {row.id} holds something else than its ID says, which is one of an image",
                hint="delete that layer; its maker chose the ID",
            )

    def id_mappings(self) -> tuple[str, ...]:
        """The ID mappings that layers are seen through, each once."""
        sql = "SELECT DISTINCT id_mapping FROM layers WHERE id_mapping IS NOT NULL"
        return tuple(row[0] for row in self._tx.rows(sql))

    def is_mounted_on(self, id: str, boot_id: str) -> bool:  # noqa: A002
        """Whether a layer, or one that stands on it, is mounted in a boot."""
        return self._tx.row(_MOUNTED_ON, (boot_id, id)) is not None

    def frozen(self) -> tuple[str, ...]:
        """The layers whose directories wait to be removed."""
        sql = "SELECT id FROM layers WHERE frozen <> 0 ORDER BY id"
        return tuple(row[0] for row in self._tx.rows(sql))


_MOUNTED_ON: Final = """
    WITH RECURSIVE below (id) AS (
        SELECT layer FROM mounts WHERE layer IS NOT NULL AND boot_id = ?
        UNION SELECT layers.parent FROM below JOIN layers ON layers.id = below.id
            WHERE layers.parent IS NOT NULL
    )
    SELECT 1 FROM below WHERE id = ? LIMIT 1
"""

_ANCESTRY: Final = f"""
    WITH RECURSIVE below (ordinal, id) AS (
        SELECT 0, ?
        UNION ALL SELECT ordinal + 1, layers.parent
            FROM below JOIN layers ON layers.id = below.id WHERE layers.parent IS NOT NULL
        LIMIT 100000
    )
    SELECT {", ".join(f"layers.{column.strip()}" for column in _COLUMNS.split(","))}
    FROM below JOIN layers ON layers.id = below.id ORDER BY ordinal
"""  # noqa: S608


def _values(row: LayerRow) -> tuple[Value, ...]:
    return (
        row.id,
        row.parent,
        row.diff_id,
        row.diff_size,
        row.chain_id,
        row.source,
        row.source_size,
        row.compression,
        row.form,
        int(row.read_only),
        int(row.frozen),
        int(row.pinned),
        row.metadata,
        json.dumps(row.flags),
        row.mount_label,
        row.id_mapping,
        row.created_at_ns,
    )


def _record(row: Row) -> LayerRow:
    return LayerRow(
        id=row[0],
        parent=row[1],
        diff_id=_digest(row[2]),
        diff_size=row[3],
        chain_id=_digest(row[4]),
        source=_digest(row[5]),
        source_size=row[6],
        compression=row[7],
        form=row[8],
        read_only=bool(row[9]),
        frozen=bool(row[10]),
        pinned=bool(row[11]),
        metadata=row[12],
        flags={} if row[13] == "{}" else json.loads(row[13]),
        mount_label=row[14],
        id_mapping=row[15],
        created_at_ns=row[16],
    )


def _digest(text: str | None) -> Digest | None:
    return None if text is None else Digest(text)
