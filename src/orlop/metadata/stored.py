"""Images that are layers with data beside them, and containers: what is made here.

An image that was pulled is a record of `Images` for each of its names. A row here adds to it what
its user notes; or it is an image of its own (`made`), that stays until it is deleted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, final

from orlop.digest import Digest
from orlop.errors import AlreadyExistsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orlop.metadata.database import Row, Transaction, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImageRow:
    """An image of its own, or what is noted about one that was pulled.

    Attributes:
        id: Its name; the digits of the image ID where it was pulled.
        layer: Its top layer, if any.
        digest: What its maker says that its digest is.
        made: Whether it is an image of its own.
        target: The descriptor of an image that was pulled and has lost its names, as JSON.
        target_digest: The digest in it.
        manifest_digest: The manifest of that image.
        config_digest: The config of that image.
        platform: What that runs on.
        size: Bytes of all its blobs.
        metadata: What its user notes about it.
        flags: What programs note about it, as JSON.
        created_at_ns: When it was made, in nanoseconds since 1970.
    """

    id: str
    layer: str | None = None
    digest: Digest | None = None
    made: bool = True
    target: str | None = None
    target_digest: Digest | None = None
    manifest_digest: Digest | None = None
    config_digest: Digest | None = None
    platform: str = ""
    size: int = 0
    metadata: str = ""
    flags: Mapping[str, object] = field(default_factory=dict)
    created_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRow:
    """A container: a layer to write to, and what belongs to it.

    Attributes:
        id: Its name.
        image: The ID of the image that it was made from; empty where it was none.
        layer: Its own layer.
        manifest_digest: The manifest of its image, which it keeps.
        config_digest: The config of its image, which it keeps.
        metadata: What its user notes about it.
        flags: What programs note about it, as JSON.
        created_at_ns: When it was made, in nanoseconds since 1970.
    """

    id: str
    image: str = ""
    layer: str
    manifest_digest: Digest | None = None
    config_digest: Digest | None = None
    metadata: str = ""
    flags: Mapping[str, object] = field(default_factory=dict)
    created_at_ns: int


_ABOVE: Final = "\U0010ffff"
_IMAGE_COLUMNS: Final = (
    "id, layer, digest, made, target, target_digest, manifest_digest, config_digest, platform,"
    " size, metadata, flags, created_at_ns"
)
_IMAGE_MARKS: Final = ",".join("?" * 13)
_IMAGES: Final = f"SELECT {_IMAGE_COLUMNS} FROM stored_images"  # noqa: S608
_CONTAINER_COLUMNS: Final = (
    "id, image, layer, manifest_digest, config_digest, metadata, flags, created_at_ns"
)
_CONTAINERS: Final = f"SELECT {_CONTAINER_COLUMNS} FROM containers"  # noqa: S608


@final
class StoredImages:
    """The rows of stored images, as one transaction sees them.

    Args:
        tx: The transaction.
    """

    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, id: str) -> StoredImageRow | None:  # noqa: A002
        """The row of this ID, or None."""
        row = self._tx.row(f"{_IMAGES} WHERE id = ?", (id,))
        return None if row is None else _image(row)

    def list(self) -> Iterator[StoredImageRow]:
        """All rows, in the order of the IDs."""
        return map(_image, self._tx.rows(f"{_IMAGES} ORDER BY id"))

    def with_layer(self, layer: str) -> Iterator[StoredImageRow]:
        """The images of their own that a layer is the top of, in the order of the IDs."""
        sql = f"{_IMAGES} WHERE layer = ? AND made ORDER BY id"
        return map(_image, self._tx.rows(sql, (layer,)))

    def with_digest(self, digest: Digest) -> Iterator[StoredImageRow]:
        """The rows that have one of their digests, in the order of the IDs."""
        sql = (
            f"{_IMAGES} WHERE digest = :it OR target_digest = :it OR manifest_digest = :it"
            " ORDER BY id"
        )
        return map(_image, self._tx.rows(sql, {"it": digest}))

    def with_prefix(self, prefix: str, *, limit: int = -1) -> tuple[str, ...]:
        """The IDs of images of their own that begin so, in their order."""
        sql = "SELECT id FROM stored_images WHERE id >= ? AND id < ? AND made ORDER BY id LIMIT ?"
        return tuple(row[0] for row in self._tx.rows(sql, (prefix, prefix + _ABOVE, limit)))

    def put(self, row: StoredImageRow) -> None:
        """Record an image, or what is noted about one, in place of the row of its ID."""
        sql = f"INSERT OR REPLACE INTO stored_images ({_IMAGE_COLUMNS}) VALUES ({_IMAGE_MARKS})"  # noqa: S608
        self._tx.execute(sql, _image_values(row))

    def delete(self, id: str) -> bool:  # noqa: A002
        """Forget a row; whether it was there."""
        return self._tx.execute("DELETE FROM stored_images WHERE id = ?", (id,)) > 0


@final
class Containers:
    """The containers, as one transaction sees them.

    Args:
        tx: The transaction.
    """

    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, id: str) -> ContainerRow | None:  # noqa: A002
        """The container of this ID, or None."""
        row = self._tx.row(f"{_CONTAINERS} WHERE id = ?", (id,))
        return None if row is None else _container(row)

    def list(self) -> Iterator[ContainerRow]:
        """All containers, in the order of the IDs."""
        return map(_container, self._tx.rows(f"{_CONTAINERS} ORDER BY id"))

    def with_layer(self, layer: str) -> ContainerRow | None:
        """The container that has this layer, or None."""
        row = self._tx.row(f"{_CONTAINERS} WHERE layer = ? ORDER BY id LIMIT 1", (layer,))
        return None if row is None else _container(row)

    def with_image(self, image: str) -> Iterator[ContainerRow]:
        """The containers of an image, in the order of the IDs."""
        sql = f"{_CONTAINERS} WHERE image = ? ORDER BY id"
        return map(_container, self._tx.rows(sql, (image,)))

    def with_prefix(self, prefix: str, *, limit: int = -1) -> tuple[str, ...]:
        """The IDs that begin so, in their order."""
        sql = "SELECT id FROM containers WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        return tuple(row[0] for row in self._tx.rows(sql, (prefix, prefix + _ABOVE, limit)))

    def create(self, row: ContainerRow) -> None:
        """Record a container.

        Raises:
            AlreadyExistsError: There is one of its ID.
        """
        sql = (
            f"INSERT INTO containers ({_CONTAINER_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)"  # noqa: S608
            " ON CONFLICT DO NOTHING"
        )
        if not self._tx.execute(sql, _container_values(row)):
            raise AlreadyExistsError(f"container {row.id} exists already")

    def set_metadata(self, id: str, metadata: str) -> None:  # noqa: A002
        """Note something else about a container."""
        self._tx.execute("UPDATE containers SET metadata = ? WHERE id = ?", (metadata, id))

    def set_flags(self, id: str, flags: Mapping[str, object]) -> None:  # noqa: A002
        """Let programs note something else about a container."""
        sql = "UPDATE containers SET flags = ? WHERE id = ?"
        self._tx.execute(sql, (json.dumps(flags), id))

    def delete(self, id: str) -> bool:  # noqa: A002
        """Forget a container; whether it was there."""
        return self._tx.execute("DELETE FROM containers WHERE id = ?", (id,)) > 0


def _image_values(row: StoredImageRow) -> tuple[Value, ...]:
    return (
        row.id,
        row.layer,
        row.digest,
        int(row.made),
        row.target,
        row.target_digest,
        row.manifest_digest,
        row.config_digest,
        row.platform,
        row.size,
        row.metadata,
        json.dumps(row.flags),
        row.created_at_ns,
    )


def _image(row: Row) -> StoredImageRow:
    return StoredImageRow(
        id=row[0],
        layer=row[1],
        digest=_digest(row[2]),
        made=bool(row[3]),
        target=row[4],
        target_digest=_digest(row[5]),
        manifest_digest=_digest(row[6]),
        config_digest=_digest(row[7]),
        platform=row[8],
        size=row[9],
        metadata=row[10],
        flags=json.loads(row[11]),
        created_at_ns=row[12],
    )


def _container_values(row: ContainerRow) -> tuple[Value, ...]:
    return (
        row.id,
        row.image,
        row.layer,
        row.manifest_digest,
        row.config_digest,
        row.metadata,
        json.dumps(row.flags),
        row.created_at_ns,
    )


def _container(row: Row) -> ContainerRow:
    return ContainerRow(
        id=row[0],
        image=row[1],
        layer=row[2],
        manifest_digest=_digest(row[3]),
        config_digest=_digest(row[4]),
        metadata=row[5],
        flags=json.loads(row[6]),
        created_at_ns=row[7],
    )


def _digest(text: str | None) -> Digest | None:
    return None if text is None else Digest(text)
