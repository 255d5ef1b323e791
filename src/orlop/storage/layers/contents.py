"""What layers hold, as changesets and trees, whatever it is kept as.

The content of a file is named by a digest, as everywhere: a layer's diffID where it lies in its
tar. A file that was written to a directory has a name that only this object knows.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Self

from orlop.digest import Digest
from orlop.errors import OrlopError
from orlop.metadata import Lease
from orlop.rootfs import change_node, open_upper, read_tree, read_upper
from orlop.storage.layers.ancestry import note_of, stack_of
from orlop.storage.layers.copy_time import Untouched, copied_at
from orlop.storage.layers.mapping import mapping_of
from orlop.storage.layers.restore import restore
from orlop.storage.left_out import read_note
from orlop.storage.reading import close_shared, open_shared
from orlop.storage.rebuild import ensure_form
from orlop.tree import Merger, Node, Put, directory, split, walk
from orlop.tree.node import S_IFREG

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from orlop.storage.core import StorageCore
    from orlop.storage.layers.ancestry import Located
    from orlop.tree import Entry

_MAX_OPEN: Final = 64
"""Files of directories that are kept open at a time; tars stay open."""


class Contents:
    """Reads what layers hold; a context manager that closes what it opened.

    Args:
        storage: The store.
    """

    def __init__(self, storage: StorageCore) -> None:
        self._storage = storage
        self._directories: list[int] = []
        self._written: dict[Digest, tuple[int, bytes]] = {}
        self._copy: str | None = None
        self._untouched: set[Digest] = set()
        self._tars: dict[Digest, int] = {}
        self._open: OrderedDict[Digest, int] = OrderedDict()

    def compare_copy(self, layer: Located) -> None:
        """Take for unchanged what a layer that is a copy of its parent has not touched since.

        From now on `same` need not read such files, where their attributes are the parent's.
        """
        self._copy = layer.row.id

    def tree(self, layers: Sequence[Located]) -> Node:
        """The merged tree of a layer and all below it, the topmost first.

        Raises:
            NotFoundError: The changeset of one is lost.
            InvalidLayerError: They do not fit on each other.
            OSError: A directory cannot be read.
        """
        at, root = self._start(layers)
        merger = Merger(root)
        for each in reversed(layers[:at]):
            try:
                self._apply(merger, each)
            except OrlopError as error:
                raise error.inside(f"layer {each.row.id}")
        return merger.root

    def written(self, layer: Located) -> Iterator[Entry]:
        """The changeset of what was written to a layer's directory in overlay's form.

        Raises:
            InvalidLayerError: It is not in a form that orlop lets the kernel write.
            NotFoundError: An owner is not one of the layer's ID mapping.
            OSError: It cannot be read.
        """
        mapping = mapping_of(layer.row)
        fd = self._directory(layer)
        for entry in read_upper(
            fd,
            namespace="user" if layer.row.form == "user-diff" else "trusted",
            map_ids=None if mapping is None else mapping.to_container,
        ):
            if type(entry) is Put:
                self._note(fd, entry.path, entry.node)
            yield entry

    def whole(self, layers: Sequence[Located]) -> Node:
        """The tree of the first of these layers, which has all files in a directory of its own."""
        layer = layers[0]
        mapping = mapping_of(layer.row)
        fd = self._directory(layer)
        root = read_tree(fd)
        for path, node in _inodes(root):
            self._note(fd, path, node)
            if mapping is not None:
                change_node(node, mapping.to_container)
        copied = copied_at(layer) if layer.row.id == self._copy else None
        if copied is not None:
            self._note_untouched(root, Untouched(fd, copied))
        left_out = read_note(note_of(layer.storage, layer.row))
        if not left_out.nothing:
            restore(root, self._below(layers), left_out)
        return root

    def _note_untouched(self, root: Node, untouched: Untouched) -> None:
        touched: set[Digest | None] = set()
        for path, node in walk(root):
            if not untouched.has(path, is_dir=node.is_dir):
                touched.add(node.source)
            elif node.source is not None:
                self._untouched.add(node.source)
        self._untouched -= touched  # One of several names is enough.

    def _below(self, layers: Sequence[Located]) -> Node:
        """What the whole copy of the first of these layers was made of."""
        root = self.tree(layers[1:]) if layers[1:] else directory()
        if (diff_id := layers[0].row.diff_id) is not None:
            merger = Merger(root)
            changeset = self._storage.forms.changeset(diff_id)
            merger.apply(changeset.removals(), changeset.additions())
        return root

    def open(self, source: Digest) -> int:
        """A handle of the bytes that a node's source names; borrowed, for the moment.

        Raises:
            OSError: It cannot be opened.
        """
        fd = self._tars.get(source, self._open.get(source))
        if fd is not None:
            return fd
        written = self._written.get(source)
        if written is None:
            path = self._storage.forms.path(source, "tar")
            fd = self._tars[source] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return fd
        fd = self._open[source] = open_upper(*written)
        if len(self._open) > _MAX_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def same(self, old: Node, new: Node) -> bool:
        """Whether two regular files of equal size hold the same bytes."""
        if old.source == new.source and old.offset == new.offset:
            return old.segments == new.segments
        if new.source in self._untouched:
            return True
        from orlop.storage.layers.pieces import iter_pieces

        ours, theirs = iter_pieces(old, self.open), iter_pieces(new, self.open)
        return all(left == right for left, right in zip(ours, theirs, strict=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for fd in (*self._open.values(), *self._tars.values()):
            os.close(fd)
        for fd in self._directories:
            close_shared(fd)
        self._open.clear()
        self._tars.clear()
        self._directories.clear()

    def _start(self, layers: Sequence[Located]) -> tuple[int, Node | None]:
        """Where the topmost whole tree lies, and that tree; all layers where there is none."""
        for at, each in enumerate(layers):
            if each.row.form == "tree" and each.written:
                return at, self.whole(layers[at:])
        return len(layers), None

    def _apply(self, merger: Merger, layer: Located) -> None:
        if layer.row.diff_id is not None:
            changeset = self._storage.forms.changeset(layer.row.diff_id)
            merger.apply(changeset.removals(), changeset.additions())
        if layer.written:
            merger.apply(*split(self.written(layer)))

    def _directory(self, layer: Located) -> int:
        assert layer.directory is not None
        fd = open_shared(layer.directory)
        self._directories.append(fd)
        return fd

    def _note(self, fd: int, path: bytes, node: Node) -> None:
        """Give a file that was written a source."""
        if node.type == S_IFREG and node.size and node.source is None:
            node.source = Digest.of(b"%d/%s" % (fd, path))
            self._written[node.source] = fd, path


def _inodes(root: Node) -> Iterator[tuple[bytes, Node]]:
    """Each inode of a tree, by its first path."""
    seen: set[int] = set()
    for path, node in walk(root):
        if id(node) not in seen:
            seen.add(id(node))
            yield path, node


def require_forms(storage: StorageCore, layers: Sequence[Located]) -> None:
    """Build again what is lost of the tars of these layers, where a blob allows it.

    Raises:
        NotFoundError: A tar cannot be had.
        OSError: It could not be written.
    """
    stack = stack_of([each for each in layers if each.row.diff_id is not None])
    missing = [
        at
        for at, diff_id in enumerate(stack.diff_ids)
        if storage.forms.usable(diff_id, "tar") is None
    ]
    if missing and not storage.database.read_only:
        with Lease(storage.database, "read") as lease:
            for at in missing:
                ensure_form(storage, stack, at, "tar", lease)
