"""Write the disks of an image."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orlop.digest import Digest
from orlop.disks.hash_tree import write_hash_tree
from orlop.disks.target import DiskTarget
from orlop.disks.trees import Slice, iter_trees, layer_slices, merged_slice
from orlop.disks.writers import WRITERS, write_indexed
from orlop.errors import NotFoundError, UnsafePathError
from orlop.storage.rebuild import ensure_form
from orlop.storage.tars import LayerTars
from orlop.tree import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orlop.disks.options import DiskOptions, Filesystem
    from orlop.fsimage.verity import DmVerity
    from orlop.metadata import Lease
    from orlop.storage.chains import Stack
    from orlop.storage.storage import Storage
    from orlop.tree import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskProgress:
    """How far the writing of an image's disks has come.

    Attributes:
        disk: Which one is being written, from 0.
        disks: How many there will be.
        done: Bytes of the files' contents that are written, of all disks together.
        total: Bytes of all contents; more than there will be where files share theirs.
    """

    disk: int
    disks: int
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk that was written.

    Attributes:
        path: The file or block device.
        fs: Its filesystem.
        size: Its bytes, a hash tree among them.
        diff_ids: The layers that it shows, base first.
        kernel: The oldest Linux that can mount it, such as (5, 4).
        verity: What its hash tree says, where it has one.
        hash_tree: The file that the tree is in, where it is not behind the filesystem.
    """

    path: Path
    fs: Filesystem
    size: int
    diff_ids: tuple[Digest, ...]
    kernel: tuple[int, int]
    verity: DmVerity | None = None
    hash_tree: Path | None = None


def disk_paths(output: Path, count: int) -> list[Path]:
    """Where each of some disks goes: one to `output`, several to `NAME.0.SUFFIX` and so on.

    Raises:
        UnsafePathError: It has no name, or there are several, and it is a block device or a
            directory, beside which nobody wants them.
    """
    if output.name in {"", ".."}:
        raise UnsafePathError("is no name of a file", where=str(output))
    if count == 1:
        return [output]
    if output.is_dir() or output.is_block_device():
        raise UnsafePathError(
            f"is no place for {count} disks, each of which is a file of its own",
            where=str(output),
            hint="name a file, beside which they are numbered; or ask for one disk",
        )
    return [output.with_name(f"{output.stem}.{at}{output.suffix}") for at in range(count)]


class DiskMaker:
    """Makes disks of a stack of layers, out of their tars.

    Args:
        storage: Where the layers are.
        stack: The layers, base first.
        options: What the disks are to be like.
        progress: Called again and again while contents are written; what it raises stops the work.
        read_again: Whether the disks are read as soon as they are written, as with a hash tree.
    """

    def __init__(
        self,
        storage: Storage,
        stack: Stack,
        options: DiskOptions,
        progress: Callable[[DiskProgress], object] | None = None,
        *,
        read_again: bool = False,
    ) -> None:
        self._storage = storage
        self._stack = stack
        self._options = options
        self._progress = progress
        self._read_again = read_again or options.verity
        self._done = 0

    @cached_property
    def slices(self) -> list[Slice]:
        """Which layers each disk shows, base first."""
        if self._options.layout == "layers":
            return layer_slices(self._stack, self._options.max_disks)
        return [merged_slice(self._stack)]

    def make(self, paths: Sequence[Path | None], lease: Lease | None) -> list[Disk]:
        """Write the disks; success means that all are whole and durable, and else none is there.

        Args:
            paths: Where each goes: files, which are replaced, or block devices; None for one that
                is not wanted.
            lease: What keeps the layers, whose tars are made again from their blobs if need be;
                None in a store that is only read, where they have to be there.

        Raises:
            NotFoundError: A layer is lost, or there is no such directory.
            InvalidError: Something in the image cannot be in such a filesystem.
            LimitExceededError: Something is longer or more than it can hold, or the image larger
                than the disk.
            UnsupportedError: A library or program is missing, or an attribute has no place in it.
            InUseError: A block device is in use.
            UnsafePathError: A hash tree is to be a file beside a block device.
            OSError: Something could not be read or written.
            ValueError: Two of the paths are one.
        """
        places = [os.path.realpath(path) for path in paths if path is not None]
        if len(set(places)) < len(places):
            raise ValueError("two disks would have the same path")
        if self._options.beside:
            for place in places:
                _require_no_device(place)
        self._ensure_tars(lease)
        with ExitStack() as stack:
            # They get their names when all are written.
            tars = stack.enter_context(LayerTars(self._storage.forms))
            targets = [None if path is None else self._open(path, stack) for path in paths]
            hashes = [
                self._open(target.path.with_name(f"{target.path.name}.verity"), stack)
                if target is not None and self._options.beside
                else None
                for target in targets
            ]
            trees = iter_trees(
                self.slices,
                self._storage.forms,
                tars.read,
                overlay=self._options.layout == "layers",
            )
            disks = [
                self._make(at, tree, target, hashed, tars)
                for at, (tree, target, hashed) in enumerate(
                    zip(trees, targets, hashes, strict=True)
                )
                if target is not None
            ]
            wanted = [target for target in (*targets, *hashes) if target is not None]
            for target in wanted:
                target.finish()
            for target in wanted:
                target.name(keep=len(wanted) > 1)
            return disks

    def _ensure_tars(self, lease: Lease | None) -> None:
        for at, diff_id in enumerate(self._stack.diff_ids):
            if lease is not None:
                ensure_form(self._storage, self._stack, at, "tar", lease)
            elif self._storage.forms.usable(diff_id, "tar") is None:
                raise NotFoundError(
                    f"layer {diff_id} is not unpacked as a tar, and the store is only read",
                    hint="open the store to be written to",
                )

    def _open(self, path: Path, stack: ExitStack) -> DiskTarget:
        """A target, whose end is made sure of before anything is made."""
        target = DiskTarget(path, read_again=self._read_again)
        stack.push(target)
        target.open()
        return target

    def _make(
        self, at: int, root: Node, target: DiskTarget, hashed: DiskTarget | None, tars: LayerTars
    ) -> Disk:
        report = self._reporter(at, root)
        uuid = self._options.uuid_for(Digest.of(self.slices[at].key.encode()))
        if self._options.layout == "indexed":
            kernel = write_indexed(root, target, tars, uuid, self._storage.forms, self.slices[at])
        else:
            kernel = WRITERS[self._options.fs](root, target, tars.read, self._options, uuid, report)
        verity = None
        if self._options.verity:
            verity = write_hash_tree(target, hashed, self._options, uuid)
        return Disk(
            path=target.path,
            fs=self._options.fs,
            size=target.size,
            diff_ids=self.slices[at].diff_ids,
            kernel=kernel,
            verity=verity,
            hash_tree=None if hashed is None else hashed.path,
        )

    def _reporter(self, at: int, root: Node) -> Callable[[int], object] | None:
        progress = self._progress
        if progress is None:
            return None
        total = self._done + sum(node.size for node in {node for _, node in walk(root)})

        def report(size: int) -> None:
            self._done += size
            progress(DiskProgress(disk=at, disks=len(self.slices), done=self._done, total=total))

        return report


def _require_no_device(path: str) -> None:
    """Refuse a block device: a file beside it would be in memory, among the other devices."""
    if Path(path).is_block_device():
        raise UnsafePathError(
            "is a device, beside which no hash tree can lie",
            where=path,
            hint="let the tree follow the filesystem: leave --beside out",
        )
