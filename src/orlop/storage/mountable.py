"""What a stack is mounted from: made when it is missing, in the way that suits the machine.

| driver      | what is mounted                          | needs                             |
| ----------- | ---------------------------------------- | --------------------------------- |
| `erofs`     | the merged index over the layers' tars   | EROFS with 512-byte blocks, root  |
| `overlay`   | the layers' directories, one on another  | overlay, root                     |
| `directory` | the merged tree as a directory           | nothing; with root it is bound    |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orlop._sys.lock import FileLock
from orlop._sys.process import (
    CAP_CHOWN,
    CAP_SYS_ADMIN,
    has_capability,
    in_initial_user_namespace,
)
from orlop.drivers import MountHandle, mount_bind, mount_erofs, mount_overlay
from orlop.drivers.overlay import MAX_LOWERS
from orlop.drivers.probing import lies_on_overlay, mounts_erofs_already, probe_erofs
from orlop.errors import UnsupportedError
from orlop.storage.chains import INDEX, OWNED, ROOTFS, TOP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orlop.digest import Digest
    from orlop.drivers.probing import Capabilities
    from orlop.metadata import Lease
    from orlop.storage.chains import ChainStore, Stack
    from orlop.storage.forms import FormStore
    from orlop.storage.left_out import LeftOut
    from orlop.storage.places import Places

Driver: TypeAlias = Literal["erofs", "overlay", "directory"]

StorageDriver: TypeAlias = Literal["erofs", "overlay", "vfs"]
"""How layers are mounted and written to: overlays over merged indexes, overlays over directories,
or whole copies."""

DRIVERS: Final[tuple[Driver, ...]] = ("erofs", "overlay", "directory")


@dataclass(frozen=True, slots=True)
class Mountable:
    """Something that shows a stack.

    Attributes:
        driver: How it is mounted.
        paths: For `erofs` the index and its devices; for `overlay` the directories, the topmost
            first; for `directory` the one directory.
    """

    driver: Driver
    paths: tuple[Path, ...]

    def mount(self, *, nodev: bool = True, nosuid: bool = True) -> MountHandle:
        """A detached, read-only mount.

        Raises:
            UnsupportedError: No right to mount, or a kernel that cannot.
            OSError: A file is missing, or the kernel failed.
        """
        if self.driver == "erofs":
            return mount_erofs(self.paths[0], self.paths[1:], nodev=nodev, nosuid=nosuid)
        if self.driver == "overlay":
            return mount_overlay(self.paths, nodev=nodev, nosuid=nosuid)
        return mount_bind(self.paths[0], nodev=nodev, nosuid=nosuid)


def driver_for(capabilities: Capabilities) -> Driver:
    """What suits a machine and this process, as `Mountables.best_driver` finds out more quickly."""
    if not (capabilities.mount and in_initial_user_namespace()):
        return "directory"
    return "erofs" if capabilities.mounts_erofs else "overlay"


class Mountables:
    """Makes stacks mountable; what one process or thread makes, others wait for.

    Args:
        places: Where the store is.
        forms: The layers.
        chains: What is derived from stacks.
    """

    def __init__(self, places: Places, forms: FormStore, chains: ChainStore) -> None:
        self._places = places
        self._forms = forms
        self._chains = chains

    @property
    def can_mount(self) -> bool:
        """Whether this process has the right to mount."""
        return has_capability(CAP_SYS_ADMIN)

    @property
    def keeps_owners(self) -> bool:
        """Whether this process may give files to anybody, and make devices."""
        return self.can_mount and in_initial_user_namespace()

    @property
    def owns_files(self) -> bool:
        """Whether this process may give files to others, be it in its user namespace alone."""
        return has_capability(CAP_CHOWN)

    @cached_property
    def maps_ids(self) -> bool:
        """Whether this process is root of a user namespace in which files may have many owners."""
        if in_initial_user_namespace() or not self.owns_files:
            return False
        from orlop._sys.subids import namespace_ids

        found = namespace_ids()
        return bool(found.uids and found.gids)

    @property
    def _rootfs(self) -> str:
        """What the merged directory is called that this process makes, or would.

        Without privilege it belongs to one user; in a user namespace to the subordinate ones.
        """
        return OWNED if self.maps_ids else ROOTFS

    @cached_property
    def mounts_erofs(self) -> bool:
        """Whether the kernel mounts EROFS images of the store's filesystem; found out by trying."""
        # What others have mounted proves nothing to who may not mount it, as in a user namespace.
        allowed = has_capability(CAP_SYS_ADMIN) and in_initial_user_namespace()
        return (allowed and mounts_erofs_already(self._places.root)) or any(
            probe_erofs(self._places.staging, loop=loop) for loop in (False, True)
        )

    @property
    def copies(self) -> bool:
        """Whether layers that are written to have to be whole copies here."""
        return not self.can_mount or lies_on_overlay(self._places.root)

    def best_driver(self) -> Driver:
        """What suits this machine and this process."""
        if not self.keeps_owners:
            return "directory"
        return "erofs" if self.mounts_erofs else "overlay"

    def best_storage_driver(self) -> StorageDriver:
        """What suits this machine and this process, for layers that are written to."""
        if self.copies:
            return "vfs"
        return "erofs" if self.keeps_owners and self.mounts_erofs else "overlay"

    def find(self, stack: Stack, driver: Driver | None = None) -> Mountable | None:
        """What can be mounted without further work, by this driver or any that works; else None."""
        if driver is not None:
            return self._find(stack, driver)
        candidates = (self._find(stack, each) for each in self._usable_drivers())
        return next((found for found in candidates if found and self._works(found)), None)

    def prepare(self, stack: Stack, driver: Driver, lease: Lease) -> Mountable | None:
        """Make a stack mountable by this driver, out of the forms that its layers have.

        For `directory` only the index is made, which shows that the layers fit on each other, and
        lists their files; the directory is written when somebody mounts it, and the result is None
        until then. Where an overlay cannot be had, a merged directory takes its place.

        Raises:
            NotFoundError: A layer lacks the form that is needed.
            InvalidLayerError: The layers do not fit on each other.
            OSError: Something could not be written.
        """
        found = self._find(stack, driver)
        if found is not None and driver != "directory":
            return found
        with self._lock(stack):
            if driver == "erofs":
                return self._find(stack, "erofs") or self._build_index(stack, lease)
            if driver == "overlay":
                return self._prepare_overlay(stack, lease) or self._write_out(stack, lease)
            if self._chains.find(stack, INDEX) is None:
                self._chains.build_index(stack, lease)
            return self._find(stack, "directory")

    def prepare_directory(self, stack: Stack, lease: Lease) -> Mountable:
        """Write a stack out as one directory, unless that was done before.

        Raises:
            NotFoundError: A layer has no tar.
            InvalidLayerError: The layers do not fit on each other.
            OSError: Something could not be written.
        """
        with self._lock(stack):
            return self._write_out(stack, lease)

    def left_out(self, stack: Stack) -> LeftOut:
        """What the merged directory lacks of a stack that this process made, or would."""
        return self._chains.left_out(stack, self._rootfs)

    def check_right(self, driver: Driver | None) -> None:
        """Succeed if this process may use a driver.

        Raises:
            UnsupportedError: It mounts, and this process has no right to.
        """
        if driver not in {None, "directory"} and not self.can_mount:
            raise UnsupportedError(
                f"the driver {driver} needs root (CAP_SYS_ADMIN)",
                hint="run it as root, or without --driver to have a directory",
            )

    def refuse_target(self, mountable: Mountable) -> UnsupportedError:
        """The error for who wants a mount and has no right to it."""
        return UnsupportedError(
            "mounting needs root (CAP_SYS_ADMIN)",
            hint=f"run it as root, or use the directory {mountable.paths[0]}",
        )

    def _usable_drivers(self) -> tuple[Driver, ...]:
        if not self.can_mount:
            return ("directory",)
        return DRIVERS if self.keeps_owners else ("overlay", "directory")

    def _works(self, mountable: Mountable) -> bool:
        """Whether the kernel takes it; an index may have been made on another machine."""
        return mountable.driver != "erofs" or self.mounts_erofs

    def _lock(self, stack: Stack) -> FileLock:
        """Be the only one who builds: who has mounted a directory loses it when it is replaced."""
        return FileLock(self._places.lock(stack.chain_id))

    def _prepare_overlay(self, stack: Stack, lease: Lease) -> Mountable | None:
        found = self._find(stack, "overlay")
        if found is None and self._lowers(stack) is not None:
            self._chains.build_top(stack, lease)
            found = self._find(stack, "overlay")
        return found

    def _write_out(self, stack: Stack, lease: Lease) -> Mountable:
        path = self._chains.find(stack, self._rootfs) or self._chains.build_rootfs(
            stack, lease, ownership=self.keeps_owners or self.maps_ids, kind=self._rootfs
        )
        return Mountable("directory", (path,))

    def _build_index(self, stack: Stack, lease: Lease) -> Mountable:
        index = self._chains.build_index(stack, lease)
        return Mountable("erofs", (index, *self._chains.devices(stack)))

    def _find(self, stack: Stack, driver: Driver) -> Mountable | None:
        if driver == "erofs":
            index, devices = self._chains.find(stack, INDEX), self._chains.devices(stack)
            if index is None or not all(map(self._has_tar, stack.diff_ids)):
                return None
            return Mountable("erofs", (index, *devices))
        if driver == "overlay":
            top, lowers = self._chains.find(stack, TOP), self._lowers(stack)
            return Mountable("overlay", (top, *lowers)) if top and lowers is not None else None
        path = self._chains.find(stack, self._rootfs)
        return Mountable("directory", (path,)) if path else None

    def _has_tar(self, diff_id: Digest) -> bool:
        return self._forms.find(diff_id, "tar") is not None

    def _lowers(self, stack: Stack) -> list[Path] | None:
        """The layers' directories, the topmost first; None where one cannot be had.

        A layer that comes several times is there once, at its topmost place: whatever it does, it
        does there too.
        """
        if not fits_overlay(stack.diff_ids):
            return None
        topmost_first = list(dict.fromkeys(reversed(stack.diff_ids)))
        lowers = []
        for diff_id in topmost_first:
            lowest = stack.diff_ids.index(diff_id) == 0 and diff_id == topmost_first[-1]
            kind = self._forms.usable(diff_id, *(("diff", "base") if lowest else ("diff",)))
            if kind is None:
                return None
            lowers.append(self._forms.path(diff_id, kind))
        return lowers


def fits_overlay(diff_ids: Sequence[Digest]) -> bool:
    """Whether an overlay can have so many layers, and one directory more for the root."""
    return len(set(diff_ids)) < MAX_LOWERS
