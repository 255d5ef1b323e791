"""Layers recorded, and forgotten again: what is checked in the transactions that do it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orlop._sys.process import boot_id, in_initial_user_namespace
from orlop.errors import AlreadyExistsError, InUseError, NotFoundError, some_of
from orlop.metadata import BigData, Containers, LayerRow, Layers, Mounts, Names, StoredImages
from orlop.storage.layers.ancestry import has_layer
from orlop.storage.layers.mapping import encode_mapping
from orlop.storage.layers.record import Users
from orlop.storage.naming import check_id, check_metadata, new_id, require_free
from orlop.storage.reading import unread
from orlop.storage.reserve import with_reserve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orlop.idmap import IdMapping
    from orlop.metadata import Transaction
    from orlop.metadata.layers import LayerForm
    from orlop.storage.core import StorageCore


class Making:
    """Makes and removes the records of a store's layers.

    Args:
        storage: The store.
    """

    def __init__(self, storage: StorageCore) -> None:
        self._storage = storage

    def draft(
        self,
        parent: str | None,
        *,
        id: str | None = None,  # noqa: A002
        metadata: str = "",
        read_only: bool = False,
        flags: Mapping[str, object] | None = None,
        mount_label: str = "",
        id_mapping: IdMapping | None = None,
    ) -> LayerRow:
        """The record of a layer that is to be made; see `create`."""
        return LayerRow(
            id=new_id() if id is None else check_id(id),
            parent=parent,
            form=None if read_only else self._form(),
            read_only=read_only,
            metadata=check_metadata(metadata),
            flags=dict(flags or {}),
            mount_label=mount_label,
            id_mapping=encode_mapping(id_mapping),
            created_at_ns=time.time_ns(),
        )

    def create_in(self, tx: Transaction, row: LayerRow, names: Iterable[str] = ()) -> None:
        """Record a new layer, as part of a transaction; see `create`."""
        if row.parent is not None:
            self._require_parent(tx, row.parent)
        if any(has_layer(store, row.id) for store in self._storage.additional):
            raise AlreadyExistsError(f"layer {row.id} exists in an additional store")
        require_free(tx, "layer", names)
        Layers(tx).create(row)
        Names(tx).add("layer", row.id, names)

    def remove(self, id: str) -> None:  # noqa: A002
        """Remove a layer that is mounted nowhere; the caller holds its lock. See `delete`."""

        def forget() -> None:
            with self._storage.database.write() as tx:
                users = users_in(tx, id)
                if users:
                    raise InUseError(
                        f"layer {id} is needed by {some_of(tuple(users))}",
                        users=tuple(users),
                        hint="remove those first",
                    )
                forget_layer(tx, id)

        with self.unread(id):
            with_reserve(self._storage.places, forget)
        self.discard(id)

    @contextmanager
    def unread(self, id: str) -> Iterator[None]:  # noqa: A002
        """A block in which nobody reads what was written to a layer.

        Raises:
            InUseError: Somebody does just now.
        """
        place = self._storage.places.layer(id)
        with unread(place / "diff"), unread(place / "tree"):
            yield

    def discard(self, id: str) -> None:  # noqa: A002
        """Remove the directory of a layer that is no more; a collection does, if it is being read.

        Somebody may have made another layer of this ID meanwhile, whose directory stays.
        """
        from orlop.storage.leftovers import remove_leftover

        remove_leftover(self._storage, self._storage.places.layer(id))

    def _form(self) -> LayerForm:
        if self._storage.copies:
            return "tree"
        return "diff" if in_initial_user_namespace() else "user-diff"

    def _require_parent(self, tx: Transaction, parent: str) -> None:
        if Layers(tx).get(parent) is None:
            if any(has_layer(store, parent) for store in self._storage.additional):
                return
            raise NotFoundError(f"layer {parent} has just been deleted")
        require_no_writers(tx, parent)


def require_no_writers(tx: Transaction, id: str) -> None:  # noqa: A002
    """Succeed if a layer is not mounted for writing, as a transaction sees it.

    Raises:
        InUseError: It is, or was by a process that has been killed since; see `writable`.
    """
    targets = [record.target for record in Mounts(tx).of_layer(id, boot_id()) if record.writable]
    if targets:
        raise InUseError(
            f"layer {id} takes writes at {', '.join(targets)}, and is to stay as it is",
            users=[f"mount {target}" for target in targets],
            hint="unmount it first",
        )


def users_in(tx: Transaction, id: str) -> Users:  # noqa: A002
    """Who needs a layer, its mounts left out."""
    container = Containers(tx).with_layer(id)
    row = Layers(tx).get(id)
    images = [image.id for image in StoredImages(tx).with_layer(id)]
    if row is not None and row.chain_id is not None and row.pulled:
        from orlop.metadata import Images

        images += [image.image_id.encoded for image in Images(tx).with_chain(row.chain_id)]
    return Users(
        layers=Layers(tx).children(id),
        images=tuple(dict.fromkeys(images)),
        containers=() if container is None else (container.id,),
    )


def forget_layer(tx: Transaction, id: str) -> None:  # noqa: A002
    """Forget all that is recorded of a layer."""
    Layers(tx).delete(id)
    Names(tx).clear("layer", id)
    BigData(tx).clear("layer", id)
