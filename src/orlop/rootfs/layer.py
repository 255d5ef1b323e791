"""One layer alone, as overlay keeps it on disk: built entry by entry, in the archive's order.

The tree of a layer is exact only if nothing in it depends on the layers below. What does is told
as `NeedsParentsError`:

- a missing parent directory, whose metadata (or whose being a symbolic link) only they know;
- a hard link to something that is not in the layer before it;
- a whiteout below a directory that the layer does not have, or behind a symbolic link;
- a character device 0:0, which overlay would take for a whiteout;
- an opaque root, which overlay does not know.

Below an opaque directory nothing depends on them. For the lowest layer of a stack all but the
device is known, too, and there is nothing to remove.

A directory that holds whiteouts has the xattr `origin` too, empty: without it, overlay lists the
whiteouts as broken names where no layer below has the directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from orlop.errors import InvalidLayerError, NeedsParentsError
from orlop.rootfs.handles import Place
from orlop.tree import Link, Node, Opaque, Whiteout, directory
from orlop.tree.late import LateLinks
from orlop.tree.merge import MAX_LINKED_NAMES, MAX_SYMLINKS, ImpliedDirectories
from orlop.tree.node import S_IFCHR, S_IFLNK, S_IFMT

if TYPE_CHECKING:
    from collections.abc import Mapping

TRUSTED_PREFIX: Final = b"trusted.overlay."
USER_PREFIX: Final = b"user.overlay."


class LayerDirectory(Place):
    """A directory of the layer.

    Attributes:
        node: Its inode, whose children are the layer's own.
        below: The directories among the children.
        implied: Whether an entry below asked for it before it had one itself.
        fresh: Whether it is not the directory that the layers below may have there.
        opaque: Whether it hides what they have in it.
        hides: Whether it holds whiteouts.
    """

    __slots__ = ("below", "fresh", "hides", "implied", "node", "opaque")

    def __init__(
        self, parent: LayerDirectory | None, name: bytes, node: Node, *, fd: int = -1
    ) -> None:
        super().__init__(parent, name, fd)
        self.node = node
        self.below: dict[bytes, LayerDirectory] = {}
        self.implied = False
        self.fresh = False
        self.opaque = False
        self.hides = False

    @property
    def children(self) -> dict[bytes, Node]:
        """The entries of the directory by name."""
        assert self.node.children is not None
        return self.node.children


class LayerSink(Protocol):
    """What hears of every change of a layer's tree as it is made."""

    def make_directory(self, place: LayerDirectory) -> None:
        """`place` is new."""

    def discard(self, place: LayerDirectory, name: bytes) -> None:
        """`name` in `place` goes, with all below it."""

    def link(
        self, target: LayerDirectory, target_name: bytes, place: LayerDirectory, name: bytes
    ) -> None:
        """`name` in `place` is a further name of `target_name` in `target`."""

    def make_whiteout(self, place: LayerDirectory, name: bytes, node: Node) -> None:
        """`name` in `place` is a whiteout, and `node` is what overlay takes for one."""


