"""Freeing what nothing needs, in a store with forms, chains and staging directories."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from orlop._sys.process import boot_id
from orlop._sys.sync import syncfs
from orlop.content import DigestDirectory
from orlop.drivers.probing import PROBE_PREFIX, are_trials_over
from orlop.metadata import Chains, Forms, Leases
from orlop.metadata.collected import Collected, Item
from orlop.metadata.gc import INGEST_KEEP_TIME, ended_leases
from orlop.metadata.gc import collect as collect_records
from orlop.metadata.graph import Node
from orlop.storage.layers.thaw import iter_thawed, thaw_layer
from orlop.storage.leftovers import (
    forget_orphans,
    iter_leftovers,
    remove_leftover,
)
from orlop.storage.meter import DiskMeter
from orlop.storage.staging import discard, lease_of

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.storage.core import StorageCore


def collect(storage: StorageCore, *, unfinished: bool = False, dry_run: bool = False) -> Collected:
    """Free what no image, mount or lease needs; may be killed at any time, and run beside others.

    Args:
        storage: The store.
        unfinished: Also drop what interrupted pulls left less than a day ago.
        dry_run: Write nothing, and say what would go; a mount that is in use counts as if it were
            not.

    Raises:
        OSError: Something could not be removed.
    """
    meter = DiskMeter(storage.places)
    if not dry_run:
        storage.let_go()
        forget_orphans(storage)
    unmounted = storage.mounts.stale() if dry_run else storage.mounts.clean()
    leftovers, garbage = _trash(storage, meter), set[Node]()
    places, trash = storage.places, storage.content.trash
    collected = collect_records(
        storage.database,
        storage.content,
        forms=DigestDirectory(str(places.root / "forms"), trash),
        chains=DigestDirectory(str(places.root / "chains"), trash),
        ingest_keep_ns=0 if unfinished else INGEST_KEEP_TIME,
        measure=meter,
        dry_run=dry_run,
        unmounted=[record.id for record in unmounted],
        planned=garbage,
    )
    for path in abandoned(storage):
        leftovers.append(_leftover(storage, path, meter))
        if not dry_run:
            _discard(storage, path)
    for layer, path in iter_thawed(storage):
        if not path.is_dir():
            if not dry_run:
                thaw_layer(storage, layer)  # Somebody was killed before it said so.
        elif ("layer", layer) not in garbage:
            item = _leftover(storage, path, meter)
            if dry_run or thaw_layer(storage, layer):
                leftovers.append(item)
    for path in iter_leftovers(storage, garbage=garbage):
        item = _leftover(storage, path, meter)
        if dry_run or remove_leftover(storage, path):
            leftovers.append(item)
    if not dry_run:
        mark_durable(storage)
    mounts = (Item(kind="mount", key=record.target) for record in unmounted)
    return Collected.of([*mounts, *collected.items, *leftovers])


def _trash(storage: StorageCore, meter: DiskMeter) -> list[Item]:
    """What another collector was killed at, and the next one frees."""
    paths = sorted(storage.places.trash.iterdir())
    return [_leftover(storage, path, meter) for path in paths]


def _leftover(storage: StorageCore, path: Path, meter: DiskMeter) -> Item:
    inside = path.is_relative_to(storage.places.root)
    key = path.relative_to(storage.places.root) if inside else path
    return Item(kind="leftover", key=str(key), size=meter.add(path))


def _discard(storage: StorageCore, path: Path) -> None:
    """Remove something: first its name, in one step."""
    trash = storage.places.trash / f"{path.name}-{time.time_ns()}"
    try:
        path.rename(trash)
    except FileNotFoundError:
        return
    discard(trash)


def abandoned(storage: StorageCore) -> list[Path]:
    """The staging directories of leases that are no more, and trials that were killed."""
    # The names come first: whoever makes a directory has had its lease before.
    names = sorted(os.listdir(storage.places.staging))
    with storage.database.read() as tx:
        leases = {record.id for record in Leases(tx).list()}
        leases -= {record.id for record in ended_leases(tx, time.time_ns())}
    paths = (storage.places.staging / name for name in names if lease_of(name) not in leases)
    over = are_trials_over(storage.places.staging)
    return [path for path in paths if over or not path.name.startswith(PROBE_PREFIX)]


def mark_durable(storage: StorageCore) -> int:
    """Wait until what was derived in this boot is on the disk, and record that; how many records.

    From then on it outlives a crash of the machine without being verified or built again.

    Raises:
        OSError: Something could not be written to the disk.
    """
    with storage.database.read() as tx:
        forms = list(Forms(tx).unmarked(boot_id()))
        chains = list(Chains(tx).unmarked(boot_id()))
    if not forms and not chains:
        return 0
    places = storage.places
    paths = {each: places.form(each.source) / each.kind for each in forms}
    paths.update((each, places.chain(each.source) / each.kind) for each in chains)
    synced = {each: _identity(path) for each, path in paths.items()}
    handle = os.open(storage.places.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs(handle)
    finally:
        os.close(handle)
    # What was built anew meanwhile is another file, of which nothing is known.
    unchanged = {each for each, path in paths.items() if _identity(path) == synced[each]}
    with storage.database.write() as tx:
        for form in unchanged.intersection(forms):
            Forms(tx).mark_durable(form.source, form.kind, form.boot_id)
        for chain in unchanged.intersection(chains):
            Chains(tx).mark_durable(chain.source, chain.kind, chain.boot_id)
    return len(unchanged)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file or directory from another one of its name; None where there is none."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_ctime_ns
