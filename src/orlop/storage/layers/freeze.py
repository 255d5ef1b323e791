"""Turning what was written to a layer into a tar: it becomes a layer like those of images.

A layer that a tar is to stand on is frozen first, so that below a tar there are only tars. Its
directory stays as long as a mount stands on it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orlop.digest import chain_on
from orlop.errors import UnsupportedError
from orlop.metadata import Layers, Lease
from orlop.storage.layers.ancestry import ancestry, require_owners, row_of
from orlop.storage.layers.contents import Contents
from orlop.storage.layers.making import require_no_writers
from orlop.storage.layers.tarball import take_entries
from orlop.storage.layers.thaw import thaw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.digest import Digest
    from orlop.metadata import LayerRow
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.ancestry import Located
    from orlop.storage.layers.diff import Differ
    from orlop.storage.layers.mounts import LayerMounts
    from orlop.storage.layers.tarball import Taken


class Freezer:
    """Freezes layers of a store.

    Args:
        storage: The store.
        mounts: The mounts of its layers.
        differ: What reads its layers.
    """

    def __init__(self, storage: StorageCore, mounts: LayerMounts, differ: Differ) -> None:
        self._storage = storage
        self._mounts = mounts
        self._differ = differ

    def freeze(self, layers: Sequence[Located]) -> None:
        """Let these layers, the topmost first, hold nothing but tars.

        Raises:
            InUseError: One takes writes just now.
            UnsupportedError: One was written to in an additional store.
            OSError: Something could not be read or written; what was frozen stays so.
        """
        for each in reversed(layers):
            if each.written and each.storage is not self._storage:
                raise UnsupportedError(
                    f"layer {each.row.id} was written to in an additional store, where nothing is"
                    " changed",
                    hint=f"do it in the store {each.storage.places.root} itself",
                )
            if each.written:
                self._freeze(each.row.id)

    def _freeze(self, id: str) -> None:  # noqa: A002
        with self._mounts.lock(id), Lease(self._storage.database, "freeze") as lease:
            layers = ancestry(self._storage, id)
            layer = layers[0]
            if not layer.written:
                return
            require_owners(layers[:1])
            self._mounts.find(id)
            with self._storage.database.read() as tx:
                require_no_writers(tx, id)
            with Contents(self._storage) as contents:
                members = self._differ.members(contents, layers)
                taken = take_entries(self._storage, members, contents.open, lease)
            with self._storage.database.write() as tx:
                lease.require_in(tx)
                row = row_of(tx, id)
                Layers(tx).replace(holding(row, taken, chain_below(layers[1:]), frozen=True))
            thaw(self._storage, id)


def holding(row: LayerRow, taken: Taken, below: Digest | None, *, frozen: bool = False) -> LayerRow:
    """The record of a layer that holds a tar from now on."""
    return replace(
        row,
        diff_id=taken.diff_id,
        diff_size=taken.size,
        chain_id=chain_on(below, taken.diff_id),
        source=taken.source,
        source_size=taken.source_size,
        compression=taken.compression,
        frozen=frozen,
    )


def chain_below(layers: Sequence[Located]) -> Digest | None:
    """The chainID of what a tar is to stand on; these layers hold nothing but tars."""
    return next((each.row.chain_id for each in layers if each.row.diff_id is not None), None)
