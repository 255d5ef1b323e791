"""Two images compared, whatever layers they are made of."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from orlop.editing.bench import Bench
from orlop.editing.edits import kept_layers
from orlop.storage.layers.changes import same_attributes
from orlop.storage.layers.contents import Contents
from orlop.storage.layers.diff import stream_of
from orlop.storage.layers.members import iter_members
from orlop.storage.layers.tarball import iter_tar
from orlop.tree import difference, iter_changes, lookup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.compression import CompressionName
    from orlop.editing.snapshot import Snapshot
    from orlop.storage.storage import Storage
    from orlop.tree import Change, Node


class ImageDiff:
    """What one image has otherwise than another: names, or a tar.

    Args:
        storage: The store of both.
        old: The image before.
        new: The image after.
    """

    def __init__(self, storage: Storage, old: Snapshot, new: Snapshot) -> None:
        self._storage = storage
        self._old = old
        self._new = new

    def changes(self) -> tuple[Change, ...]:
        """What became of each path, in byte order of the names.

        Raises:
            NotFoundError: A layer is lost.
            OrlopError: A layer is damaged.
            OSError: Something could not be read.
        """
        with self._bench() as bench, Contents(self._storage) as contents:
            old, new = self._trees(bench)
            found = iter_changes(old, new, contents.same)
            return tuple(each for each in found if each.path or not same_attributes(old, new))

    def open(self, *, compress: CompressionName = "none") -> BinaryIO:
        """The changeset that makes the new image of the old one, as a tar with whiteouts.

        Args:
            compress: `none`, `gzip` or `zstd`.

        Raises:
            OrlopError: As `changes`; from reading, too.
            OSError: Something could not be read.
        """
        return stream_of(self._pieces(), compress)

    def _pieces(self) -> Iterator[bytes]:
        with self._bench() as bench, Contents(self._storage) as contents:
            old, new = self._trees(bench)
            entries = difference(old, new, contents.same)
            members = iter_members(entries, partial(lookup, old, follow_last=False))
            kept = (each for each in members if each[0].path or not same_attributes(old, new))
            yield from iter_tar(kept, contents.open)

    def _bench(self) -> Bench:
        return Bench(self._storage, f"diff {self._old.name}", moment="", latest_ns=None)

    def _trees(self, bench: Bench) -> tuple[Node, Node]:
        return bench.tree(kept_layers(self._old)), bench.tree(kept_layers(self._new))
