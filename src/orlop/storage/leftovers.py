"""What killed processes leave of layers, images and containers: directories, files, records.

A record comes before its directory and goes before it, so that a directory without a record is
nobody's. A file of big data comes before its record: one without is nobody's once it is old.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from orlop.errors import InUseError
from orlop.metadata import BigData, Containers, Images, Layers, StoredImages
from orlop.storage.big_data import BigDataStore
from orlop.storage.keys import KINDS, digests_of
from orlop.storage.places import EMPTY_LOWER
from orlop.storage.reading import unread
from orlop.storage.staging import discard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from orlop.metadata import ObjectKind, Transaction
    from orlop.metadata.graph import Node
    from orlop.storage.core import StorageCore

_RECORDED: Final[dict[ObjectKind, str]] = {
    "layer": "SELECT id, id FROM layers",
    "image": "SELECT image_id, name FROM images"
    " UNION ALL SELECT id, NULL FROM stored_images WHERE made",
    "container": "SELECT id, NULL FROM containers",
}
"""IDs, and by what the collector knows them where it may forget them."""


def iter_leftovers(
    storage: StorageCore,
    *,
    max_age_ns: int | None = None,
    garbage: Collection[Node] = (),
) -> Iterator[Path]:
    """The directories and files that nothing records, in no order.

    Args:
        storage: The store.
        max_age_ns: How long a file of big data without a record may be somebody's work; as long
            as an interrupted download may rest where None.
        garbage: What counts as if it were not recorded.
    """
    if max_age_ns is None:
        from orlop.metadata.gc import INGEST_KEEP_TIME

        max_age_ns = INGEST_KEEP_TIME
    now = time.time_ns()
    for kind in KINDS:
        for folder in _folders(storage, kind):
            # The names come first: a record is there before its directory.
            names = _names(folder)
            known = _recorded(storage, kind, garbage) if names else frozenset()
            yield from (folder / name for name in names if name not in known)
            if folder.parent == storage.places.root:
                data = BigDataStore(storage, kind)
                for name in names:
                    if name in known and os.path.isdir(folder / name / "data"):
                        yield from _old(data.unrecorded(storage, name), now - max_age_ns)


def _folders(storage: StorageCore, kind: ObjectKind) -> tuple[Path, Path]:
    return storage.places.root / f"{kind}s", storage.places.run_directories(kind)


def is_recorded(tx: Transaction, storage: StorageCore, path: Path) -> bool:
    """Whether something that `iter_leftovers` gave is somebody's after all."""
    for kind in KINDS:
        folders = _folders(storage, kind)
        if path.parent in folders:
            return exists(tx, kind, path.name)
        if path.parent.parent.parent == folders[0]:
            items = BigData(tx).list(kind, path.parent.parent.name)
            return any(datum.file == path.name for datum in items)
    return True


def remove_leftover(storage: StorageCore, path: Path) -> bool:
    """Remove a directory or file that nothing records; whether it is gone.

    Raises:
        OSError: It could not be removed.
    """
    return remove_leftovers(storage, [path])


def remove_leftovers(storage: StorageCore, paths: Iterable[Path]) -> bool:
    """Remove what nothing records, as a transaction that alone writes sees it.

    Whoever makes something of that name has to record it first, and so comes before or after; a
    file of big data is recorded last, and its name is never used again. What was written to a
    layer stays while somebody reads it.

    Returns:
        Whether all of it is gone.

    Raises:
        OSError: Something could not be removed; the next collection goes on.
    """
    with ExitStack() as stack:
        waiting = list(paths)
        alone = [path for path in waiting if _is_alone(path, stack)]
        with storage.database.write() as tx:
            unknown = [path for path in alone if not is_recorded(tx, storage, path)]
            trash = [_rename(storage, path) for path in unknown]
    for path in trash:
        discard(path)
    return len(trash) == len(waiting)


def _is_alone(path: Path, stack: ExitStack) -> bool:
    """Whether nobody reads what was written to a layer; nobody begins to while `stack` is open."""
    try:
        for name in ("diff", "tree"):
            stack.enter_context(unread(path / name))
    except InUseError:
        return False
    return True


def _rename(storage: StorageCore, path: Path) -> Path:
    """Take the name of something away, which may be gone already; what it is called now."""
    trash = storage.places.trash / f"{path.name}-{time.time_ns()}"
    try:
        path.rename(trash)
    except FileNotFoundError:
        pass
    except OSError as error:  # What lies among the mount points is on another filesystem.
        if error.errno != errno.EXDEV:
            raise
        trash = path.with_name(f".gone-{time.time_ns()}")
        with suppress(FileNotFoundError):  # The kernel asks whether it is there after that.
            path.rename(trash)
    return trash


def exists(tx: Transaction, kind: ObjectKind, id: str) -> bool:  # noqa: A002
    """Whether anything is recorded of a layer, an image or a container of this very ID."""
    if kind == "layer":
        return id == EMPTY_LOWER or Layers(tx).get(id) is not None
    if kind == "container":
        return Containers(tx).get(id) is not None
    own = StoredImages(tx).get(id)
    if own is not None and own.made:
        return True
    return any(next(Images(tx).with_id(digest), None) is not None for digest in digests_of(id))


def forget_orphans(storage: StorageCore) -> None:
    """Forget notes on images that are gone, and what belongs to objects that are."""
    if not _has_orphans(storage):
        return
    with storage.database.write() as tx:
        for image in orphaned_notes(tx):
            StoredImages(tx).delete(image)
        for table, kind in (("big_data", True), ("name_history", False)):
            condition = " AND kind = 'image'" if kind else ""
            tx.execute(
                f"DELETE FROM {table} WHERE id NOT IN"  # noqa: S608
                f" (SELECT id FROM stored_images UNION SELECT {_ENCODED} FROM images){condition}"
            )


_ENCODED: Final = "substr(image_id, instr(image_id, ':') + 1)"


def _has_orphans(storage: StorageCore) -> bool:
    with storage.database.read() as tx:
        return bool(orphaned_notes(tx)) or tx.row(_STRAY) is not None


_STRAY: Final = f"""
    SELECT id FROM name_history WHERE id NOT IN
        (SELECT id FROM stored_images UNION SELECT {_ENCODED} FROM images)
    UNION SELECT id FROM big_data WHERE kind = 'image' AND id NOT IN
        (SELECT id FROM stored_images UNION SELECT {_ENCODED} FROM images)
    LIMIT 1
"""  # noqa: S608


def orphaned_notes(tx: Transaction) -> list[str]:
    """The images that notes are kept of, and that are gone."""
    sql = f"""
        SELECT id FROM stored_images WHERE NOT made
            AND id NOT IN (SELECT {_ENCODED} FROM images)
    """  # noqa: S608
    return [row[0] for row in tx.rows(sql)]


def _recorded(
    storage: StorageCore, kind: ObjectKind, garbage: Collection[Node] = ()
) -> frozenset[str]:
    with storage.database.read() as tx:
        rows = tx.rows(_RECORDED[kind])
    gone = {key for what, key in garbage if what == kind}
    found = {row[0].rpartition(":")[2] for row in rows if row[1] not in gone}
    return frozenset(found | ({EMPTY_LOWER} if kind == "layer" else set()))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _old(paths: Iterable[Path], before_ns: int) -> Iterator[Path]:
    for path in paths:
        try:
            if path.stat().st_ctime_ns < before_ns:
                yield path
        except FileNotFoundError:
            continue
