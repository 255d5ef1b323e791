"""What a store occupies."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from stat import S_ISDIR
from typing import TYPE_CHECKING

from orlop.metadata import Images
from orlop.storage.collect import collect
from orlop.storage.meter import inodes
from orlop.storage.places import EMPTY_LOWER
from orlop.storage.staging import free_space

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.metadata.collected import Collected
    from orlop.storage.core import StorageCore


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
        written: Directories of layers: what was written to them, and their big data.
        data: Directories of images and containers: their big data, and what is their own.
        ingests: Content on its way in, what is being built, and what is being removed.
        free: Bytes that the filesystem has left.
    """

    images: int
    blobs: Share
    layers: Share
    stacks: Share
    written: Share
    data: Share
    ingests: Share
    free: int

    @property
    def total(self) -> int:
        """All that the store occupies, but for its records."""
        return sum(share.size for share in self.shares.values())

    @property
    def shares(self) -> dict[str, Share]:
        """What each kind occupies, by its name."""
        return {
            "blobs": self.blobs,
            "layers": self.layers,
            "stacks": self.stacks,
            "written": self.written,
            "data": self.data,
            "unfinished": self.ingests,
        }


def measure(storage: StorageCore) -> Usage:
    """Count what a store occupies, on the disk rather than by its records."""
    places = storage.places
    reclaimable = _reclaimable(collect(storage, dry_run=True))
    with storage.database.read() as tx:
        images = Images(tx).count()
    seen: set[tuple[int, int]] = set()
    blobs, layers, stacks = (
        [path for folder in _paths(places.root / kind) for path in _paths(folder)]
        for kind in ("blobs", "forms", "chains")
    )
    written, data = (
        [
            path
            for folder in folders
            for path in _paths(places.root / folder)
            if not path.endswith(f"/{EMPTY_LOWER}")
        ]
        for folders in (("layers",), ("images", "containers"))
    )
    loose = [
        path
        for folder in (places.root / "ingest", places.staging, places.trash)
        for path in _paths(folder)
    ]
    return Usage(
        images=images,
        blobs=_share(blobs, seen, reclaimable["blob"]),
        layers=_share(layers, seen, reclaimable["form"]),
        stacks=_share(stacks, seen, reclaimable["chain"]),
        written=_share(written, seen, reclaimable["layers"]),
        data=_share(data, seen, reclaimable["images"] + reclaimable["containers"]),
        ingests=_share(loose, seen, reclaimable["ingest"] + reclaimable["leftover"]),
        free=free_space(places.root),
    )


def _reclaimable(collected: Collected) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for item in collected.items:
        folder = item.key.partition("/")[0]
        loose = item.kind == "leftover" and folder in {"layers", "images", "containers"}
        sizes[folder if loose else item.kind] += item.size
    return sizes


def _share(paths: list[str], seen: set[tuple[int, int]], reclaimable: int) -> Share:
    size = sum(_disk_size(path, seen) for path in paths)
    return Share(count=len(paths), size=size, reclaimable=reclaimable)


def _disk_size(path: str, seen: set[tuple[int, int]]) -> int:
    """Bytes that a file, or a directory with all below it, has on the disk; inodes once."""
    total = 0
    for found in inodes(path):
        inode = found.st_dev, found.st_ino
        if found.st_nlink > 1 and not S_ISDIR(found.st_mode):
            if inode in seen:
                continue
            seen.add(inode)
        total += found.st_blocks * 512
    return total


def _paths(folder: Path | str) -> list[str]:
    try:
        return sorted(os.path.join(folder, name) for name in os.listdir(folder))
    except OSError:
        return []
