"""How much room things take on the disk, and how much of it is free once they are gone."""

from __future__ import annotations

import os
from stat import S_ISDIR
from typing import TYPE_CHECKING, final

from orlop.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike, stat_result

    from orlop.metadata.collected import ItemKind
    from orlop.storage.places import Places

_BLOCK = 512
"""Bytes of what `st_blocks` counts."""


@final
class DiskMeter:
    """What measures things that go, one after the other: a file counts with its last link.

    Args:
        places: Where the store is.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._links: dict[tuple[int, int], int] = {}

    def __call__(self, kind: ItemKind, key: str) -> int:
        """Bytes on the disk that are free once this goes, after all that was measured before."""
        path = self._path_of(kind, key)
        return 0 if path is None else self.add(path)

    def add(self, path: PathLike[str] | str) -> int:
        """The same for a file, or a directory with all below it."""
        return sum(found.st_blocks * _BLOCK for found in inodes(path) if self._is_last(found))

    def _is_last(self, found: stat_result) -> bool:
        if found.st_nlink == 1 or S_ISDIR(found.st_mode):
            return True
        inode = found.st_dev, found.st_ino
        left = self._links.pop(inode, found.st_nlink) - 1
        if left > 0:
            self._links[inode] = left
        return left <= 0

    def _path_of(self, kind: ItemKind, key: str) -> PathLike[str] | str | None:
        if kind == "blob":
            return self._places.blob(Digest(key))
        if kind == "form":
            return self._places.form(Digest(key))
        if kind == "chain":
            return self._places.chain(Digest(key))
        if kind == "ingest":
            return self._places.ingest(key)
        return None


def inodes(path: PathLike[str] | str) -> Iterator[stat_result]:
    """What is known of a file, or of a directory and all below it; what is gone is passed over."""
    pending = [os.fspath(path)]
    while pending:
        here = pending.pop()
        try:
            found = os.lstat(here)
            if S_ISDIR(found.st_mode):
                pending.extend(os.path.join(here, name) for name in os.listdir(here))
        except OSError:
            continue
        yield found
