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
from orlop.drivers import is_mounted, mount_bind, unmount
from orlop.errors import AlreadyExistsError, InUseError, NotFoundError
from orlop.metadata import MountHolder, MountRecord, Mounts, MountSubject, Owner
from orlop.storage.mountable import DRIVERS
from orlop.storage.shown import shown_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orlop.drivers import MountHandle
    from orlop.metadata import Database
    from orlop.storage.mountable import Driver, Mountable
    from orlop.storage.places import Places

LOCK_TIMEOUT: Final = 60.0
"""Seconds to wait for whoever mounts or unmounts at the same place."""
NOT_MOUNTED: Final = 0
"""What stands for the mount id of a directory that is shown as it is."""


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
            # What stands on others goes before them.
            mounts.sort(key=lambda record: record.layer is None)
            return [(record, Mounts(tx).holders(record.id)) for record in mounts]

    def present(self) -> list[tuple[MountRecord, tuple[MountHolder, ...]]]:
        """The mounts that are there, with the holders that are alive.

        Mounts of other mount namespaces cannot be seen from here, and are believed to be there.
        """
        here = mount_namespace()
        return [
            (record, tuple(self.live_holders(record)))
            for record, _ in self.entries()
            if record.mount_namespace != here or self.is_there(record)
        ]

    def hold(
        self,
        subject: MountSubject,
        mountable: Mountable,
        target: Path | None,
        *,
        owner: Owner | None,
    ) -> tuple[MountRecord, str]:
        """Mount an image, or hold its mount together with others.

        Args:
            subject: What is mounted.
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
        if target is None:
            return self.share(subject, mountable.driver, lambda: mountable, owner=owner)
        target = target.resolve()
        with self._lock(target):
            found = self._living(target)
            if found is not None:
                raise self._taken(found)
            if not target.is_dir():
                code = errno.ENOTDIR if target.exists() else errno.ENOENT
                raise OSError(code, "no directory to mount at", str(target))
            return self._mount(subject, mountable, target, owner, shared=False)

    def share(
        self,
        subject: MountSubject,
        driver: Driver,
        make: Callable[[], Mountable],
        *,
        owner: Owner | None,
    ) -> tuple[MountRecord, str]:
        """Hold the mount of a stack at orlop's own place, together with all others who do.

        Args:
            subject: What is mounted.
            driver: What mounts it.
            make: Gives what it is mounted from, where it is not mounted yet.
            owner: As for `hold`.

        Raises:
            OrlopError: As `hold`, or as `make`.
            OSError: Mounting failed.
        """
        target = self.own_place(subject, driver)
        with self._lock(target):
            record = self._living(target)
            if record is None:
                return self._mount(subject, make(), target, owner, shared=True)
            if record.chain_id != subject.chain_id:
                raise self._taken(record)
            return record, self._add_holder(record, owner)

    @staticmethod
    def _taken(record: MountRecord) -> AlreadyExistsError:
        return AlreadyExistsError(
            f"{record.image_name} is mounted at {record.target} already",
            hint=f"unmount it first: orlop umount {record.target}",
        )

    def release(
        self,
        record: MountRecord,
        holder: str,
        *,
        lazy: bool = False,
        timeout: float = LOCK_TIMEOUT,
    ) -> None:
        """Give up a hold; the last one takes the mount away.

        Args:
            record: The mount.
            holder: The hold.
            lazy: Take it away also while it is in use.
            timeout: Seconds to wait for others who mount or unmount there.

        Raises:
            InUseError: It was the last one, and files below the mount are open; the hold stays.
            OSError: Unmounting failed.
        """
        with FileLock(self._places.mount_lock(Path(record.target)), timeout=timeout):
            others = [other for other in self.live_holders(record) if other.id != holder]
            needed = bool(others) or self._is_below(record)
            if not needed:
                self.take_away(record, lazy=lazy)
            with self._database.write(durable=False) as tx:
                Mounts(tx).release(holder)
                if not needed:
                    Mounts(tx).delete(record.id)

    def drop_unused(self, record: MountRecord) -> None:
        """Take a mount away that nobody holds and no other mount stands on; else do nothing."""
        with self._lock(Path(record.target)):
            if self.is_needed(record):
                return
            try:
                self.take_away(record, lazy=False)
            except InUseError:
                return  # The next collection takes it.
            with self._database.write(durable=False) as tx:
                Mounts(tx).delete(record.id)

    def drop(self, record: MountRecord, *, lazy: bool) -> None:
        """Take a mount away and forget it, whoever holds it.

        Raises:
            InUseError: Files below it are open, or another mount stands on it.
            OSError: Unmounting failed.
        """
        with self._lock_of(record):
            if self._is_below(record):
                raise InUseError(
                    f"another mount stands on {record.target}", users=[f"mount {record.target}"]
                )
            self.take_away(record, lazy=lazy)
            with self._database.write(durable=False) as tx:
                Mounts(tx).delete(record.id)

    def unmount(self, record: MountRecord, *, lazy: bool = False) -> bool:
        """Release one hold that nobody in particular has; whether the mount is gone now.

        Raises:
            InUseError: Only processes that are alive hold it; or files below it are open.
            OSError: Unmounting failed.
        """
        with self._lock(Path(record.target)):
            holders = self.live_holders(record)
            free = [holder for holder in holders if holder.owner is None]
            if holders and not free:
                pids = ", ".join(str(holder.owner.pid) for holder in holders if holder.owner)
                raise InUseError(
                    f"{record.target} is held by process {pids}", hint="end it, and try again"
                )
            last = len(holders) <= 1 and not self._is_below(record)
            if last:
                self.take_away(record, lazy=lazy)
            with self._database.write(durable=False) as tx:
                if last:
                    Mounts(tx).delete(record.id)
                elif free:
                    Mounts(tx).release(free[0].id)
            return last

    def find(self, target: Path) -> MountRecord | None:
        """The mount at a target in this boot and mount namespace, or None."""
        with self._database.read() as tx:
            return Mounts(tx).at(str(target), boot_id(), mount_namespace())

    def stale(self) -> list[MountRecord]:
        """The mounts that `clean` would take away, if they are not in use."""
        here, found, kept = mount_namespace(), [], set[str]()
        for record, holders in self.entries():
            if record.mount_namespace != here:
                gone = is_beyond(record, holders)
            else:
                held = bool(self.live_holders(record)) or record.id in kept
                gone = not (held and self._is_anywhere(record))
            if gone:
                found.append(record)
            elif record.below is not None:
                kept.add(record.below)
        return found

    def clean(self) -> list[MountRecord]:
        """Take away the mounts whose holders are all gone, and forget those that are; which.

        What is in use stays for the next time. A mount namespace without processes is gone, unless
        it is mounted somewhere itself.
        """
        cleaned = []
        for record, holders in self.entries():
            if record.mount_namespace != mount_namespace():
                if is_beyond(record, holders):
                    with self._database.write(durable=False) as tx:
                        Mounts(tx).delete(record.id)
                    cleaned.append(record)
                continue
            with self._lock_of(record):
                held = self.live_holders(record) or self._is_below(record)
                if held and self._is_anywhere(record):
                    continue
                try:
                    self.take_away(record, lazy=False)
                except InUseError:
                    continue
                with self._database.write(durable=False) as tx:
                    Mounts(tx).delete(record.id)
                cleaned.append(record)
        return cleaned

    def _lock_of(self, record: MountRecord) -> FileLock:
        if record.layer is None:
            return self._lock(Path(record.target))
        return self.lock_layer(record.layer)

    def lock_layer(self, id: str) -> FileLock:  # noqa: A002
        """The lock of whoever mounts, changes or removes a layer."""
        return FileLock(self._places.layer_lock(id), timeout=LOCK_TIMEOUT)

    def own_place(self, subject: MountSubject, driver: Driver) -> Path:
        """Where a stack is mounted when nobody says where; several stores may share `RUN`."""
        return self._places.mount_place(subject.chain_id, driver)

    def find_own(self, subject: MountSubject) -> MountRecord | None:
        """A mount of a stack at a place of orlop's own, or None."""
        places = (self.own_place(subject, driver) for driver in DRIVERS)
        return next((found for place in places if (found := self.find(place))), None)

    def _lock(self, target: Path) -> FileLock:
        return FileLock(self._places.mount_lock(target), timeout=LOCK_TIMEOUT)

    def _living(self, target: Path) -> MountRecord | None:
        """The mount that is recorded at a target, if it is there; else its row is dropped.

        One that nobody holds any more is taken away, unless it is at a place of orlop's own.
        """
        record = self.find(target)
        if record is None:
            return None
        if self.is_there(record):
            if target.parent == self._places.mounts or self.live_holders(record):
                return record
            self.take_away(record, lazy=False)
        with self._database.write(durable=False) as tx:
            Mounts(tx).delete(record.id)
        return None

    def is_needed(self, record: MountRecord) -> bool:
        """Whether anybody holds a mount, or another one stands on it."""
        with self._database.read() as tx:
            if Mounts(tx).is_below(record.id):
                return True
            holders = Mounts(tx).holders(record.id)
        now = time.time_ns()
        return any(holder.is_live(now) for holder in holders)

    def _is_below(self, record: MountRecord) -> bool:
        with self._database.read() as tx:
            return Mounts(tx).is_below(record.id)

    def is_there(self, record: MountRecord) -> bool:
        """Whether a mount of this mount namespace is there; a bare directory is where it exists."""
        if record.mount_id == NOT_MOUNTED:
            return os.path.isdir(record.target)
        return is_mounted(record.target, mount_id=record.mount_id)

    def _is_anywhere(self, record: MountRecord) -> bool:
        """Whether a mount is there, or one of its layer where somebody has moved it to."""
        if self.is_there(record):
            return True
        return record.layer is not None and bool(shown_at(self._places.layer(record.layer)))

    def _mount(
        self,
        subject: MountSubject,
        mountable: Mountable,
        target: Path,
        owner: Owner | None,
        *,
        shared: bool,
    ) -> tuple[MountRecord, str]:
        """Mount something, and hold it; the mount, and the name of the hold."""
        with self._detached(subject, mountable) as handle:
            record = MountRecord(
                id=os.urandom(16).hex(),
                chain_id=subject.chain_id,
                image_name=subject.image_name,
                image_id=subject.image_id,
                target=str(target),
                driver=mountable.driver,
                boot_id=boot_id(),
                mount_namespace=mount_namespace(),
                mount_id=handle.mount_id,
                created_at_ns=time.time_ns(),
            )
            holder = _holder(record, owner)
            with self._database.write(durable=False) as tx:
                Mounts(tx).put(record)
                Mounts(tx).hold(holder)
            try:
                if shared:
                    self._places.make_below_run(target)
                handle.attach(target)
            except BaseException:
                with self._database.write(durable=False) as tx:
                    Mounts(tx).delete(record.id)
                raise
        return record, holder.id

    def _detached(self, subject: MountSubject, mountable: Mountable) -> MountHandle:
        """A new mount of the image: a copy of one that is there, since each real one costs."""
        with self._database.read() as tx:
            records = list(Mounts(tx).of_chain(subject.chain_id, boot_id()))
        for record in records:
            if (
                record.driver == mountable.driver
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
                return mount_bind(record.target) if self.is_there(record) else None
        except (InUseError, NotFoundError, OSError):
            return None

    def _add_holder(self, record: MountRecord, owner: Owner | None) -> str:
        holder = _holder(record, owner)
        with self._database.write(durable=False) as tx:
            Mounts(tx).hold(holder)
        return holder.id

    def live_holders(self, record: MountRecord) -> list[MountHolder]:
        """The holders of a mount that still count."""
        now = time.time_ns()
        with self._database.read() as tx:
            return [holder for holder in Mounts(tx).holders(record.id) if holder.is_live(now)]

    def take_away(self, record: MountRecord, *, lazy: bool) -> None:
        """Unmount what a record says, if it is there, and remove a place of orlop's own.

        Raises:
            InUseError: Files below it are open.
            OSError: Unmounting failed.
        """
        if record.mount_id == NOT_MOUNTED:
            return
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


def _holder(record: MountRecord, owner: Owner | None) -> MountHolder:
    return MountHolder(
        id=os.urandom(16).hex(), mount=record.id, owner=owner, created_at_ns=time.time_ns()
    )


def is_beyond(record: MountRecord, holders: Sequence[MountHolder]) -> bool:
    """Whether a mount went with its mount namespace."""
    now = time.time_ns()
    if any(holder.owner is not None and holder.is_live(now) for holder in holders):
        return False
    seen = seen_mount_namespaces()
    if seen is None or record.mount_namespace in seen:
        return False
    kept = b"mnt:[%d]" % record.mount_namespace
    return not any(mount.fstype == "nsfs" and mount.root == kept for mount in iter_mounts())