class LayerTree:
    """The tree of one layer in overlay's form.

    Args:
        root: The root directory, empty.
        sink: Hears of what changes.
        lowest: The layer is to stand below all others only.
        prefix: The namespace of overlay's own xattrs; those of the image are escaped.

    Attributes:
        anywhere: Whether the layer may stand above others, too.
        root_given: Whether the layer says what its root directory is.
    """

    def __init__(
        self, root: LayerDirectory, sink: LayerSink, *, lowest: bool, prefix: bytes
    ) -> None:
        self.root = root
        self.anywhere = True
        self.root_given = False
        self._sink = sink
        self._lowest = lowest
        self._prefix = prefix
        self._removals: list[Whiteout | Opaque] = []
        self._late = LateLinks()
        self._implied = ImpliedDirectories()
        self._parent_path: bytes | None = None
        self._parent = root

    def put(self, path: bytes, node: Node) -> tuple[LayerDirectory, bytes, Node] | None:
        """Place an inode; the directory, name and node that stand there now, None for directories.

        Raises:
            InvalidLayerError: As `Merger.apply`.
            NeedsParentsError: The inode would act as a whiteout.
        """
        if node.children is not None:
            self._put_directory(path, node)
            return None
        if not path:
            raise InvalidLayerError("the root must be a directory", where="/")
        if node.rdev == 0 and node.mode & S_IFMT == S_IFCHR:
            raise NeedsParentsError(f"/{_show(path)} is a device 0:0, a whiteout for overlay")
        if node.xattrs:
            node = self._escaped(node)
        place, name = self._make_room(path)
        place.children[name] = node
        return place, name, node

    def link(self, entry: Link) -> None:
        """Make a hard link to an entry of this layer.

        Raises:
            InvalidLayerError: The target is a directory.
            NeedsParentsError: The target is not in this layer, at least not yet.
            LimitExceededError: `MAX_PENDING_LINKS`.
        """
        if not self._link(entry):
            self._need(f"/{_show(entry.path)} is a hard link to /{_show(entry.target)}")
            self._late.add(entry)

    def remove(self, entry: Whiteout | Opaque) -> None:
        """Note a whiteout; what it means shows at the end."""
        self._removals.append(entry)

    def finish(self) -> None:
        """Make whiteouts and marks, and see whether the layer stands alone.

        Raises:
            InvalidLayerError: A hard link leads nowhere.
            NeedsParentsError: It does not.
            LimitExceededError: `MAX_LINK_ROUNDS`.
        """
        stray = self._late.make(self._link)
        if stray is not None:
            raise InvalidLayerError(
                f"hard link to /{_show(stray.target)}, which is not there",
                where=f"/{_show(stray.path)}",
            )
        if self._removals and self._lowest:
            self.anywhere = False
            self._removals.clear()
        for removal in sorted(self._removals, key=lambda entry: entry.path.split(b"/")):
            if type(removal) is Whiteout:
                self._hide(removal.path)
            else:
                self._make_opaque(removal.path)
        self._judge()

    def _put_directory(self, path: bytes, node: Node) -> None:
        if not path:
            self.root_given = True
            self._replace(self.root.node, node)
            return
        place, name = self._place_of(path)
        standing = place.below.get(name)
        if standing is None:
            # A file that was here hid what lies below; so does the directory that follows it.
            fresh = self._discard(place, name)
            standing = self._add(place, name, fresh=fresh)
        self._replace(standing.node, node)

    def _replace(self, old: Node, new: Node) -> None:
        old.mode = new.mode
        old.uid = new.uid
        old.gid = new.gid
        old.mtime_ns = new.mtime_ns
        old.xattrs = self._escaped(new).xattrs

    def _escaped(self, node: Node) -> Node:
        """The node, or a copy of it whose xattrs mean nothing to overlay."""
        prefix = self._prefix
        if not any(name.startswith(prefix) for name in node.xattrs):
            return node
        xattrs: Mapping[bytes, bytes] = {
            prefix + b"overlay." + name[len(prefix) :] if name.startswith(prefix) else name: value
            for name, value in node.xattrs.items()
        }
        return Node(
            node.mode, node.uid, node.gid, node.mtime_ns, node.size, node.rdev, node.target,
            xattrs, node.source, node.offset, node.segments,
        )  # fmt: skip

    def _add(self, place: LayerDirectory, name: bytes, *, fresh: bool) -> LayerDirectory:
        node = directory()
        below = LayerDirectory(place, name, node)
        below.fresh = below.opaque = fresh
        place.below[name] = below
        place.children[name] = node
        self._sink.make_directory(below)
        return below

    def _make_room(self, path: bytes) -> tuple[LayerDirectory, bytes]:
        place, name = self._place_of(path)
        if name in place.children:
            self._discard(place, name)
        return place, name

    def _discard(self, place: LayerDirectory, name: bytes) -> bool:
        """Take away what stands in the way; False when nothing did."""
        if place.children.pop(name, None) is None:
            return False
        self._parent_path = None
        self._sink.discard(place, name)
        gone = [place.below.pop(name)] if name in place.below else []
        while gone:
            here = gone.pop()
            if here.implied:
                self._need(f"/{_show(here.path())} went without an entry of its own")
            gone.extend(here.below.values())
        return True

    def _place_of(self, path: bytes) -> tuple[LayerDirectory, bytes]:
        parent_path, _, name = path.rpartition(b"/")
        if parent_path != self._parent_path:
            parent = self._walk(parent_path, path, make=True)
            assert parent is not None
            self._parent = parent
            self._parent_path = parent_path
        return self._parent, name

    def _walk(self, parent_path: bytes, path: bytes, *, make: bool) -> LayerDirectory | None:
        """The directory at a path, links followed inside the layer; made, or None, if missing."""
        place = self.root
        left = parent_path.split(b"/")[::-1]
        links = linked = 0
        while left:
            name = left.pop()
            if name == b"..":
                place = place.parent if isinstance(place.parent, LayerDirectory) else place
            elif name and name != b".":
                node = place.children.get(name)
                if node is not None and node.mode & S_IFMT == S_IFLNK:
                    names = node.target.split(b"/")[::-1]
                    links, linked = links + 1, linked + len(names)
                    if links > MAX_SYMLINKS or linked > MAX_LINKED_NAMES:
                        raise InvalidLayerError(
                            "leads through too many symbolic links", where=f"/{_show(path)}"
                        )
                    place = self.root if node.target.startswith(b"/") else place
                    left.extend(names)
                    continue
                below = place.below.get(name) or (self._imply(place, name) if make else None)
                if below is None:
                    return None
                place = below
        return place

    def _imply(self, place: LayerDirectory, name: bytes) -> LayerDirectory:
        self._implied.add()
        below = self._add(place, name, fresh=self._discard(place, name))
        below.implied = True
        return below

    def _link(self, entry: Link) -> bool:
        """Make the link; False when its target is not there."""
        parent_path, _, target_name = entry.target.rpartition(b"/")
        target = self._walk(parent_path, entry.target, make=False)
        node = target.children.get(target_name) if target is not None else None
        if entry.target and (target is None or node is None):
            return False
        if target is not None and target_name in target.below:
            self._need_entry(target.below[target_name])
        if target is None or node is None or node.children is not None:
            raise InvalidLayerError(
                f"hard link to the directory /{_show(entry.target)}", where=f"/{_show(entry.path)}"
            )
        if not entry.path:
            raise InvalidLayerError("the root must be a directory", where="/")
        place, name = self._place_of(entry.path)
        if place.children.get(name) is node:
            return True
        place, name = self._make_room(entry.path)
        if target.children.get(target_name) is not node or not self._stands(target):
            raise NeedsParentsError(f"/{_show(entry.path)} is a hard link to what it replaces")
        place.children[name] = node
        self._sink.link(target, target_name, place, name)
        return True

    def _need_entry(self, place: LayerDirectory) -> None:
        """Refuse a directory that may be something else below: a symbolic link to a directory."""
        if place.implied and not place.fresh:
            self._need(f"/{_show(place.path())} has no entry of its own before a hard link to it")

    def _stands(self, place: LayerDirectory) -> bool:
        while isinstance(place.parent, LayerDirectory):
            if place.parent.below.get(place.name) is not place:
                return False
            place = place.parent
        return True

    def _hide(self, path: bytes) -> None:
        """Make a whiteout, unless nothing of the layers below can show there."""
        parent_path, _, name = path.rpartition(b"/")
        place = self._removed_in(parent_path, path) if name else None
        if place is None:
            return
        if name in place.below:
            place.below[name].fresh = place.below[name].opaque = True
        elif name not in place.children:
            node = Node(S_IFCHR)
            place.children[name] = node
            place.hides = True
            self._sink.make_whiteout(place, name, node)

    def _make_opaque(self, path: bytes) -> None:
        if not path:
            raise NeedsParentsError("the root is opaque")
        place = self._removed_in(path, path)
        if place is not None:
            place.opaque = True

    def _removed_in(self, path: bytes, removal: bytes) -> LayerDirectory | None:
        """The layer's directory at a path; None where it shows nothing of the layers below."""
        place = self.root
        for name in path.split(b"/") if path else ():
            if place.opaque:
                return None
            below = place.below.get(name)
            if below is None:
                node = place.children.get(name)
                if node is not None and node.mode & S_IFMT != S_IFLNK:
                    return None
                kind = "is missing" if node is None else "is a symbolic link"
                raise NeedsParentsError(
                    f"/{_show(removal)} is removed below a directory that {kind}"
                )
            place = below
        return None if place.opaque else place

    def _judge(self) -> None:
        """Mark what is opaque, and refuse what only the layers below could say."""
        stack = [(self.root, False)]
        while stack:
            place, fresh = stack.pop()
            if place.implied and not (fresh or place.fresh):
                self._need(f"/{_show(place.path())} has no entry of its own before what it holds")
            marks = {b"opaque": b"y"} if place.opaque else {}
            if place.hides:
                marks[b"origin"] = b""
            for name, value in marks.items():
                place.node.xattrs = {**place.node.xattrs, self._prefix + name: value}
            stack.extend((below, fresh or place.opaque) for below in place.below.values())

    def _need(self, reason: str) -> None:
        if not self._lowest:
            raise NeedsParentsError(reason)
        self.anywhere = False


def _show(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
