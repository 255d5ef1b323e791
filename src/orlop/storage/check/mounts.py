"""Looks at mounts: those that are recorded are there, and those at orlop's places are recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from orlop._sys.lock import FileLock
from orlop._sys.mountinfo import mount_identity
from orlop._sys.process import boot_id, mount_namespace
from orlop.digest import Digest
from orlop.errors import InUseError
from orlop.metadata import Chains, Layers, Mounts, MountSubject
from orlop.storage.check.report import Finding
from orlop.storage.mountable import DRIVERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.metadata import MountRecord
    from orlop.storage.check.examination import Examination
    from orlop.storage.check.report import Damage, Remedy


class MountExaminer:
    """Looks at the mounts of a store, as far as they can be seen from this mount namespace."""

    kind: Final = "mount"

    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._storage = examination.storage

    def keys(self) -> Iterable[str]:
        """See `Examiner.keys`."""
        with self._examination.read() as tx:
            recorded = [f"record {record.id}" for record in Mounts(tx).list()]
        return [*recorded, *(f"place {path}" for path in self._own_places())]

    def look(self, key: str) -> Iterator[Finding]:
        """See `Examiner.look`."""
        kind, _, name = key.partition(" ")
        if kind == "place":
            yield from self._place(Path(name))
            return
        with self._examination.read() as tx:
            record = Mounts(tx).get(name)
        if record is not None:
            yield from self._record(record)

    def _record(self, record: MountRecord) -> Iterator[Finding]:
        mounts = self._storage.mounts
        if record.boot_id != boot_id():
            yield _finding(record.id, "leftover", record.target, "was mounted in an earlier boot")
            return
        if record.mount_namespace != mount_namespace():
            return
        held = mounts.is_needed(record)
        if not mounts.is_there(record):
            damage: Damage = "mount" if held else "leftover"
            yield _finding(record.id, damage, record.target, "is recorded, and not mounted")
        elif not held:
            yield _finding(record.id, "leftover", record.target, "is mounted, and nobody holds it")

    def _place(self, path: Path) -> Iterator[Finding]:
        if self._is_recorded(path):
            return
        try:
            mounted = mount_identity(path).is_root
        except OSError:
            return
        if mounted:
            what = "is mounted, and not recorded"
            yield _finding(f"place {path}", "mount", str(path), what, "force")
        else:
            what = "is a mount point that nobody uses"
            yield _finding(f"place {path}", "leftover", str(path), what)

    def _is_recorded(self, path: Path) -> bool:
        sql = "SELECT 1 FROM mounts WHERE target = ? AND boot_id = ? LIMIT 1"
        with self._examination.read() as tx:
            return tx.row(sql, (str(path), boot_id())) is not None

    def _own_places(self) -> list[Path]:
        """The mount points that are there for this store's layers and stacks: others share RUN."""
        folder = self._storage.places.mounts
        try:
            present = {path.name for path in folder.iterdir()}
        except FileNotFoundError:
            return []
        if not present:
            return []
        with self._examination.read() as tx:
            layers = [row.id for row in Layers(tx).list()]
            stacks = {record.source for record in Chains(tx).list()}
            stacks |= {Digest(row[0]) for row in tx.rows("SELECT chain_id FROM chain_layers")}
        subjects = [MountSubject(chain_id=each) for each in stacks]
        mounts = self._storage.mounts
        places = [self._storage.places.mount_place(id, "layer") for id in layers]  # noqa: A001
        places += [mounts.own_place(each, driver) for each in subjects for driver in DRIVERS]
        return sorted(path for path in places if path.name in present)


def remove_place(examination: Examination, path: Path, *, force: bool) -> bool:
    """Remove a mount point that no record names, and by force what is mounted there.

    Returns:
        Whether it is gone.

    Raises:
        InUseError: Somebody mounts there just now, or something is mounted.
        OSError: It could not be removed.
    """
    from orlop.drivers import unmount

    storage = examination.storage
    with storage.database.read() as tx:
        ids = [row.id for row in Layers(tx).list()]
    owner = next((id for id in ids if storage.places.mount_place(id, "layer") == path), None)  # noqa: A001
    locks = storage.places
    lock = locks.mount_lock(path) if owner is None else locks.layer_lock(owner)
    with FileLock(lock, timeout=1):
        examiner = MountExaminer(examination)
        findings = list(examiner.look(f"place {path}"))
        if not findings:
            return True
        if findings[0].damage == "mount":
            if not force:
                raise InUseError(f"something is mounted at {path}", hint="have it removed by force")
            unmount(path, mount_id=mount_identity(path).mount_id, lazy=True)
        path.rmdir()
    return True


def _finding(
    id: str,  # noqa: A002
    damage: Damage,
    target: str,
    what: str,
    remedy: Remedy = "remove",
) -> Finding:
    return Finding(
        damage=damage, subject="mount", id=id, what=f"{target} {what}", path=target, remedy=remedy
    )
