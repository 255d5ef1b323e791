"""Mounts of layers, counted across processes: the last holder's going takes them away.

Each layer has one mount at most, at a place that follows from its ID. A row of the database stands
for it; it is there before the mount and after it. The layer's lock is held while it is made and
taken away. Two things keep each other out in one transaction each: a mount that takes writes, and
a layer that is to stand on what is mounted.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from orlop._sys.process import boot_id, command_line, mount_namespace
from orlop.errors import ConflictError, IdMapRefusedError, InUseError
from orlop.metadata import Layers, MountHolder, MountRecord, Mounts
from orlop.storage.layers.ancestry import ancestry, is_unchanged, locate, row_of, seen_of
from orlop.storage.layers.thaw import thaw
from orlop.storage.layers.view import Viewer, ViewOptions
from orlop.storage.mounts import NOT_MOUNTED, is_beyond
from orlop.storage.shown import rooted_in, shown_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop._sys.lock import FileLock
    from orlop.metadata import Owner, Transaction
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.ancestry import Located
    from orlop.storage.layers.view import View

_TRIES: Final = 10
"""How often a mount is begun anew since layers below were changed meanwhile."""
_Held: TypeAlias = tuple[MountRecord, list[MountHolder]]
"""A mount, and the holders of it that still count."""


class LayerMounts:
    """The mounts of a store's layers.

    Args:
        storage: The store.
    """

    def __init__(self, storage: StorageCore) -> None:
        self._storage = storage
        self._viewer = Viewer(storage)

    def lock(self, id: str) -> FileLock:  # noqa: A002
        """The lock of whoever mounts, changes or removes a layer."""
        return self._storage.mounts.lock_layer(id)

    def hold(
        self,
        id: str,  # noqa: A002
        *,
        read_only: bool | None,
        owner: Owner | None,
        nodev: bool = True,
        nosuid: bool = True,
        target: Path | None = None,
    ) -> tuple[MountRecord, str]:
        """Mount a layer, or hold its mount together with others.

        Args:
            id: The layer.
            read_only: Whether it takes no writes; None for none where it cannot.
            owner: The process that the hold ends with; None where it ends by `release` alone.
            nodev: Device nodes inside are dead.
            nosuid: Set-user-id bits inside are ignored.
            target: An existing directory to show it at, where it is not mounted yet; None for a
                place of orlop's own.

        Returns:
            The mount, and the name of the hold.

        Raises:
            InUseError: It is to take writes and cannot: layers stand on it, or it is mounted
                read-only.
            UnsupportedError: No right to mount, or a kernel that cannot.
            NotFoundError: What it is made of is lost.
            OSError: Something is missing, or the kernel refuses it.
        """
        self._storage.require_writable()
        with self.lock(id):
            recorded = self._recorded(id)
            found = self._here(recorded)
            if found is not None:
                record, _ = found
                if read_only is False and not record.writable:
                    raise _taken(id, record, "read-only")
                return record, self._add_holder(record, owner)
            self._require_unmoved(id, recorded)
            for _ in range(_TRIES):
                layers = self._layers(id)
                writable = self._takes_writes(layers[0], read_only)
                _require_alone(id, recorded, writable=writable)
                options = ViewOptions(writable=writable, nodev=nodev, nosuid=nosuid)
                try:
                    with self._view(layers, options) as view:
                        return self._attach(layers, view, options, owner, target)
                except (ConflictError, FileNotFoundError):
                    if self._are_unchanged(layers):
                        raise
        raise InUseError(f"layers below {id} are being changed", hint="try again")

    def _layers(self, id: str) -> list[Located]:  # noqa: A002
        """A layer and all below it; its own directory is one that takes writes, if any."""
        layers = ancestry(self._storage, id)
        if layers[0].row.frozen and layers[0].storage is self._storage:
            thaw(self._storage, id)
            layers = ancestry(self._storage, id)
        return layers

    @contextmanager
    def _view(self, layers: list[Located], options: ViewOptions) -> Iterator[View]:
        """A view of the first of these layers; of a copy where its IDs cannot be had otherwise."""
        if layers[0].row.form == "tree" and options.writable:
            self._make_tree(layers)
        try:
            view = self._viewer.open(layers, options)
        except IdMapRefusedError:
            if not options.writable or layers[0].written:
                raise
            with self._storage.database.write() as tx:
                row = replace(row_of(tx, layers[0].row.id), form="tree")
                Layers(tx).replace(row)
            layers = [locate(row, layers[0].storage), *layers[1:]]
            self._make_tree(layers)
            view = self._viewer.open(layers, options)
        try:
            yield view
        finally:
            self._viewer.close(view)

    def _make_tree(self, layers: list[Located]) -> None:
        from orlop.storage.layers.copy import make_tree

        make_tree(self._storage, layers)

    def find(self, id: str) -> MountRecord | None:  # noqa: A002
        """The mount of a layer that is there, in this boot and mount namespace; else None.

        One whose holders are all gone, and one that somebody else has taken away, is none: it is
        forgotten, and taken away. The caller holds the layer's lock.

        Raises:
            InUseError: Nobody holds it, and files below it are open.
        """
        found = self._here(self._recorded(id))
        return None if found is None else found[0]

    def writable(self, id: str) -> bool:  # noqa: A002
        """Whether a mount takes writes that somebody holds; one that nobody holds is taken away."""
        with self.lock(id):
            self.find(id)
        return any(record.writable for record, _ in self._recorded(id))

    def count(self, id: str) -> int:  # noqa: A002
        """How many hold the mount of a layer."""
        return sum(len(holders) for _, holders in self._present(id))

    def is_kept(self, id: str) -> bool:  # noqa: A002
        """Whether a layer is mounted here until somebody unmounts it, whatever process ends."""
        here = mount_namespace()
        return any(
            holder.owner is None
            for record, holders in self._present(id)
            if record.mount_namespace == here
            for holder in holders
        )

    def targets(self, id: str) -> tuple[str, ...]:  # noqa: A002
        """Where a layer is mounted, in this mount namespace or another."""
        return tuple(record.target for record, holders in self._present(id) if holders)

    def release(self, record: MountRecord, holder: str, *, lazy: bool = False) -> int:
        """Give up a hold; the last one takes the mount away. How many are left.

        Raises:
            InUseError: It was the last one, and files below the mount are open; the hold stays.
            OSError: Unmounting failed.
        """
        assert record.layer is not None
        with self.lock(record.layer):
            others = [
                each for each in self._storage.mounts.live_holders(record) if each.id != holder
            ]
            if others:
                with self._storage.database.write(durable=False) as tx:
                    Mounts(tx).release(holder)
            else:
                self._sync(record)
                self._take_away(record, lazy=lazy)
            return len(others)

    def unmount(self, id: str, *, force: bool = False) -> int:  # noqa: A002
        """Give up a hold that nobody in particular has, or all of them; how many are left.

        Args:
            id: The layer.
            force: Give up all holds, and take the mount away even while it is in use; not from
                a container, which would go on with files that others then write to.

        Raises:
            InUseError: Only processes that are alive hold it, or files below it are open; or a
                container runs in it.
            OSError: Unmounting failed.
        """
        with self.lock(id):
            if force:
                self._require_no_container(id)
                self.take_away(id)
                return 0
            found = self._here(self._recorded(id))
            if found is None:
                return 0
            record, holders = found
            free = [holder for holder in holders if holder.owner is None]
            if not free:
                pids = [str(holder.owner.pid) for holder in holders if holder.owner]
                raise InUseError(
                    f"{record.target} is held by process {', '.join(pids)}",
                    users=[f"process {pid}" for pid in pids],
                    hint="end it, or unmount by force",
                )
            if len(holders) > 1:
                with self._storage.database.write(durable=False) as tx:
                    Mounts(tx).release(free[0].id)
                return len(holders) - 1
            self._sync(record)
            self._take_away(record, lazy=False)
            return 0

    def _require_no_container(self, id: str) -> None:  # noqa: A002
        pids = rooted_in(self._storage.places.layer(id))
        if pids:
            raise InUseError(
                f"layer {id} is the root of process {pids[0]} ({command_line(pids[0])})",
                users=[f"process {pid}" for pid in pids],
                hint="end the container first",
            )

    def take_away(self, id: str) -> None:  # noqa: A002
        """Take a layer's mount away, whoever holds it; the caller holds the layer's lock.

        Raises:
            InUseError: It is mounted where nothing is recorded.
            OSError: Unmounting failed.
        """
        recorded = self._recorded(id)
        self._require_unmoved(id, recorded)
        for record, _ in recorded:
            if record.mount_namespace == mount_namespace():
                self._take_away(record, lazy=True)

    def require_unmounted(self, id: str) -> None:  # noqa: A002
        """Succeed if a layer is mounted nowhere; the caller holds its lock.

        Raises:
            InUseError: It is mounted.
        """
        recorded = self._recorded(id)
        found = self._here(recorded)
        here = mount_namespace()
        away = [each for each, holders in recorded if holders and each.mount_namespace != here]
        targets = [each.target for each in (*away, *(found or ())[:1])]
        if not targets:
            self._require_unmoved(id, recorded)
        if targets:
            raise InUseError(
                f"layer {id} is mounted at {', '.join(targets)}",
                users=[f"mount {target}" for target in targets],
                hint="unmount it first",
            )

    def moved(self, id: str) -> tuple[str, ...]:  # noqa: A002
        """Where a layer is mounted without a record: a directory above was moved, or it is copied.

        Only this mount namespace is looked through.
        """
        return self._moved(id, self._recorded(id))

    def _moved(self, id: str, recorded: list[_Held]) -> tuple[str, ...]:  # noqa: A002
        shown = shown_at(self._storage.places.layer(id))
        if not shown:
            return ()
        here = mount_namespace()
        known = {
            os.path.realpath(record.target)
            for record, _ in recorded
            if record.mount_namespace == here and self._storage.mounts.is_there(record)
        }
        return tuple(each for each in shown if each not in known)

    def _require_unmoved(self, id: str, recorded: list[_Held]) -> None:  # noqa: A002
        """Succeed if a layer is mounted nowhere but where it is recorded to be."""
        targets = self._moved(id, recorded)
        if targets:
            raise InUseError(
                f"layer {id} is mounted at {', '.join(targets)}, where orlop has not mounted it",
                users=[f"mount {target}" for target in targets],
                hint=f"move the directory back, or unmount it: umount {targets[0]}",
            )

    def _recorded(self, id: str) -> list[_Held]:  # noqa: A002
        """The mounts that are recorded of a layer, with the holders that still count.

        Those that went with their mount namespace are none; a collection forgets them.
        """
        now, here = time.time_ns(), mount_namespace()
        with self._storage.database.read() as tx:
            mounts = list(Mounts(tx).of_layer(id, boot_id()))
            found = [(record, Mounts(tx).holders(record.id)) for record in mounts]
        return [
            (record, [holder for holder in holders if holder.is_live(now)])
            for record, holders in found
            if record.mount_namespace == here or not is_beyond(record, holders)
        ]

    def _present(self, id: str) -> list[_Held]:  # noqa: A002
        """Those of them that are there; what is in other mount namespaces is believed to be."""
        here = mount_namespace()
        return [
            (record, holders)
            for record, holders in self._recorded(id)
            if record.mount_namespace != here or self._storage.mounts.is_there(record)
        ]

    def _here(self, recorded: list[_Held]) -> _Held | None:
        """The mount of a layer in this mount namespace; see `find`."""
        if not recorded:
            return None
        here = mount_namespace()
        for record, holders in recorded:
            if record.mount_namespace != here:
                continue
            if holders and self._storage.mounts.is_there(record):
                return record, holders
            if not self._storage.mounts.is_there(record):
                self._require_unmoved(record.layer or "", recorded)
            self._take_away(record, lazy=False)
        return None

    @staticmethod
    def _takes_writes(layer: Located, read_only: bool | None) -> bool:
        row, store = layer.row, layer.storage
        if row.form is None or row.read_only or row.frozen or store.database.read_only:
            if read_only is False:
                raise InUseError(f"layer {row.id} is read-only", hint="make a layer on it")
            return False
        if read_only is not None:
            return not read_only
        with store.database.read() as tx:
            return not Layers(tx).has_children(row.id)

    def _attach(
        self,
        layers: list[Located],
        view: View,
        options: ViewOptions,
        owner: Owner | None,
        place: Path | None,
    ) -> tuple[MountRecord, str]:
        """Record a mount of the first of these layers, and show it.

        Raises:
            ConflictError: A layer below has been changed meanwhile.
        """
        id = layers[0].row.id  # noqa: A001
        target = place or self.place_of(id)
        if view.directory is not None and view.handle is None:
            target = view.directory
        now = time.time_ns()
        record = MountRecord(
            id=os.urandom(16).hex(),
            layer=id,
            target=str(target),
            driver="vfs" if view.directory is not None else self._storage.driver,
            boot_id=boot_id(),
            mount_namespace=mount_namespace(),
            mount_id=NOT_MOUNTED if view.handle is None else view.handle.mount_id,
            created_at_ns=now,
            below=None if view.below is None else view.below.id,
            writable=options.writable,
        )
        holder = MountHolder(
            id=os.urandom(16).hex(), mount=record.id, owner=owner, created_at_ns=now
        )
        with self._storage.database.write(durable=False) as tx:
            self._require_writable(tx, id, options)
            if not self._are_unchanged_in(tx, layers):
                raise ConflictError(f"layers below {id} have just been changed", hint="try again")
            Mounts(tx).put(record)
            Mounts(tx).hold(holder)
            if view.holder:
                Mounts(tx).release(view.holder)
                view.holder = ""
        if view.handle is None:
            return record, holder.id
        try:
            if place is None:
                self._storage.places.make_below_run(target)
            view.handle.attach(target)
        except BaseException:
            self._forget(record)
            raise
        return record, holder.id

    def _are_unchanged(self, layers: list[Located]) -> bool:
        with self._storage.database.read() as tx:
            return self._are_unchanged_in(tx, layers)

    def _are_unchanged_in(self, tx: Transaction, layers: list[Located]) -> bool:
        """Whether layers are what they were taken for; those of other stores always are."""
        own = (each for each in seen_of(layers) if each.storage is self._storage)
        return all(is_unchanged(tx, each) for each in own)

    @staticmethod
    def _require_writable(tx: Transaction, id: str, options: ViewOptions) -> None:  # noqa: A002
        """Succeed if a layer still takes writes, if it is to."""
        if not options.writable:
            return
        row_of(tx, id)
        children = Layers(tx).children(id)
        if children:
            raise InUseError(
                f"layer {id} takes no more writes: {len(children)} layers stand on it",
                users=[f"layer {child}" for child in children],
                hint="make a layer on it, and write to that one",
            )

    def place_of(self, id: str) -> Path:  # noqa: A002
        """Where a layer is mounted; several stores may share `RUN`."""
        return self._storage.places.mount_place(id, "layer")

    def _add_holder(self, record: MountRecord, owner: Owner | None) -> str:
        holder = MountHolder(
            id=os.urandom(16).hex(), mount=record.id, owner=owner, created_at_ns=time.time_ns()
        )
        with self._storage.database.write(durable=False) as tx:
            Mounts(tx).hold(holder)
        return holder.id

    def _take_away(self, record: MountRecord, *, lazy: bool) -> None:
        self._storage.mounts.take_away(record, lazy=lazy)
        self._forget(record)

    def _sync(self, record: MountRecord) -> None:
        """Bring to the disk what was written to a bare directory; the kernel does it for mounts."""
        assert record.layer is not None
        if record.mount_id != NOT_MOUNTED or not record.writable:
            return
        with self._storage.database.read() as tx:
            row = Layers(tx).get(record.layer)
        if row is not None:
            from orlop.storage.layers.copy import sync_copy

            sync_copy(Path(record.target), row)

    def _forget(self, record: MountRecord) -> None:
        with self._storage.database.write(durable=False) as tx:
            Mounts(tx).delete(record.id)
            below = None if record.below is None else Mounts(tx).get(record.below)
            if below is not None and Mounts(tx).is_below(below.id):
                below = None
        if below is not None:
            self._storage.mounts.drop_unused(below)


def _require_alone(id: str, recorded: list[_Held], *, writable: bool) -> None:  # noqa: A002
    """Succeed unless a layer would be written to through two mounts at once, or written and read.

    All that is recorded and held lies in other mount namespaces.
    """
    for record, holders in recorded:
        here = record.mount_namespace == mount_namespace()
        if holders and not here and (writable or record.writable):
            raise _taken(id, record, "in another mount namespace")


def _taken(id: str, record: MountRecord, how: str) -> InUseError:  # noqa: A002
    return InUseError(
        f"layer {id} is mounted at {record.target}, {how}",
        users=[f"mount {record.target}"],
        hint="unmount it first",
    )
