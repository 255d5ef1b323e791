"""Applying changesets to a tree, base first.

A changeset is applied in two steps: first what it removes from the layers below, then what it
adds. So whiteouts work in any order, and never touch an entry of their own layer. Paths are
resolved in the tree alone: a symbolic link on the way leads to where it points *inside the root*,
as it would after `chroot`, and a link that leads out of the root leads to the root.

Spec: image-spec v1.1, layer.md, "Applying Changesets".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from orlop.errors import InvalidLayerError, LimitExceededError
from orlop.tree.changeset import Link, Opaque, Put, Whiteout
from orlop.tree.late import LateLinks
from orlop.tree.node import S_IFLNK, S_IFMT, Node, directory

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_SYMLINKS: Final = 40
"""How many symbolic links one path may lead through, as in Linux."""

MAX_LINKED_NAMES: Final = 1024
"""How many names, `.` and `..` included, the targets of those links may have together."""

MAX_IMPLIED_DIRECTORIES: Final = 262_144
"""How many directories may be made since a path goes through them and no entry has been theirs.

One path of 4,095 bytes asks for two thousand: without this, a layer of ten megabytes takes the
memory of one of ten gigabytes.
"""


class ImpliedDirectories:
    """Counts the directories that are made since a path needs them.

    Attributes:
        left: How many more there may be.
    """

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_IMPLIED_DIRECTORIES

    def add(self) -> None:
        """Count one more.

        Raises:
            LimitExceededError: `MAX_IMPLIED_DIRECTORIES`.
        """
        self.left -= 1
        if self.left < 0:
            raise LimitExceededError(
                "too many directories have no entry of their own",
                limit="MAX_IMPLIED_DIRECTORIES",
                value=MAX_IMPLIED_DIRECTORIES,
            )


def merge(*changesets: Iterable[Put | Link | Whiteout | Opaque]) -> Node:
    """The tree that the changesets make, applied in their order to an empty root.

    Convenient for small trees and tests; `Merger` spares memory where layers are large.

    Raises:
        InvalidLayerError: As `Merger.apply`.
    """
    merger = Merger()
    for changeset in changesets:
        merger.apply(*split(changeset))
    return merger.root


def split(
    entries: Iterable[Put | Link | Whiteout | Opaque],
) -> tuple[list[Whiteout | Opaque], list[Put | Link]]:
    """The entries of a changeset, parted into what removes and what adds, each in its order."""
    removals: list[Whiteout | Opaque] = []
    additions: list[Put | Link] = []
    for entry in entries:
        if isinstance(entry, (Put, Link)):
            additions.append(entry)
        else:
            removals.append(entry)
    return removals, additions


class Merger:
    """A tree that grows layer by layer.

    Args:
        root: What it grows from, which is given away; an empty directory where None.

    Attributes:
        root: The tree as it stands; valid at any time.
    """

    root: Node

    def __init__(self, root: Node | None = None) -> None:
        self.root = directory() if root is None else root
        self._parent_path: bytes | None = None
        self._parent = self.root
        self._behind_links: dict[Node, list[_Removed]] = {}
        self._implied = ImpliedDirectories()

    def apply(self, removals: Iterable[Whiteout | Opaque], additions: Iterable[Put | Link]) -> None:
        """Apply one changeset.

        Success means that the tree is what the image-spec demands of this stack of layers. The
        nodes of the additions become part of the tree: the caller gives them away.

        Args:
            removals: What hides content of the layers below; a path that is not there is none.
            additions: Inodes and hard links, in the archive's order; a later one of the same path
                wins. A missing parent is made (0755, owner 0:0, time 0); a parent that is neither
                directory nor symbolic link is replaced by one.

        Raises:
            InvalidLayerError: A hard link to something that is not there or is a directory, a
                root that is no directory, or a path through too many symbolic links.
            LimitExceededError: `MAX_PENDING_LINKS` or `MAX_LINK_ROUNDS`; or those of all layers
                together `MAX_IMPLIED_DIRECTORIES`.
        """
        self._parent_path = None
        self._behind_links.clear()
        for removal in removals:
            self._remove(removal)
        late = LateLinks()
        for entry in additions:
            if type(entry) is Put:
                self._put(entry)
            elif not self._link(entry):
                late.add(entry)
        stray = late.make(self._link)
        if stray is not None:
            raise InvalidLayerError(
                f"hard link to /{_show(stray.target)}, which is neither in this layer nor below it",
                where=f"/{_show(stray.path)}",
            )

    def _remove(self, removal: Whiteout | Opaque) -> None:
        parent_path, _, name = removal.path.rpartition(b"/")
        walked = _Walk(self.root, parent_path)
        if not walked.to_end():
            return
        children = walked.here.children or {}
        if type(removal) is Whiteout:
            removed = {name: children.pop(name)} if name in children else {}
        else:
            hidden = self.root if not name else children.get(name)
            if hidden is None or hidden.children is None:
                return
            children, removed = hidden.children, dict(hidden.children)
            children.clear()
        for link in walked.links:
            self._behind_links.setdefault(link, []).append((children, removed))

    def _restore(self, link: Node) -> None:
        """Undo what was removed behind a link: the layer puts something else in its place."""
        for children, removed in self._behind_links.pop(link, ()):
            for name, node in removed.items():
                children.setdefault(name, node)

    def _put(self, entry: Put) -> None:
        path, node = entry.path, entry.node
        if not path:
            self._put_root(node)
            return
        parent_path, _, name = path.rpartition(b"/")
        siblings = self._children_of(parent_path, path)
        old = siblings.get(name)
        if old is not None:
            if old.children is not None:
                if node.children is not None:
                    _replace_attributes(old, node)
                    return
                self._parent_path = None
            elif old.mode & S_IFMT == S_IFLNK:
                self._parent_path = None
                self._restore(old)
        siblings[name] = node

    def _put_root(self, node: Node) -> None:
        if node.children is None:
            raise InvalidLayerError("the root must be a directory", where="/")
        _replace_attributes(self.root, node)

    def _link(self, entry: Link) -> bool:
        """Make the link; False when its target is not there yet."""
        target = lookup(self.root, entry.target, follow_last=False)
        if target is None:
            return False
        if target.children is not None:
            raise InvalidLayerError(
                f"hard link to the directory /{_show(entry.target)}", where=f"/{_show(entry.path)}"
            )
        if entry.path == entry.target:
            return True
        self._put(Put(entry.path, target))
        return True

    def _children_of(self, parent_path: bytes, path: bytes) -> dict[bytes, Node]:
        if parent_path != self._parent_path:
            self._parent = self._make_parents(parent_path, path)
            self._parent_path = parent_path
        children = self._parent.children
        assert children is not None
        return children

    def _make_parents(self, parent_path: bytes, path: bytes) -> Node:
        """The directory at `parent_path`; what is missing on the way is made."""
        walked = _Walk(self.root, parent_path)
        while (name := walked.next_name()) is not None:
            children = walked.here.children
            assert children is not None
            child = children.get(name)
            if child is None or not (child.children is not None or walked.is_link(child)):
                self._implied.add()
                child = children[name] = directory()
            if not walked.enter(child):
                raise _too_many_links(path)
        return walked.here


_Removed: TypeAlias = tuple[dict[bytes, Node], dict[bytes, Node]]
"""The entries of a directory, and those of them that were removed."""


class _Walk:
    """A path walked component by component, symbolic links followed inside the root.

    Attributes:
        here: The directory that has been reached.
        links: The symbolic links that led there.
    """

    __slots__ = ("_left", "_linked", "_trail", "here", "links")

    def __init__(self, root: Node, path: bytes) -> None:
        self.here = root
        self._trail = [root]
        self._left = path.split(b"/")[::-1] if path else []
        self._linked = 0
        self.links: list[Node] = []

    @staticmethod
    def is_link(node: Node) -> bool:
        return node.mode & S_IFMT == S_IFLNK

    def next_name(self) -> bytes | None:
        """The next component that names an entry of `here`; None at the end of the path."""
        while self._left:
            name = self._left.pop()
            if name == b"..":
                if len(self._trail) > 1:
                    self._trail.pop()
                    self.here = self._trail[-1]
            elif name and name != b".":
                return name
        return None

    def to_end(self) -> bool:
        """Walk the rest of the path; False where it leads to no directory, or round in circles."""
        while (name := self.next_name()) is not None:
            child = (self.here.children or {}).get(name)
            if child is None or not (child.children is not None or self.is_link(child)):
                return False
            if not self.enter(child):
                return False
        return True

    @property
    def at_end(self) -> bool:
        """Whether no component is left."""
        return not self._left

    def enter(self, node: Node) -> bool:
        """Go on into a directory, or to where a symbolic link points; False after too many."""
        if node.children is not None:
            self._trail.append(node)
            self.here = node
            return True
        names = node.target.split(b"/")[::-1]
        self.links.append(node)
        self._linked += len(names)
        if len(self.links) > MAX_SYMLINKS or self._linked > MAX_LINKED_NAMES:
            return False
        if node.target.startswith(b"/"):
            del self._trail[1:]
            self.here = self._trail[0]
        self._left.extend(names)
        return True


def lookup(root: Node, path: bytes, *, follow_last: bool = True) -> Node | None:
    """The node at `path`, with symbolic links followed inside the root; None if there is none.

    Args:
        root: The directory that the path, and every absolute link, begins at.
        path: Components between slashes; `..` goes up, at most to the root.
        follow_last: Whether a symbolic link as the last component is followed too.

    Raises:
        InvalidLayerError: The path leads through more than `MAX_SYMLINKS` links, or their targets
            have more than `MAX_LINKED_NAMES` names.
    """
    walked = _Walk(root, path)
    while (name := walked.next_name()) is not None:
        children = walked.here.children
        child = children.get(name) if children is not None else None
        if child is None:
            return None
        if child.children is None:
            if walked.at_end and not (follow_last and walked.is_link(child)):
                return child
            if not walked.is_link(child):
                return None
        if not walked.enter(child):
            raise _too_many_links(path)
    return walked.here


def _replace_attributes(old: Node, new: Node) -> None:
    old.mode = new.mode
    old.uid = new.uid
    old.gid = new.gid
    old.mtime_ns = new.mtime_ns
    old.xattrs = new.xattrs


def _too_many_links(path: bytes) -> InvalidLayerError:
    return InvalidLayerError("leads through too many symbolic links", where=f"/{_show(path)}")


def _show(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
