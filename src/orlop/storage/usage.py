"""What a store occupies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop.metadata import Blobs, Chains, Forms, Images
from orlop.metadata.graph import mark, read_graph
from orlop.storage.staging import free_space

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.storage.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one kind of content occupies.

    Attributes:
        count: How many there are.
        size: Bytes on the disk; what is shared by hard links counts once, with the blobs.
        reclaimable: Bytes that a collection would free.
    """

    count: int
    size: int
    reclaimable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a store occupies, in bytes on the disk.

    Attributes:
        images: How many images have a name.
        blobs: Content as it was fetched.
        layers: What is derived from layers: tars and directories.
        stacks: What is derived from stacks of layers: indexes and directories.
        ingests: Content on its way in, what is being built, and what is being removed.
        free: Bytes that the filesystem has left.
    """

    images: int
    blobs: Share
    layers: Share
    stacks: Share
    ingests: Share
    free: int

    @property
    def total(self) -> int:
        """All that the store occupies, but for its records."""
        return sum(share.size for share in (self.blobs, self.layers, self.stacks, self.ingests))


def measure(storage: Storage) -> Usage:
    """Count what a store occupies, on the disk rather than by its records."""
    places = storage.places
    with storage.database.read() as tx:
        garbage = mark(read_graph(tx))
        images = Images(tx).count()
        blobs = [record.digest for record in Blobs(tx).list()]
        layers = dict.fromkeys(record.source for record in Forms(tx).list())
        stacks = dict.fromkeys(record.source for record in Chains(tx).list())
    seen: set[int] = set()
    return Usage(
        images=images,
        blobs=_share([(key in garbage.blobs, places.blob(key)) for key in blobs], seen),
        layers=_share([(key in garbage.forms, places.form(key)) for key in layers], seen),
        stacks=_share([(key in garbage.chains, places.chain(key)) for key in stacks], seen),
        ingests=_share(
            [
                (folder == places.trash, folder / name)
                for folder in (places.root / "ingest", places.staging, places.trash)
                for name in _names(folder)
            ],
            seen,
        ),
        free=free_space(places.root),
    )


def _share(entries: list[tuple[bool, Path]], seen: set[int]) -> Share:
    sizes = [(garbage, _disk_size(path, seen)) for garbage, path in entries]
    return Share(
        count=len(sizes),
        size=sum(size for _, size in sizes),
        reclaimable=sum(size for garbage, size in sizes if garbage),
    )


def _disk_size(path: Path, seen: set[int]) -> int:
    """Bytes that a file, or a directory with all below it, has on the disk; inodes once."""
    pending, total = [os.fspath(path)], 0
    while pending:
        here = pending.pop()
        try:
            found = os.lstat(here)
            if found.st_ino in seen:
                continue
            seen.add(found.st_ino)
            total += found.st_blocks * 512
            if os.path.isdir(here) and not os.path.islink(here):
                pending.extend(os.path.join(here, name) for name in os.listdir(here))
        except OSError:
            continue
    return total


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
