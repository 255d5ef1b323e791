"""Sizes as the peer counts them: the bytes of files, or of the tar that a layer was made of."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.storage.layers.record import Layer
    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import Container, StoredImage


def content_size(storage: Storage, layer: Layer, base: Layer | None = None) -> int:
    """The bytes of the files that a layer adds to its parent, or to another one."""
    from orlop.storage.layers.ancestry import ancestry
    from orlop.storage.layers.contents import Contents
    from orlop.tree import Put

    layers = ancestry(storage, layer.id)
    with Contents(storage) as contents:
        members = storage.layers.differ.members(contents, layers, None if base is None else base.id)
        entries = [entry for entry, _ in members]
    nodes = [entry.node for entry in entries if isinstance(entry, Put)]
    return sum(len(node.target or b"") or node.size for node in nodes)


def image_size(storage: Storage, image: StoredImage) -> int:
    """The bytes of an image's layers and of its big data."""
    total = sum(datum.size for datum in storage.images.data.list(image.id))
    key = image.layer
    while key is not None:
        layer = storage.layers.get(key)
        known = layer.diff_size if layer.diff_id is not None else None
        total += content_size(storage, layer) if known is None else known
        key = layer.parent
    return total


def container_size(storage: Storage, container: Container) -> int:
    """The bytes that belong to a container: files that it added, big data, directories."""
    total = sum(datum.size for datum in storage.containers.data.list(container.id))
    total += content_size(storage, storage.layers.get(container.layer))
    places = storage.places
    return (
        total
        + _directory_size(places.object("container", container.id) / "userdata")
        + _directory_size(places.run_directory("container", container.id))
    )


def _directory_size(path: Path) -> int:
    """The bytes of the files below a directory, each counted once."""
    seen = {}
    for folder, _, names in os.walk(path):
        for name in names:
            found = os.lstat(os.path.join(folder, name))
            if stat.S_ISREG(found.st_mode):
                seen[found.st_dev, found.st_ino] = found.st_size
    return sum(seen.values())
