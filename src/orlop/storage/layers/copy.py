"""Whole copies: the directory of a layer that has all files of its parents, and its own.

A copy is made beside, and named when it is whole and on the disk. Where the parent is such a
directory too, its files are cloned where the filesystem can do that.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orlop._sys.handle import Fd
from orlop._sys.sync import syncfs
from orlop.metadata import Lease
from orlop.rootfs import change_node, copy_tree, write_tree
from orlop.storage.layers.ancestry import directory_of, note_of
from orlop.storage.layers.contents import Contents, require_forms
from orlop.storage.layers.copy_time import note_copied
from orlop.storage.layers.mapping import mapping_of
from orlop.storage.left_out import LeftOut, read_note
from orlop.storage.places import writing_to
from orlop.storage.reading import open_shared
from orlop.storage.staging import staging_directory
from orlop.tree import walk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orlop.idmap import IdMapping
    from orlop.metadata import LayerRow
    from orlop.rootfs import WriteReport
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.ancestry import Located
    from orlop.tree import Node


def make_tree(storage: StorageCore, layers: Sequence[Located]) -> Path:
    """Give the first of these layers its directory, unless it has it.

    Raises:
        NotFoundError: What a layer below is made of is lost.
        OSError: It cannot be written.
    """
    layer = layers[0]
    target = directory_of(storage, layer.row)
    if target.is_dir():
        return target
    with (
        writing_to(storage.places.root),
        Lease(storage.database, "copy") as lease,
        staging_directory(storage.places, lease.id) as staging,
    ):
        fresh = staging / "tree"
        fresh.mkdir(mode=0o755)
        left_out = _fill(storage, layers, fresh)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        if not left_out.nothing:
            note_of(storage, layer.row).write_bytes(left_out.encode())
        sync_copy(fresh, layer.row)
        os.rename(fresh, target)
        note_copied(target.parent)
    return target


def sync_copy(path: Path, row: LayerRow) -> None:
    """Return when a layer's directory is on the disk, unless nobody minds.

    Raises:
        OSError: It could not be written.
    """
    if not row.flags.get("volatile"):
        with Fd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as directory:
            syncfs(directory)


def _fill(storage: StorageCore, layers: Sequence[Located], target: Path) -> LeftOut:
    """Write the files, and return what cannot be kept of them."""
    owners = storage.mountables.keeps_owners or storage.mountables.maps_ids
    mapping = mapping_of(layers[0].row)
    parent = layers[1] if len(layers) > 1 and layers[0].row.diff_id is None else None
    with Fd(os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as output:
        if parent is not None and parent.row.form == "tree" and parent.written:
            report = _clone(parent, output, mapping, ownership=owners)
            known = read_note(note_of(parent.storage, parent.row))
            return known.also(LeftOut.by(report, owners=owners))
        require_forms(storage, layers)
        with Contents(storage) as contents:
            root = contents.tree(layers)
            if mapping is not None:
                _shift(root, mapping)
            report = write_tree(
                root,
                output.fileno(),
                contents.open,
                ownership=owners,
                xattrs="strict" if owners else "drop",
            )
            return LeftOut.by(report, owners=owners)


def _clone(
    parent: Located, output: Fd, mapping: IdMapping | None, *, ownership: bool
) -> WriteReport:
    stored = mapping_of(parent.row)

    def change(uid: int, gid: int) -> tuple[int, int]:
        if stored is not None:
            uid, gid = stored.to_container(uid, gid)
        return (uid, gid) if mapping is None else mapping.to_host(uid, gid)

    assert parent.directory is not None
    with Fd(open_shared(parent.directory)) as source:
        return copy_tree(
            source.fileno(),
            output.fileno(),
            change=None if stored == mapping else change,
            ownership=ownership,
            xattrs="strict" if ownership else "drop",
        )


def _shift(root: Node, mapping: IdMapping) -> None:
    seen: set[int] = set()
    for _, node in walk(root):
        if id(node) not in seen:
            seen.add(id(node))
            change_node(node, mapping.to_host)
