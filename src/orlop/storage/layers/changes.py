"""What a layer's directory changes of what lies below it, told without reading all of either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import NotFoundError
from orlop.tree import Change, Link, Node, Opaque, Put, Whiteout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.storage.files import ImageFiles
    from orlop.tree import Entry


def changes_of(entries: Iterable[Entry], below: ImageFiles) -> list[Change]:
    """What a changeset in overlay's form adds, modifies and deletes, in byte order of the paths.

    Directories that are copied only because something below them changed are no changes, unless
    their own attributes, or the time of their last change, are others.

    Args:
        entries: What was written, each directory before what is in it.
        below: The files of what it was written over.

    Raises:
        OSError: Something below cannot be read.
    """
    listed = list(entries)
    return sorted(_Comparison(listed, below).run(), key=lambda change: change.path)


class _Comparison:
    def __init__(self, entries: list[Entry], below: ImageFiles) -> None:
        self._entries = entries
        self._below = below
        # The directories that go on what those below have there.
        self._shared = {b""}
        # Those of them that hide all that is there, and have no other of it.
        self._opaque: set[bytes] = set()
        self._names: dict[bytes, set[bytes]] = {}
        for entry in entries:
            parent, _, name = entry.path.rpartition(b"/")
            self._names.setdefault(parent, set()).add(name)

    def run(self) -> Iterator[Change]:
        for entry in self._entries:
            if type(entry) is Opaque:
                yield from self._hidden(entry.path)
            elif type(entry) is Whiteout:
                if self._old(entry.path) is not None:
                    yield Change(kind="delete", path=entry.path)
            elif type(entry) is Put and not entry.path:
                if not same_attributes(self._below.stat(b""), entry.node):
                    yield Change(kind="modify", path=b"")
            else:
                assert isinstance(entry, (Put, Link))
                yield from self._changed(entry)

    def _changed(self, entry: Put | Link) -> Iterator[Change]:
        old = self._old(entry.path)
        if old is None:
            yield Change(kind="add", path=entry.path)
            return
        if type(entry) is Put and entry.node.is_dir and old.is_dir:
            self._shared.add(entry.path)
            if entry.path.rpartition(b"/")[0] in self._opaque:
                yield from self._hidden(entry.path)
            if same_attributes(old, entry.node) and old.mtime_ns == entry.node.mtime_ns:
                return
        yield Change(kind="modify", path=entry.path)

    def _hidden(self, path: bytes) -> Iterator[Change]:
        """What an opaque directory, or one below it, no longer has."""
        if path not in self._shared:
            return
        self._opaque.add(path)
        names = self._names.get(path, set())
        for name, _ in self._below.list(path):
            if name not in names:
                yield Change(kind="delete", path=path + b"/" + name if path else name)

    def _old(self, path: bytes) -> Node | None:
        if path.rpartition(b"/")[0] not in self._shared:
            return None
        try:
            return self._below.stat(path, follow=False)
        except NotFoundError:
            return None


def same_attributes(old: Node, new: Node) -> bool:
    """Whether two directories have the same owner, mode and extended attributes."""
    return (old.mode, old.uid, old.gid) == (new.mode, new.uid, new.gid) and dict(
        old.xattrs
    ) == dict(new.xattrs)
