"""Removing the directories of frozen layers, once no mount stands on them.

A frozen layer holds a tar of all that was written to it; its directory stays for the mounts that
stand on it, and for readers.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from orlop._sys.process import boot_id
from orlop.errors import InUseError
from orlop.metadata import Layers
from orlop.storage.layers.ancestry import directory_of
from orlop.storage.reading import unread
from orlop.storage.staging import remove_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orlop.metadata import LayerRow
    from orlop.storage.core import StorageCore


def iter_thawed(storage: StorageCore) -> Iterator[tuple[str, Path]]:
    """The frozen layers that no mount stands on any more, and their directories."""
    with storage.database.read() as tx:
        rows = map(Layers(tx).get, Layers(tx).frozen())
        thawed = [row for row in rows if row and not Layers(tx).is_mounted_on(row.id, boot_id())]
    for row in thawed:
        yield row.id, directory_of(storage, row)


def thaw_layer(storage: StorageCore, id: str) -> bool:  # noqa: A002
    """The same as `thaw`, under the layer's lock."""
    with storage.mounts.lock_layer(id):
        return thaw(storage, id)


def thaw(storage: StorageCore, id: str) -> bool:  # noqa: A002
    """Remove the directory of a frozen layer, unless it is needed; whether it is gone.

    Mounts that stand on it, and readers, need it still.

    The caller holds the layer's lock. Nothing is mounted on the layer meanwhile that would stand on
    the directory, since it is frozen.
    """
    with storage.database.read() as tx:
        row = Layers(tx).get(id)
        if row is None or not row.frozen or Layers(tx).is_mounted_on(id, boot_id()):
            return False
    try:
        with unread(directory_of(storage, row)):
            _discard(storage, row)
    except InUseError:
        return False
    with storage.database.write() as tx:
        now = Layers(tx).get(id)
        if now is not None:
            Layers(tx).replace(replace(now, frozen=False))
    return True


def _discard(storage: StorageCore, row: LayerRow) -> None:
    """Remove a layer's directory: first its name, in one step."""
    directory = directory_of(storage, row)
    trash = storage.places.trash / f"layer-{row.id}-{time.time_ns()}"
    try:
        directory.rename(trash)
    except FileNotFoundError:
        return
    remove_path(trash)
