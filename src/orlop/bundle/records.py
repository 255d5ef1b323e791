"""How a store remembers its bundles: each is a container, with a note of what it is.

A record comes before everything else of a bundle and goes after it. Its `config.json` comes last:
then the record says that it is finished, which it stays wherever its directory goes. What is not,
and whose maker is gone, is what a crash has left.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from orlop._sys.handle import Fd
from orlop._sys.mountinfo import mount_identity
from orlop.bundle.directory import (
    has_spec,
    owner_of,
    read_targets,
    remove_bundle_directory,
    root_path,
)
from orlop.bundle.names import DIR_ROOTFS
from orlop.bundle.running import require_idle, running_in
from orlop.bundle.targets import forget_targets, restore_targets
from orlop.errors import InUseError, InvalidError, NotFoundError
from orlop.metadata import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import Container

Kind: TypeAlias = Literal["overlay", "uncompressed"]
State: TypeAlias = Literal["ready", "running", "unmounted", "incomplete"]

FLAG: Final = "bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRecord:
    """A bundle of a store.

    Attributes:
        id: The container.
        path: Where the bundle is.
        kind: How its files are there.
        image: The image's ID.
        owner: The process that made it.
        created_at_ns: When, in nanoseconds since 1970.
        names: What the container is called.
        finished: Whether all of it was made, so that it goes only when somebody says so.
    """

    id: str
    path: Path
    kind: Kind
    image: str
    owner: Owner
    created_at_ns: int
    names: tuple[str, ...] = field(default=())
    finished: bool = True


def flags_of(path: Path, kind: Kind, image: str) -> dict[str, object]:
    """What is noted about a container that is a bundle."""
    owner = asdict(Owner.current())
    note = {"path": str(path), "kind": kind, "image": image, "owner": owner, "finished": False}
    return {FLAG: note}


def record_of(container: Container) -> BundleRecord | None:
    """The bundle that a container is, or None."""
    note = container.flags.get(FLAG)
    try:
        return _record(container, cast("Mapping[str, Any]", note))
    except (TypeError, KeyError, AttributeError):
        return None


def _record(container: Container, note: Mapping[str, Any]) -> BundleRecord:
    return BundleRecord(
        id=container.id,
        path=Path(str(note["path"])),
        kind="overlay" if note["kind"] == "overlay" else "uncompressed",
        image=str(note["image"]),
        owner=Owner(**note["owner"]),
        created_at_ns=container.created_at_ns,
        names=container.names,
        # Earlier versions did not say: those stay.
        finished=note.get("finished") is not False,
    )


class Bundles:
    """The bundles of a store.

    Args:
        storage: The store.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def list(self) -> list[BundleRecord]:
        """All bundles, in the order of their paths."""
        found = map(record_of, self._storage.containers.list())
        return sorted((each for each in found if each is not None), key=lambda each: each.path)

    def at(self, path: Path) -> BundleRecord | None:
        """The bundle in a directory, or None."""
        wanted = _real(path)
        found = [each for each in self.list() if _real(each.path) == wanted]
        found.sort(key=lambda each: owner_of(each.path) != each.id)
        return found[0] if found else None

    def get(self, path_or_id: str) -> BundleRecord:
        """The bundle in a directory, or of a container's ID or name.

        Raises:
            NotFoundError: There is none.
            AmbiguousError: A prefix fits several containers.
        """
        found = self.at(Path(path_or_id))
        if found is None:
            self._require_at_home(Path(path_or_id))
        if found is None and "/" not in path_or_id and not Path(path_or_id).is_dir():
            found = record_of(self._storage.containers.get(path_or_id))
        if found is None:
            raise NotFoundError(f"no bundle is at {path_or_id}", hint="see `orlop bundle ls`")
        return found

    def _require_at_home(self, path: Path) -> None:
        """Succeed unless a directory is that of a bundle that is recorded elsewhere."""
        own = owner_of(path)
        found = [each for each in self.list() if each.id == own]
        if found and has_spec(path):
            layer = self._storage.containers.get(found[0].id).layer
            steps = [f"umount {each}" for each in self._storage.layers.mounts.moved(layer)]
            steps.append(f"orlop bundle rm {found[0].path}")
            raise NotFoundError(
                f"{path} was moved: its bundle is recorded at {found[0].path}",
                hint=f"move it back, or remove its container: {'; '.join(steps)}",
            )

    def finish(self, record: BundleRecord) -> None:
        """Note that all of a bundle is made; success means that this outlives a power cut."""
        containers = self._storage.containers
        flags = dict(containers.get(record.id).flags)
        note = cast("Mapping[str, Any]", flags[FLAG])
        containers.set_flags(record.id, {**flags, FLAG: {**note, "finished": True}})

    def rootfs(self, record: BundleRecord) -> Path:
        """Where a bundle's files are, or would be."""
        if record.kind == "overlay":
            containers, mounts = self._storage.containers, self._storage.layers.mounts
            layer = containers.get(record.id).layer
            targets = mounts.targets(layer) or mounts.moved(layer)
            if targets:
                return Path(targets[0])
        return record.path / DIR_ROOTFS

    def mount(self, record: BundleRecord) -> Path:
        """Show a bundle's files where its runtime expects them, and say where that is.

        A restart of the machine takes mounts away; what the container wrote stays. One that is
        mounted is left as it is.

        Raises:
            NotFoundError: The bundle is not whole, or its container is gone.
            InUseError: A container runs in it, or it is mounted elsewhere: where it was moved to,
                or by somebody else.
            InvalidError: Its configuration names a directory that orlop does not mount.
            UnsupportedError: No right to mount.
            OSError: Something is missing, or mounting failed.
        """
        if not _is_finished(record):
            raise NotFoundError(
                f"bundle {record.path} is not whole: its configuration is missing",
                hint="move its directory back, if it was moved; or remove it with all that was"
                f" written: orlop bundle rm {record.path}",
            )
        wanted = root_path(record.path)
        if record.kind == "overlay":
            self._require_unmoved(record)
            if not self._is_mounted(record):
                self.require_idle(record)
            self._mount_at(record, Path(os.path.normpath(wanted)))
        return wanted

    def _mount_at(self, record: BundleRecord, wanted: Path) -> None:
        containers, mounts = self._storage.containers, self._storage.layers.mounts
        layer, home = containers.get(record.id).layer, record.path / DIR_ROOTFS
        if wanted not in {home, mounts.place_of(layer)}:
            raise InvalidError(
                f"the configuration of bundle {record.path} names {wanted}, where orlop does not"
                " mount it",
                hint=f"let root.path be {DIR_ROOTFS}; with another ORLOP_RUN, make another bundle",
            )
        if not mounts.is_kept(layer):
            containers.mount(record.id, keep=True, target=home if wanted == home else None)
        if not self._is_mounted(record):
            targets = mounts.targets(layer)
            raise InUseError(
                f"bundle {record.path} is mounted at {', '.join(targets)}, and not at {wanted}",
                users=[f"mount {each}" for each in targets],
                hint=f"unmount it there first: orlop container umount --force {record.id}",
            )

    def state(self, record: BundleRecord) -> State:
        """What can be said of a bundle now."""
        if self._running(record):
            return "running"
        if not _is_finished(record):
            return "incomplete"
        return "ready" if record.kind != "overlay" or self._is_mounted(record) else "unmounted"

    def _running(self, record: BundleRecord) -> tuple[int, ...]:
        return running_in(self.rootfs(record), self._place(record))

    def require_idle(self, record: BundleRecord) -> None:
        """Succeed unless a container runs in a bundle.

        Raises:
            InUseError: One does.
            NotFoundError: The bundle's container is gone.
        """
        require_idle(self.rootfs(record), f"bundle {record.path}", self._place(record))

    def _place(self, record: BundleRecord) -> Path | None:
        """The directory of the layer that takes its writes."""
        if record.kind != "overlay":
            return None
        return self._storage.places.layer(self._storage.containers.get(record.id).layer)

    def _is_mounted(self, record: BundleRecord) -> bool:
        """Whether its files are where its configuration says."""
        layer = self._storage.containers.get(record.id).layer
        try:
            wanted = root_path(record.path)
        except (OSError, InvalidError):
            return False
        targets = self._storage.layers.mounts.targets(layer)
        return os.path.normpath(wanted) in map(os.path.normpath, targets)

    def is_stale(self, record: BundleRecord) -> bool:
        """Whether a bundle is what a crash has left of its making."""
        if record.finished or _is_finished(record) or self._running(record):
            return False
        return not record.owner.is_live(record.created_at_ns, time.time_ns())

    def remove(self, record: BundleRecord, *, force: bool = False) -> None:
        """Remove a bundle with all that its container wrote; success means that it is gone.

        Args:
            record: The bundle.
            force: Also while files in it are open, or somebody has mounted it as well.

        Raises:
            InUseError: A container runs in it, or it is mounted where it was moved to, by
                force too; or files in it are open.
            OSError: It could not be removed.
        """
        containers = self._storage.containers
        try:
            self._require_unmoved(record)
            self.require_idle(record)
            while containers.unmount(record.id, force=force):
                pass
        except NotFoundError:
            return
        remove_bundle_directory(record.path, record.id, tree=record.kind == "uncompressed")
        try:
            containers.delete(record.id, force=force)
        except NotFoundError:
            return

    def remove_orphan(self, path: Path) -> str | None:
        """Remove what orlop made in a bundle's directory, where its container is gone already.

        What else is in there stays.

        Returns:
            The container that it was; None where the directory is none of such a bundle, and stays.

        Raises:
            InUseError: Something is mounted in it, or runs there.
            OSError: It could not be removed.
        """
        own = owner_of(path)
        if own is None:
            return None
        try:
            self._storage.containers.resolve(own)
        except NotFoundError:
            pass
        else:
            return None
        rootfs = path / DIR_ROOTFS
        require_idle(rootfs, f"bundle {path}")
        if rootfs.is_dir() and mount_identity(rootfs).is_root:
            raise InUseError(
                f"{rootfs} is a mount", users=[f"mount {rootfs}"], hint=f"umount {rootfs}"
            )
        remove_bundle_directory(path, own, tree=False)
        return own

    def _require_unmoved(self, record: BundleRecord) -> None:
        layer = self._storage.containers.get(record.id).layer
        targets = self._storage.layers.mounts.moved(layer)
        if targets:
            raise InUseError(
                f"bundle {record.path} is mounted at {', '.join(targets)}: it was moved, or copied",
                users=[f"mount {target}" for target in targets],
                hint=f"move it back, or unmount it first: umount {targets[0]}",
            )

    @contextmanager
    def without_targets(self, record: BundleRecord) -> Iterator[None]:
        """Let a bundle be without the places to mount at that are empty, for a while.

        Nothing is done while a container runs in it, which may need them.
        """
        root = self.rootfs(record)
        made = read_targets(record.path)
        if not made or record.kind != "overlay" or not self._storage.containers.mounted(record.id):
            yield
            return
        with Fd(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as handle:
            gone = [] if self._running(record) else forget_targets(handle.fileno(), made)
            try:
                yield
            finally:
                restore_targets(handle.fileno(), gone)

    @contextmanager
    def hiding_targets(self, key: str) -> Iterator[None]:
        """The same for a container, which need not be a bundle."""
        record = record_of(self._storage.containers.get(key))
        if record is None:
            yield
            return
        with self.without_targets(record):
            yield

    def stale(self) -> tuple[BundleRecord, ...]:
        """What crashes have left, and a collection would remove."""
        return tuple(each for each in self.list() if self.is_stale(each))

    def collect(self) -> tuple[BundleRecord, ...]:
        """Remove what crashes have left, and say what; what is in use stays."""
        gone = []
        for record in self.stale():
            try:
                self.remove(record, force=True)
            except (InUseError, OSError):
                continue
            gone.append(record)
        return tuple(gone)


def _is_finished(record: BundleRecord) -> bool:
    return has_spec(record.path) and owner_of(record.path) == record.id


def _real(path: Path) -> Path:
    return path.parent.resolve() / path.name if path.name else path.resolve()
