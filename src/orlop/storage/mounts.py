"""Mounts that are counted: one mount for any number of holders, gone with the last of them.

A row of the database stands for one mount at one target, in one boot and mount namespace; each of
its holders has a row too. The row is there before the mount and after it, so that a process that
is killed in between leaves at most a row of nothing, which the next one drops. Nothing is ever
unmounted that does not have the unique mount id of its row.

The target's lock is held while a mount is made, copied or taken away. Whoever makes a mount as a
copy of another tries the other one's lock, too, and does not wait for it.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orlop._sys.lock import FileLock
from orlop._sys.mountinfo import iter_mounts
from orlop._sys.process import boot_id, mount_namespace, seen_mount_namespaces
from orlop.digest import Digest
from orlop.drivers import is_mounted, mount_bind, unmount
from orlop.errors import AlreadyExistsError, InUseError, NotFoundError
from orlop.metadata import MountHolder, MountRecord, Mounts, Owner
from orlop.storage.mountable import DRIVERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.drivers import MountHandle
    from orlop.metadata import Database, ImageRow
    from orlop.storage.mountable import Driver, Mountable
    from orlop.storage.places import Places

_LOCK_TIMEOUT: Final = 60.0
_NAME_LENGTH: Final = 16


class MountTable:
    """The mounts of a store.

    Args:
        places: Where the store is.
        database: Where they are recorded.
    """

    def __init__(self, places: Places, database: Database) -> None:
        self._places = places
        self._database = database

    def entries(self) -> list[tuple[MountRecord, tuple[MountHolder, ...]]]:
        """The mounts of this boot with their holders, as recorded."""
        with self._database.read() as tx:
            mounts = [record for record in Mounts(tx).list() if record.boot_id == boot_id()]
            return [(record, Mounts(tx).holders(record.id)) for record in mounts]

    def present(self) -> list[tuple[MountRecord, tuple[MountHolder, ...]]]:
        """The mounts that are there, with the holders that are alive.

        Mounts of other mount namespaces cannot be seen from here, and are believed to be there.
        """
        here = mount_namespace()
        return [
            (record, tuple(self._live_holders(record)))
            for record, _ in self.entries()
            if record.mount_namespace != here or self._is_there(record)
        ]

    def hold(
        self,
        image: ImageRow,
        mountable: Mountable,
        target: Path | None,
        *,
        owner: Owner | None,
    ) -> tuple[MountRecord, str]:
        """Mount an image, or hold its mount together with others.

        Args:
            image: What is mounted.
            mountable: From what.
            target: Where; None for a place of orlop's own, which all who mount it so share.
            owner: The process that the hold ends with; None where it ends by `unmount` alone.

        Returns:
            The mount, and the name of the hold.

        Raises:
            AlreadyExistsError: Something of orlop's is mounted at the target.
            InUseError: Another process is mounting there and does not end.
            UnsupportedError: No right to mount, or a kernel that cannot.
            OSError: The target is missing or no directory, or mounting failed.
        """
        shared = target is None
        target = self.own_place(image, mountable.driver) if target is None else target.resolve()
        with self._lock(target):
            found = self._living(target)
            if found is None:
                if not shared and not target.is_dir():
                    code = errno.ENOTDIR if target.exists() else errno.ENOENT
                    raise OSError(code, "no directory to mount at", str(target))
                record = self._mount(image, mountable, target, shared=shared)
            elif shared and found.chain_id == image.chain_id:
                record = found
            else:
                raise AlreadyExistsError(
                    f"{found.image_name} is mounted at {target} already",
                    hint=f"unmount it first: orlop umount {target}",
                )
            return record, self._add_holder(record, owner)

    def release(self, record: MountRecord, holder: str, *, lazy: bool = False) -> None:
        """Give up a hold; the last one takes the mount away.

        Raises:
            InUseError: It was the last one, and files below the mount are open; the hold stays.
            OSError: Unmounting failed.
        """
        with self._lock(Path(record.target)):
            others = [other for other in self._live_holders(record) if other.id != holder]
            if not others:
                self._take_away(record, lazy=lazy)
            with self._database.write() as tx:
                Mounts(tx).release(holder)
                if not others:
                    Mounts(tx).delete(record.id)

    def unmount(self, record: MountRecord, *, lazy: bool = False) -> bool:
        """Release one hold that nobody in particular has; whether the mount is gone now.

        Raises:
            InUseError: Only processes that are alive hold it; or files below it are open.
            OSError: Unmounting failed.
        """
        with self._lock(Path(record.target)):
            holders = self._live_holders(record)
            free = [holder for holder in holders if holder.owner is None]
            if holders and not free:
                pids = ", ".join(str(holder.owner.pid) for holder in holders if holder.owner)
                raise InUseError(
                    f"{record.target} is held by process {pids}", hint="end it, and try again"
                )
            last = len(holders) <= 1
            if last:
                self._take_away(record, lazy=lazy)
            with self._database.write() as tx:
                if last:
                    Mounts(tx).delete(record.id)
                else:
                    Mounts(tx).release(free[0].id)
            return last

    def find(self, target: Path) -> MountRecord | None:
        """The mount at a target in this boot and mount namespace, or None."""
        with self._database.read() as tx:
            return Mounts(tx).at(str(target), boot_id(), mount_namespace())

    def stale(self) -> list[MountRecord]:
        """The mounts that `clean` would take away, if they are not in use."""
        here = mount_namespace()
        return [
            record
            for record, holders in self.entries()
            if (
                not (self._live_holders(record) and self._is_there(record))
                if record.mount_namespace == here
                else _is_beyond(record, holders)
            )
        ]

    def clean(self) -> list[MountRecord]:
        """Take away the mounts whose holders are all gone, and forget those that are; which.

        What is in use stays for the next time. A mount namespace without processes is gone, unless
        it is mounted somewhere itself.
        """
        cleaned = []
        for record, holders in self.entries():
            if record.mount_namespace != mount_namespace():
                if _is_beyond(record, holders):
                    with self._database.write() as tx:
                        Mounts(tx).delete(record.id)
                    cleaned.append(record)
                continue
            with self._lock(Path(record.target)):
                if self._live_holders(record) and self._is_there(record):
                    continue
                try:
                    self._take_away(record, lazy=False)
                except InUseError:
                    continue
                with self._database.write() as tx:
                    Mounts(tx).delete(record.id)
                cleaned.append(record)
        return cleaned

    def own_place(self, image: ImageRow, driver: Driver) -> Path:
        """Where an image is mounted when nobody says where; several stores may share `RUN`."""
        assert image.chain_id is not None
        root = os.fsencode(os.path.realpath(self._places.root))
        name = Digest.of(root + image.chain_id.encode()).encoded[:_NAME_LENGTH]
        return self._places.mounts / f"{name}-{driver}"

    def find_own(self, image: ImageRow) -> MountRecord | None:
        """A mount of an image at a place of orlop's own, or None."""
        places = (self.own_place(image, driver) for driver in DRIVERS)
        return next((found for place in places if (found := self.find(place))), None)

    def _lock(self, target: Path) -> FileLock:
        return FileLock(self._places.mount_lock(target), timeout=_LOCK_TIMEOUT)

    def _living(self, target: Path) -> MountRecord | None:
        """The mount that is recorded at a target, if it is there; else its row is dropped.

        One that nobody holds any more is taken away, unless it is at a place of orlop's own.
        """
        record = self.find(target)
        if record is None:
            return None
        if self._is_there(record):
            if target.parent == self._places.mounts or self._live_holders(record):
                return record
            self._take_away(record, lazy=False)
        with self._database.write() as tx:
            Mounts(tx).delete(record.id)
        return None

    def _is_there(self, record: MountRecord) -> bool:
        return is_mounted(record.target, mount_id=record.mount_id)

    def _mount(
        self, image: ImageRow, mountable: Mountable, target: Path, *, shared: bool
    ) -> MountRecord:
        with self._detached(image, mountable) as handle:
            record = MountRecord(
                id=os.urandom(16).hex(),
                chain_id=image.chain_id,
                image_name=image.name,
                image_id=image.image_id,
                target=str(target),
                driver=mountable.driver,
                boot_id=boot_id(),
                mount_namespace=mount_namespace(),
                mount_id=handle.mount_id,
                created_at_ns=time.time_ns(),
            )
            with self._database.write() as tx:
                Mounts(tx).put(record)
            try:
                if shared:
                    self._make_place(target)
                handle.attach(target)
            except BaseException:
                with self._database.write() as tx:
                    Mounts(tx).delete(record.id)
                raise
        return record

    def _detached(self, image: ImageRow, mountable: Mountable) -> MountHandle:
        """A new mount of the image: a copy of one that is there, since each real one costs."""
        for record, _ in self.entries():
            if (
                record.chain_id == image.chain_id
                and record.driver == mountable.driver
                and record.mount_namespace == mount_namespace()
                and (copy := self._copy(record)) is not None
            ):
                return copy
        return mountable.mount()

    def _copy(self, record: MountRecord) -> MountHandle | None:
        """A copy of a mount; None where it is not there, or comes or goes just now.

        Without its lock it could go in between: the copy would be one of the directory below.
        """
        try:
            with FileLock(self._places.mount_lock(Path(record.target)), timeout=0):
                return mount_bind(record.target) if self._is_there(record) else None
        except (InUseError, NotFoundError, OSError):
            return None

    def _make_place(self, target: Path) -> None:
        """Make a mount point of orlop's own; a mapped root must be able to pass."""
        self._places.run.parent.mkdir(parents=True, exist_ok=True)
        for path in (self._places.run, self._places.mounts, target):
            try:
                path.mkdir()
            except FileExistsError:
                continue
            path.chmod(0o711)

    def _add_holder(self, record: MountRecord, owner: Owner | None) -> str:
        holder = MountHolder(
            id=os.urandom(16).hex(), mount=record.id, owner=owner, created_at_ns=time.time_ns()
        )
        with self._database.write() as tx:
            Mounts(tx).hold(holder)
        return holder.id

    def _live_holders(self, record: MountRecord) -> list[MountHolder]:
        now = time.time_ns()
        with self._database.read() as tx:
            return [holder for holder in Mounts(tx).holders(record.id) if holder.is_live(now)]

    def _take_away(self, record: MountRecord, *, lazy: bool) -> None:
        try:
            unmount(record.target, mount_id=record.mount_id, lazy=lazy)
        except NotFoundError:
            pass
        target = Path(record.target)
        if target.parent == self._places.mounts:
            try:
                target.rmdir()
            except OSError:
                pass


def _is_beyond(record: MountRecord, holders: Sequence[MountHolder]) -> bool:
    """Whether a mount went with its mount namespace."""
    now = time.time_ns()
    if any(holder.owner is not None and holder.is_live(now) for holder in holders):
        return False
    seen = seen_mount_namespaces()
    if seen is None or record.mount_namespace in seen:
        return False
    kept = b"mnt:[%d]" % record.mount_namespace
    return not any(mount.fstype == "nsfs" and mount.root == kept for mount in iter_mounts())
