"""Taking away all mounts of a store, and emptying it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from orlop._sys.process import boot_id, mount_namespace
from orlop.errors import InUseError, some_of
from orlop.storage.collect import collect
from orlop.storage.reserve import with_reserve

if TYPE_CHECKING:
    from orlop.metadata import MountRecord
    from orlop.storage.core import StorageCore


def shutdown(storage: StorageCore, *, force: bool = False) -> tuple[str, ...]:
    """Take away the store's mounts, and say where they were; see `Storage.shutdown`."""
    storage.let_go()
    storage.mounts.clean()
    taken: list[str] = []
    users: list[str] = []
    # What stands on others goes before them.
    for record, _ in storage.mounts.present():
        if record.mount_namespace != mount_namespace():
            if force:
                continue
            users.append(f"mount {record.target} of another mount namespace")
        elif not force and (held := _others(storage, record)):
            users += held
        else:
            try:
                storage.mounts.drop(record, lazy=force)
            except InUseError as error:
                users += error.users or [str(error)]
            else:
                taken.append(record.target)
    if users:
        raise InUseError(
            f"mounts of the store at {storage.places.root} are in use: {some_of(users)}",
            users=users,
            hint="end those processes, or have the mounts taken away by force",
        )
    return tuple(taken)


def wipe(storage: StorageCore, *, force: bool = False) -> None:
    """Remove everything; see `Storage.wipe`."""
    shutdown(storage, force=force)
    with_reserve(storage.places, lambda: _forget(storage))
    with_reserve(storage.places, lambda: collect(storage, unfinished=True))


def _others(storage: StorageCore, record: MountRecord) -> list[str]:
    """The processes that hold a mount, this one left out."""
    pids = {holder.owner.pid for holder in storage.mounts.live_holders(record) if holder.owner} - {
        os.getpid()
    }
    return [f"process {pid} at {record.target}" for pid in sorted(pids)]


def _forget(storage: StorageCore) -> None:
    """Forget all that nobody but its user keeps; blobs go with the collection that follows."""
    with storage.database.write() as tx:
        mounted = tx.row(_MOUNTED, (boot_id(),))
        if mounted is not None:
            raise InUseError(f"a layer has just been mounted at {mounted[0]}", hint="try again")
        for table in _TABLES:
            tx.execute(f"DELETE FROM {table}")  # noqa: S608 - names from this module


_MOUNTED: Final = "SELECT target FROM mounts WHERE layer IS NOT NULL AND boot_id = ? LIMIT 1"
_TABLES: Final = (
    "containers", "stored_images", "images", "layers", "object_names", "name_history", "big_data",
    "chain_layers", "blob_labels",
)  # fmt: skip
