"""What was changed between two trees: as a changeset, or told name by name.

The changeset holds only what every reader can apply, knowing nothing but the layers below:

- What became of another type is put in its place; what stood there goes, with all below it.
- A directory whose old names are all gone is opaque if that is shorter than its whiteouts, except
  for the root, which overlay never takes for opaque.
- An inode that changed, or has a name more than before, comes anew under all of its names: a hard
  link into a layer below is more than many readers can do. A name that it lost needs nothing.
- Of inodes that were one before, the first keeps the old one, and the others come anew.

Spec: image-spec v1.1, layer.md, "Representing Changes".
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orlop.tree.changeset import Link, Opaque, Put, Whiteout
from orlop.tree.node import S_IFMT, S_IFREG, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orlop.tree.changeset import Entry

    SameContent: TypeAlias = Callable[[Node, Node], bool]
    _Pair: TypeAlias = tuple[bytes, Node | None, Node | None]

_NONE: Final[dict[bytes, Node]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one name.

    Attributes:
        kind: `add` where there was nothing, `delete` where there is nothing now, `modify` else.
        path: The name, as in `Put`; `b""` is the root.
    """

    kind: Literal["add", "modify", "delete"]
    path: bytes


def difference(
    old: Node, new: Node, same_content: SameContent, *, parents: bool = True
) -> Iterator[Entry]:
    """The changeset that makes `new` of `old`; nothing where they are equal.

    In the order of `walk`, each directory before what is below it: first its being opaque or its
    whiteouts, then its entries. The trees stay as they are; nodes of `new` that are no directories
    are those of the entries.

    Args:
        old: The tree below.
        new: The tree as it shall be.
        same_content: Whether two regular files, not empty and of the same size, have the same
            bytes; asked once for each pair, and only if all else is the same.
        parents: Also put the directories above whatever changed. Without such an entry, readers
            that unpack a layer alone make directories up.
    """
    return _Difference(old, new, same_content, parents=parents).entries()


def iter_changes(old: Node, new: Node, same_content: SameContent) -> Iterator[Change]:
    """What became of each name, in the order of `walk`; nothing where the trees are equal.

    A name is modified when a changeset has to put it again: its inode differs, or is shared with
    other names. A directory is modified when its own attributes differ. A directory that was
    deleted is one change; of one that was added, each name below is another.

    Args:
        old: The tree before.
        new: The tree after.
        same_content: As for `difference`.
    """
    inodes = _Inodes(old, new, same_content)
    if not _same_attributes(old, new):
        yield Change(kind="modify", path=b"")
    for path, before, after in _walk(old, new):
        if after is None:
            yield Change(kind="delete", path=path)
        elif before is None:
            yield Change(kind="add", path=path)
        elif not inodes.same(before, after):
            yield Change(kind="modify", path=path)


class _Difference:
    def __init__(self, old: Node, new: Node, same_content: SameContent, *, parents: bool) -> None:
        self._old = old
        self._new = new
        self._parents = parents
        self._inodes = _Inodes(old, new, same_content)
        self._first: dict[Node, bytes] = {}
        self._waiting: list[tuple[bytes, Node]] = []

    def entries(self) -> Iterator[Entry]:
        yield from self._begin(b"", self._old, self._new)
        stack = [(b"", self._additions(self._old, self._new))]
        while stack:
            prefix, pairs = stack[-1]
            for name, before, after in pairs:
                path = prefix + name
                if after.children is not None:
                    yield from self._begin(path, before, after)
                    stack.append((path + b"/", self._additions(before, after)))
                    break
                if before is None or not self._inodes.same(before, after):
                    if self._waiting:
                        yield from self._above()
                    yield self._addition(path, after)
            else:
                stack.pop()
                if self._waiting:
                    self._waiting.pop()

    def _begin(self, path: bytes, before: Node | None, after: Node) -> Iterator[Entry]:
        """Give a directory, if it changed, and what it has lost."""
        if before is None or not self._inodes.same(before, after):
            yield from self._above()
            yield Put(path, _bare(after))
        elif self._parents:
            self._waiting.append((path, after))
        if before is not None and before.is_dir:
            removals = _removals(path, before, after)
            if removals:
                yield from self._above()
                yield from removals

    def _above(self) -> Iterator[Entry]:
        """The directories above the next entry that are still to be given."""
        for path, above in self._waiting:
            yield Put(path, _bare(above))
        self._waiting.clear()

    def _addition(self, path: bytes, node: Node) -> Entry:
        if node not in self._inodes.shared:
            return Put(path, node)
        first = self._first.setdefault(node, path)
        return Put(path, node) if first is path else Link(path, first)

    def _additions(
        self, before: Node | None, after: Node
    ) -> Iterator[tuple[bytes, Node | None, Node]]:
        """The entries of a directory that may have to be given; most are those of the old tree."""
        old, new, split = _children(before), _children(after), self._inodes.split
        names = [name for name, node in new.items() if old.get(name) is not node or node in split]
        names.sort()
        return ((name, old.get(name), new[name]) for name in names)


