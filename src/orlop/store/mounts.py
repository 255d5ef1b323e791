"""What is mounted of a store: images, layers and containers, listed and taken away by place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orlop.errors import NotFoundError
from orlop.metadata import Containers, MountSubject, Names
from orlop.storage.lookup import find_image
from orlop.store.mount import MountInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.metadata import ImageRow, MountHolder, MountRecord, Transaction
    from orlop.storage.storage import Storage


def list_mounts(storage: Storage) -> list[MountInfo]:
    """The mounts that are there, with those who hold them; see `Store.mounts`."""
    present = storage.mounts.present()
    with storage.database.read() as tx:
        return [_info(tx, record, holders) for record, holders in present]


def unmount(storage: Storage, target: str | os.PathLike[str], *, lazy: bool) -> bool:
    """Release a mount that outlives its process; see `Store.unmount`."""
    mounts = storage.mounts
    record = mounts.find(Path(os.path.abspath(target))) or mounts.find(
        Path(os.path.realpath(target))
    )
    if record is not None and record.layer is not None:
        return storage.layers.mounts.unmount(record.layer, force=lazy) == 0
    if record is None:
        record = _own_mount(storage, os.fspath(target))
    if record is None:
        raise NotFoundError(
            f"nothing of this store is mounted at {os.fspath(target)}",
            hint=_hint_for(storage, os.fspath(target)),
        )
    return mounts.unmount(record, lazy=lazy)


def _info(tx: Transaction, record: MountRecord, holders: Sequence[MountHolder]) -> MountInfo:
    container, name = None, ""
    if record.layer is not None:
        found = Containers(tx).with_layer(record.layer)
        container = None if found is None else found.id
        names = (
            Names(tx).get("layer", record.layer)
            if found is None
            else Names(tx).get("container", found.id)
        )
        name = next(iter(names), "")
    return MountInfo(
        target=record.target,
        image=record.image_name or "",
        layer=record.layer,
        container=container,
        name=name,
        stack=record.chain_id,
        driver=record.driver,
        writable=record.writable,
        pids=tuple(holder.owner.pid for holder in holders if holder.owner),
        kept=sum(holder.owner is None for holder in holders),
        created_at_ns=record.created_at_ns,
    )


def _own_mount(storage: Storage, name_or_id: str) -> MountRecord | None:
    image = _find(storage, name_or_id)
    if image is None or image.chain_id is None:
        return None
    return storage.mounts.find_own(MountSubject.of(image))


def _find(storage: Storage, name_or_id: str) -> ImageRow | None:
    try:
        with storage.database.read() as tx:
            return find_image(tx, name_or_id)[0]
    except NotFoundError:
        return None


def _hint_for(storage: Storage, name_or_id: str) -> str:
    """What to do for whoever wants something unmounted that is not mounted there."""
    image = _find(storage, name_or_id)
    if image is not None:
        targets = [
            record.target
            for record, _ in storage.mounts.present()
            if record.chain_id == image.chain_id
        ]
        if targets:
            return f"it is mounted at {', '.join(targets)}"
        if not storage.mountables.can_mount:
            return "without the right to mount it was written to a directory, which stays"
    return "`orlop mount` without arguments lists what is"
