"""Write an image into a directory."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.errors import NotFoundError
from orlop.rootfs import write_tree
from orlop.storage.chains import Stack
from orlop.storage.rebuild import ensure_form
from orlop.storage.tars import LayerTars
from orlop.tree import walk
from orlop.unpack.layer import layer_tree
from orlop.unpack.rootless import Kept, disguise
from orlop.unpack.state import ROOTFS, Form, State, write_state
from orlop.unpack.stats import read_stats
from orlop.unpack.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orlop.digest import Digest
    from orlop.metadata import Lease
    from orlop.rootfs import Dropped, WriteReport
    from orlop.spec import Descriptor
    from orlop.storage.storage import Storage
    from orlop.tree import Node

_TICK: Final = 0.01
"""Seconds after which every kernel gives what is changed another time than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What was unpacked.

    Attributes:
        path: The directory.
        form: `rootfs` for the merged tree, `layer` for one layer, `stacked` for each by itself.
        directories: Where the files are; several for `stacked`, base first.
        inodes: How many inodes were made.
        links: How many further names of them.
        kept: `all`; without privilege `owners` or `nothing`, and the rest is noted for `repack`.
        dropped: What the directory lacks of the image, the first thousand records.
        dropped_count: How many records there would be.
    """

    path: Path
    form: Form
    directories: tuple[Path, ...]
    inodes: int
    links: int
    kept: Kept
    dropped: tuple[Dropped, ...]
    dropped_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackProgress:
    """How far the unpacking of an image has come.

    Attributes:
        directory: Which one is being filled, from 0.
        directories: How many there will be; several for `stacked`.
        done: Inodes that are made in it.
        total: Inodes that it will have.
    """

    directory: int
    directories: int
    done: int
    total: int


class Unpacker:
    """Unpacks one image.

    Args:
        storage: Where its layers are.
        state: What it is, and how it is to be unpacked.
        lease: What keeps the layers, whose tars are made again from their blobs if need be.
        progress: Called again and again while files are made; what it raises stops the work.
    """

    def __init__(
        self,
        storage: Storage,
        state: State,
        lease: Lease,
        progress: Callable[[UnpackProgress], object] | None = None,
    ) -> None:
        self._storage = storage
        self._stack = Stack.of(state.diff_ids)
        self._state = state
        self._lease = lease
        self._progress = progress

    def unpack(self, path: Path, *, layer: int | None = None) -> Unpacked:
        """Fill a directory; success means that all of the image is in it, as far as it can be.

        Args:
            path: The directory: an empty one, or one that is not there.
            layer: For the form `layer` its number, from 0 for the base.

        Raises:
            AlreadyExistsError: The directory is not empty; nothing was touched.
            NotFoundError: A layer is lost.
            InvalidLayerError: The layers do not fit on each other.
            UnsupportedError: Something of the image cannot be made here.
            OSError: It is no directory, or cannot be written; what was written is removed.
        """
        for at in range(len(self._stack.diff_ids)):
            ensure_form(self._storage, self._stack, at, "tar", self._lease)
        with Target(path) as target, LayerTars(self._storage.forms) as tars:
            if self._state.form == "stacked":
                written = self._write_stacked(target, tars)
                write_state(target.fd, self._state, None)
            elif layer is not None:
                written = [self._write(target, ROOTFS, self._layer(layer), tars)]
                write_state(target.fd, self._state, None)
            else:
                root = self._storage.chains.tree(self._stack)
                written = [self._write(target, ROOTFS, root, tars)]
                self._record(target)
        return self._report(path, written)

    def _layer(self, layer: int) -> Node:
        below = self._storage.chains.tree(Stack.of(self._stack.diff_ids[:layer]))
        return layer_tree(self._storage.forms.changeset(self._stack.diff_ids[layer]), below)

    def _write_stacked(self, target: Target, tars: LayerTars) -> list[WriteReport]:
        from orlop.disks.trees import iter_trees, layer_slices

        slices = layer_slices(self._stack)
        user = self._state.kept != "all"
        trees = iter_trees(slices, self._storage.forms, tars.read, userxattr=user)
        return [
            self._write(target, str(at), root, tars, overlay=True) for at, root in enumerate(trees)
        ]

    def _write(
        self, target: Target, name: str, root: Node, tars: LayerTars, *, overlay: bool = False
    ) -> WriteReport:
        kept = self._state.kept
        if kept != "all":
            root = disguise(root, owners=kept == "owners")
        handle = target.make(name)
        try:
            return write_tree(
                root,
                handle,
                tars.open,
                ownership=kept != "nothing",
                xattrs="strict" if kept == "all" else "drop",
                overlay=None if not overlay else "trusted" if kept == "all" else "user",
                progress=self._told(root, int(name) if overlay else 0),
            )
        finally:
            os.close(handle)

    def _told(self, root: Node, at: int) -> Callable[[int], object] | None:
        """What tells of the inodes that are made in one directory."""
        tell = self._progress
        if tell is None:
            return None
        total = len({node for _, node in walk(root)}) - 1
        directories = len(self._stack.diff_ids) if self._state.form == "stacked" else 1
        return lambda done: tell(
            UnpackProgress(directory=at, directories=directories, done=done, total=total)
        )

    def _record(self, target: Target) -> None:
        """Note what each file is like; whatever is done to one from now on has another time."""
        handle = os.open(ROOTFS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=target.fd)
        try:
            stats = read_stats(handle)
        finally:
            os.close(handle)
        write_state(target.fd, self._state, stats)
        time.sleep(_TICK)

    def _report(self, path: Path, written: Sequence[WriteReport]) -> Unpacked:
        stacked = self._state.form == "stacked"
        names = [str(at) for at in range(len(written))] if stacked else [ROOTFS]
        return Unpacked(
            path=path,
            form=self._state.form,
            directories=tuple(path / name for name in names),
            inodes=sum(each.inodes for each in written),
            links=sum(each.links for each in written),
            kept=self._state.kept,
            dropped=tuple(dropped for each in written for dropped in each.dropped),
            dropped_count=sum(each.dropped_count for each in written),
        )


def state_for(
    storage: Storage,
    *,
    image: str,
    manifest: Digest,
    config: Digest,
    diff_ids: tuple[Digest, ...],
    form: Form,
) -> State:
    """What is to be noted of an image that this process unpacks: as much as it can make of it."""
    mountables = storage.mountables
    kept: Kept = "nothing"
    if mountables.keeps_owners:
        kept = "all"
    elif mountables.maps_ids:
        kept = "owners"
    return State(
        image=image, manifest=manifest, config=config, diff_ids=diff_ids, form=form, kept=kept
    )


def find_layer(wanted: int | str, diff_ids: Sequence[str], layers: Sequence[Descriptor]) -> int:
    """The number of a layer that is meant by its number, its digest or its diffID.

    Raises:
        NotFoundError: The image has none such.
    """
    if isinstance(wanted, int) or wanted.isdecimal():
        at = int(wanted)
        if 0 <= at < len(diff_ids):
            return at
    else:
        for at, diff_id in enumerate(diff_ids):
            if wanted in {diff_id, layers[at].digest if at < len(layers) else diff_id}:
                return at
    raise NotFoundError(
        f"the image has no layer {wanted}",
        hint=f"it has {len(diff_ids)}, numbered from 0 for the base; a digest will do too",
    )