def _removals(path: bytes, before: Node, after: Node) -> list[Whiteout | Opaque]:
    old, new = _children(before), _children(after)
    gone = sorted(old.keys() - new.keys())
    if path and len(old) == len(gone) > 1:
        return [Opaque(path)]
    prefix = path + b"/" if path else b""
    return [Whiteout(prefix + name) for name in gone]


class _Inodes:
    """Tells which inodes of a tree are those of another one.

    Attributes:
        shared: Those of either tree that have several names.
        split: Those that have names in both trees, and are to come anew all the same.
    """

    def __init__(self, old: Node, new: Node, same_content: SameContent) -> None:
        self._same_content = same_content
        self._kept: dict[Node, bool] = {}
        self.split: set[Node] = set()
        self.shared = _shared_nodes(old) | _shared_nodes(new)
        if self.shared:
            self._judge_shared(old, new)

    def _judge_shared(self, old: Node, new: Node) -> None:
        """Find which new inodes are an old one, where either has several names."""
        origins: dict[Node, Node | None] = {}
        for before, after in _pairs_of(self.shared, old, new):
            if origins.setdefault(after, before) is not before:
                origins[after] = None
        taken = set()
        for after, origin in origins.items():
            kept = origin is not None and origin not in taken and self._equal(origin, after)
            self._kept[after] = kept
            if kept:
                taken.add(origin)
            else:
                self.split.add(after)

    def same(self, before: Node, after: Node) -> bool:
        """Whether the names of `after` need no entry, given that one of them was `before`'s."""
        kept = self._kept.get(after)
        return self._equal(before, after) if kept is None else kept

    def _equal(self, before: Node, after: Node) -> bool:
        if before is after:
            return True
        if not _same_attributes(before, after):
            return False
        if before.mode & S_IFMT != S_IFREG:
            return before.rdev == after.rdev and before.target == after.target
        return before.size == after.size and (
            not before.size or self._same_content(before, after)
        )  # fmt: skip


def _same_attributes(before: Node, after: Node) -> bool:
    return (
        before.mode == after.mode
        and before.mtime_ns == after.mtime_ns
        and before.uid == after.uid
        and before.gid == after.gid
        and before.xattrs == after.xattrs
    )


def _shared_nodes(root: Node) -> set[Node]:
    """The nodes that have several names."""
    met: set[Node] = set()
    shared: set[Node] = set()
    stack = [root]
    while stack:
        for node in _children(stack.pop()).values():
            if node.is_dir:
                stack.append(node)
            elif node in met:
                shared.add(node)
            else:
                met.add(node)
    return shared


def _pairs_of(shared: set[Node], old: Node, new: Node) -> list[tuple[Node | None, Node]]:
    """Each name of such nodes in the new tree, with what it is in both, in the order of `walk`."""
    found: list[tuple[list[bytes], Node | None, Node]] = []
    stack: list[tuple[bytes, Node | None, Node]] = [(b"", old, new)]
    while stack:
        prefix, before, after = stack.pop()
        there = _children(before)
        for name, node in _children(after).items():
            if node.children is not None:
                stack.append((prefix + name + b"/", there.get(name), node))
            elif node in shared or there.get(name) in shared:
                found.append(((prefix + name).split(b"/"), there.get(name), node))
    found.sort(key=itemgetter(0))
    return [(before, after) for _, before, after in found]


def _walk(old: Node, new: Node) -> Iterator[_Pair]:
    """Each name of two trees but for the roots, with what it is in both.

    Below a directory of `old` that is none in `new` is nothing that is told.
    """
    stack = [(b"", _pairs(old, new))]
    while stack:
        prefix, pairs = stack[-1]
        for name, before, after in pairs:
            path = prefix + name
            yield path, before, after
            if after is not None and after.is_dir:
                stack.append((path + b"/", _pairs(before, after)))
                break
        else:
            stack.pop()


def _pairs(before: Node | None, after: Node) -> Iterator[_Pair]:
    old, new = _children(before), _children(after)
    return ((name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys()))


def _children(node: Node | None) -> dict[bytes, Node]:
    """The entries of a directory; nothing has none."""
    return (node.children if node is not None else None) or _NONE


def _bare(node: Node) -> Node:
    """A directory without its entries."""
    return Node(node.mode, node.uid, node.gid, node.mtime_ns, xattrs=node.xattrs)
