"""Tars applied to layers."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final

from orlop.errors import InUseError
from orlop.metadata import LayerRow, Layers, Lease
from orlop.storage.layers.ancestry import ancestry, locate, row_of
from orlop.storage.layers.contents import Contents
from orlop.storage.layers.freeze import chain_below, holding
from orlop.storage.layers.making import users_in
from orlop.storage.layers.members import iter_members
from orlop.storage.layers.tarball import has_foreign_links, take_entries, take_stream
from orlop.storage.layers.thaw import thaw
from orlop.tree import Merger, difference, directory, lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orlop.metadata import Transaction
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.ancestry import Located
    from orlop.storage.layers.freeze import Freezer
    from orlop.storage.layers.making import Making
    from orlop.storage.layers.mounts import LayerMounts
    from orlop.storage.layers.tarball import Taken

_TRIES: Final = 10
"""How often a parent is frozen anew since it was written to meanwhile."""


class Applier:
    """Applies tars to layers of a store.

    Args:
        storage: The store.
        making: What records layers.
        mounts: The mounts of its layers.
        freezer: What makes tars of them.
    """

    def __init__(
        self, storage: StorageCore, making: Making, mounts: LayerMounts, freezer: Freezer
    ) -> None:
        self._storage = storage
        self._making = making
        self._mounts = mounts
        self._freezer = freezer

    def put(self, row: LayerRow, names: Iterable[str], stream: BinaryIO) -> LayerRow:
        """Make a layer out of a tar, and return its record; see `LayerStore.put`."""
        below = self._frozen(row.parent)
        with Lease(self._storage.database, "put layer") as lease:
            taken = take_stream(self._storage, stream, lease)
            for _ in range(_TRIES):
                self._require_fit(below, taken)
                row = holding(row, taken, chain_below(below))
                with self._unchanged(below) as unchanged:
                    if unchanged:
                        self._record(row, names, lease)
                        return row
                below = self._frozen(row.parent)
        raise InUseError(f"layer {row.parent} is being changed", hint="try again")

    def apply(self, id: str, stream: BinaryIO) -> LayerRow:  # noqa: A002
        """Change a layer by a tar, and return its record; see `LayerStore.apply_diff`."""
        self._require_free(id)
        self._frozen(ancestry(self._storage, id)[0].row.parent)
        with Lease(self._storage.database, "apply") as lease:
            taken = take_stream(self._storage, stream, lease)
            with self._mounts.lock(id):
                return self._hold(id, taken, lease)

    def _record(self, row: LayerRow, names: Iterable[str], lease: Lease) -> None:
        with self._storage.database.write() as tx:
            lease.require_in(tx)
            self._making.create_in(tx, row, names)

    @contextmanager
    def _unchanged(self, below: Sequence[Located]) -> Iterator[bool]:
        """A block in which nobody mounts or changes a parent; whether nobody has so far."""
        if not below or below[0].storage is not self._storage:
            yield True
            return
        id = below[0].row.id  # noqa: A001
        with self._mounts.lock(id):
            with self._storage.database.read() as tx:
                now = locate(row_of(tx, id), self._storage)
            yield not now.written and now.row.diff_id == below[0].row.diff_id

    def _require_free(self, id: str) -> None:  # noqa: A002
        """Succeed if a layer may be changed, before anything is done for it."""
        with self._mounts.lock(id):
            self._mounts.require_unmounted(id)
        with self._storage.database.read() as tx:
            if row_of(tx, id).pulled:
                raise InUseError(
                    f"layer {id} came with an image, and stays what that says",
                    users=[*users_in(tx, id)],
                    hint="make a layer on it, and change that one",
                )
            _require_childless(tx, id)

    def _hold(self, id: str, taken: Taken, lease: Lease) -> LayerRow:  # noqa: A002
        """Let a layer, whose lock is held, hold a tar besides what it has."""
        self._mounts.require_unmounted(id)
        taken = self._merged(id, taken, lease)
        layers = ancestry(self._storage, id)
        with self._storage.database.write() as tx:
            lease.require_in(tx)
            _require_childless(tx, id)
            row = holding(row_of(tx, id), taken, chain_below(layers[1:]))
            row = replace(row, frozen=row.frozen or layers[0].written)
            Layers(tx).replace(row)
        thaw(self._storage, id)
        return row

    def _frozen(self, id: str | None) -> list[Located]:  # noqa: A002
        """A layer and all below it, which are nothing but tars by now."""
        if id is None:
            return []
        layers = ancestry(self._storage, id)
        if not any(each.written for each in layers):
            return layers
        self._freezer.freeze(layers)
        return ancestry(self._storage, id)

    def _merged(self, id: str, taken: Taken, lease: Lease) -> Taken:  # noqa: A002
        """A tar as what the layer is to hold: with what it holds already."""
        layers = ancestry(self._storage, id)
        if layers[0].row.diff_id is None and not layers[0].written:
            self._require_fit(layers[1:], taken)
            return taken
        with Contents(self._storage) as contents:
            merger = Merger(contents.tree(layers))
            merger.apply(taken.changeset.removals(), taken.changeset.additions())
            old = contents.tree(layers[1:]) if layers[1:] else directory()
            entries = difference(old, merger.root, contents.same)
            members = iter_members(entries, partial(lookup, old, follow_last=False))
            return take_entries(self._storage, members, contents.open, lease)

    def _require_fit(self, layers: Sequence[Located], taken: Taken) -> None:
        """Succeed if a tar can stand on these layers: its hard links may lead into them.

        Raises:
            InvalidLayerError: It cannot.
        """
        if has_foreign_links(taken.changeset):
            with Contents(self._storage) as contents:
                merger = Merger(contents.tree(layers) if layers else None)
                merger.apply(taken.changeset.removals(), taken.changeset.additions())


def _require_childless(tx: Transaction, id: str) -> None:  # noqa: A002
    children = Layers(tx).children(id)
    if children:
        raise InUseError(
            f"layer {id} is not to change: {len(children)} layers stand on it",
            users=[f"layer {child}" for child in children],
            hint="make a layer on it, and change that one",
        )
