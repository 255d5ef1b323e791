"""A layer and all below it, wherever they lie, and what a mount of them is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop._sys.process import in_initial_user_namespace
from orlop.errors import InvalidError, NotFoundError, UnsupportedError
from orlop.metadata import Layers
from orlop.storage.layers.mapping import mapping_of
from orlop.storage.left_out import note_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orlop.digest import Digest
    from orlop.idmap import IdMapping
    from orlop.metadata import LayerRow, Transaction
    from orlop.storage.chains import Stack
    from orlop.storage.core import StorageCore


@dataclass(frozen=True, slots=True)
class Located:
    """A layer, and the store that it lies in.

    Attributes:
        row: Its record.
        storage: The store: the one that was asked, or an additional one of it.
        written: Whether anything may have been written to it that its tar has not.
    """

    row: LayerRow
    storage: StorageCore
    written: bool

    @property
    def directory(self) -> Path | None:
        """Its directory of writes; None where it never gets one."""
        return None if self.row.form is None else directory_of(self.storage, self.row)


@dataclass(frozen=True, slots=True)
class Written:
    """A directory of writes.

    Attributes:
        path: Where it is.
        mapping: The IDs that they were made through.
    """

    path: Path
    mapping: IdMapping | None


@dataclass(frozen=True, slots=True)
class Ground:
    """What a layer's mount consists of, or stands on.

    Attributes:
        directories: Directories in overlay's form, the topmost first.
        base: What lies below them: a stack of tars, a whole tree, or nothing.
    """

    directories: tuple[Written, ...]
    base: Stack | Written | None


def has_layer(storage: StorageCore, id: str) -> bool:  # noqa: A002
    """Whether there is a layer of this very ID in a store itself."""
    with storage.database.read() as tx:
        return Layers(tx).get(id) is not None


def require_owners(layers: Sequence[Located]) -> None:
    """Succeed if the owners of what was written to layers are to be seen from here.

    Raises:
        UnsupportedError: It was written in a user namespace, and this is none.
    """
    if not in_initial_user_namespace():
        return
    for each in seen_of(layers):
        if each.written and each.row.form == "user-diff":
            raise UnsupportedError(
                f"layer {each.row.id} was written in a user namespace, and shows its owners there",
                hint="do it in `orlop unshare`",
            )


def directory_of(storage: StorageCore, row: LayerRow) -> Path:
    """Where a layer's writes go: `layers/<id>/diff`, or `tree`."""
    return storage.places.layer(row.id) / ("tree" if row.form == "tree" else "diff")


def note_of(storage: StorageCore, row: LayerRow) -> Path:
    """Where it is noted what a layer's whole copy lacks: `layers/<id>/tree.lacks`."""
    return storage.places.layer(row.id) / note_name("tree")


def ancestry(storage: StorageCore, id: str) -> list[Located]:  # noqa: A002
    """A layer and all below it, the topmost first, as they are at one moment.

    Raises:
        NotFoundError: The layer is gone.
        InvalidError: One below is missing: the store is damaged.
    """
    found: list[Located] = []
    wanted: str | None = id
    for store in (storage, *storage.additional):
        if wanted is None:
            break
        found += _located(store, wanted)
        wanted = found[-1].row.parent if found else wanted
    if not found:
        raise NotFoundError(f"layer {id} has just been deleted", hint="look again what there is")
    if wanted is not None:
        raise InvalidError(
            f"layer {wanted} is missing, and {id} stands on it",
            hint="run `orlop check`; additional stores must be named where layers stand on theirs",
        )
    return found


def locate(row: LayerRow, storage: StorageCore) -> Located:
    """A layer of a store, by its record."""
    may_be = row.form is not None and not row.frozen
    return Located(row, storage, may_be and directory_of(storage, row).is_dir())


def _located(storage: StorageCore, id: str) -> list[Located]:  # noqa: A002
    while True:
        with storage.database.read() as tx:
            rows = Layers(tx).ancestry(id)
        tars = next((at for at, row in enumerate(rows) if row.diff_id is not None), len(rows)) + 1
        found = [locate(row, storage) for row in rows[:tars]]
        # A directory that is not there may have become a tar since the records were read.
        doubtful = [each for each in found if each.directory is not None and not each.written]
        with storage.database.read() as tx:
            if all(is_unchanged(tx, each) for each in doubtful):
                break
    # Below a tar are only tars; what is not is damage, which is looked for where it matters.
    return found + [
        locate(row, storage) if row.diff_id is None else Located(row, storage, written=False)
        for row in rows[tars:]
    ]


def seen_of(layers: Sequence[Located]) -> Sequence[Located]:
    """Those of these layers, the topmost first, that have anything but tars: to the first tar."""
    for at, each in enumerate(layers):
        if each.row.diff_id is not None:
            return layers[: at + 1]
    return layers


def is_unchanged(tx: Transaction, layer: Located) -> bool:
    """Whether a layer still holds the tar that it held, and its directory counts as it did."""
    row = Layers(tx).get(layer.row.id)
    return row is not None and row.diff_id == layer.row.diff_id and row.frozen <= layer.row.frozen


def ground_of(layers: Sequence[Located], *, without: Path | None = None) -> Ground:
    """What layers consist of, the topmost first, as far as anything of the lower ones shows.

    Args:
        layers: The layers.
        without: A directory that is to be left out: the one that is to take the writes.
    """
    directories: list[Written] = []
    for at, each in enumerate(layers):
        directory = each.directory
        if directory not in {None, without} and each.written:
            assert directory is not None
            written = Written(directory, mapping_of(each.row))
            if each.row.form == "tree":
                return Ground(tuple(directories), written)
            directories.append(written)
        if each.row.diff_id is not None:
            return Ground(tuple(directories), stack_of(layers[at:]))
    return Ground(tuple(directories), None)


def stack_of(layers: Sequence[Located]) -> Stack:
    """The stack of tars that these layers are, the topmost first.

    Raises:
        InvalidError: One below another tar is something else, which no step of orlop leaves.
    """
    diff_ids: list[Digest] = []
    for each in reversed(layers):
        if each.row.diff_id is not None:
            diff_ids.append(each.row.diff_id)
        elif each.written:
            raise InvalidError(
                f"layer {each.row.id} is a directory below a tar", hint="run `orlop check`"
            )
    from orlop.storage.chains import Stack

    return Stack.of(diff_ids)


def row_of(tx: Transaction, id: str) -> LayerRow:  # noqa: A002
    """The record of a layer that was there a moment ago.

    Raises:
        InvalidError: It is gone.
    """
    row = Layers(tx).get(id)
    if row is None:
        raise InvalidError(f"layer {id} has just been deleted", hint="look again what there is")
    return row
