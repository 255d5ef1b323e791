"""Which trees the disks of an image show."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from orlop.errors import NeedsParentsError, OrlopError
from orlop.rootfs import escape_marks, obeyed_by_overlay, overlay_form
from orlop.storage.chains import Stack
from orlop.tree import Merger, Node, Put, copy_directories, difference, directory, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.digest import Digest
    from orlop.fsimage.output import ReadContent
    from orlop.storage.forms import FormStore
    from orlop.tree import EncodedChangeset, Entry

_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some layers of an image, one on another, that become one disk.

    Attributes:
        stack: The layers up to the topmost of these.
        first: Which of them is the lowest of these.
    """

    stack: Stack
    first: int

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The layers, base first."""
        return self.stack.diff_ids[self.first :]

    @property
    def key(self) -> str:
        """Text that is the same for all that show the same tree."""
        return f"chain={self.stack.chain_id} layers={len(self.diff_ids)}"


def merged_slice(stack: Stack) -> Slice:
    """All layers of an image as one."""
    return Slice(stack=stack, first=0)


def layer_slices(stack: Stack, max_disks: int | None = None) -> list[Slice]:
    """Each layer of an image by itself, base first.

    Args:
        stack: The layers.
        max_disks: How many there may be; the lowest ones are merged as far as needed.
    """
    count = len(stack.diff_ids)
    merged = 1 if max_disks is None else max(1, count - max_disks + 1)
    ends = [merged, *range(merged + 1, count + 1)] if count else [0]
    return [
        Slice(stack=Stack.of(stack.diff_ids[:end]), first=0 if end == ends[0] else end - 1)
        for end in ends
    ]


def iter_trees(
    slices: list[Slice],
    forms: FormStore,
    read: ReadContent,
    *,
    overlay: bool = True,
    userxattr: bool = False,
) -> Iterator[Node]:
    """The tree of each slice, in overlay's form.

    A layer that means something by itself is taken as it is. One that does not, since a directory
    that it writes into or the target of a hard link lies below, becomes what tells the merged
    trees apart.

    Args:
        slices: In the order of `layer_slices`.
        forms: The layers.
        read: Gives the contents of files.
        overlay: Whether overlay is to join them; of one slice the tree is as it is where not.
        userxattr: As in `overlay_form`.

    Raises:
        NotFoundError: The changeset of a layer is missing or damaged.
        InvalidLayerError: The layers do not fit on each other.
    """
    merged = _Merged(forms)
    top = directory()
    for number, each in enumerate(slices):
        diff_ids = each.stack.diff_ids
        if not number:
            root = merged.up_to(diff_ids)
            top = _bare(root)
            yield _lowest(copy_directories(root), userxattr) if overlay else root
            continue
        layer = _Layer(forms.changeset(diff_ids[-1]), top)
        try:
            form = overlay_form(layer.entries(), userxattr=userxattr)
        except NeedsParentsError:
            below = copy_directories(merged.up_to(diff_ids[:-1]))
            root = merged.up_to(diff_ids)
            top = _bare(root)
            changes = difference(below, root, partial(_same_content, read))
            form = overlay_form(changes, userxattr=userxattr)
        except OrlopError as error:
            raise error.inside(f"layer {diff_ids[-1]}")
        else:
            top = layer.top
        if not form.root_given:  # Overlay shows the root of the topmost layer, whatever changed.
            _make_root(form.root, top, userxattr)
        yield form.root


class _Merged:
    """Layers merged, as far as that is asked for: one that stands alone need not know the others.

    Args:
        forms: The layers.
    """

    def __init__(self, forms: FormStore) -> None:
        self._forms = forms
        self._merger = Merger()
        self._count = 0

    def up_to(self, diff_ids: Sequence[Digest]) -> Node:
        """The tree of these layers, which begin with those of the call before; until the next.

        Raises:
            NotFoundError: The changeset of a layer is missing or damaged.
            InvalidLayerError: The layers do not fit on each other.
        """
        for diff_id in diff_ids[self._count :]:
            changeset = self._forms.changeset(diff_id)
            try:
                self._merger.apply(changeset.removals(), changeset.additions())
            except OrlopError as error:
                raise error.inside(f"layer {diff_id}")
        self._count = len(diff_ids)
        return self._merger.root


class _Layer:
    """The entries of a layer, and what they make of the root.

    Attributes:
        top: The root directory, without its entries: of the layers below until this one says more.
    """

    def __init__(self, changeset: EncodedChangeset, top: Node) -> None:
        self._changeset = changeset
        self.top = top

    def entries(self) -> Iterator[Entry]:
        for entry in self._changeset.entries():
            if type(entry) is Put and not entry.path:
                self.top = _bare(entry.node)
            yield entry


def _lowest(root: Node, userxattr: bool) -> Node:
    """The tree as it lies below an overlay: what that would obey is escaped, in copies of nodes."""
    if obeyed_by_overlay(root, userxattr=userxattr):
        copies: dict[Node, Node] = {}
        for _, node in walk(root):
            for name, child in (node.children or {}).items():
                if child.xattrs and not child.is_dir:
                    assert node.children is not None
                    node.children[name] = copies.setdefault(child, copy(child))
        escape_marks(root, userxattr=userxattr)
    return root


def _bare(root: Node) -> Node:
    """A directory without its entries."""
    return Node(root.mode, root.uid, root.gid, root.mtime_ns, xattrs=root.xattrs)


def _make_root(root: Node, top: Node, userxattr: bool) -> None:
    """Let a tree in overlay's form have the attributes of this root."""
    shown = _bare(top)
    escape_marks(shown, userxattr=userxattr)
    root.mode, root.uid, root.gid, root.mtime_ns = top.mode, top.uid, top.gid, top.mtime_ns
    root.xattrs = {**root.xattrs, **shown.xattrs}


def _same_content(read: ReadContent, first: Node, second: Node) -> bool:
    """Whether two files of one size have the same bytes; of those with holes some count as not."""
    if (first.source, first.offset, first.segments) == (
        second.source, second.offset, second.segments,
    ):  # fmt: skip
        return True
    if first.segments is not None or second.segments is not None:
        return False
    if first.source is None or second.source is None:
        return first.source is second.source
    return all(
        read(first.source, first.offset + at, min(_PIECE, first.size - at))
        == read(second.source, second.offset + at, min(_PIECE, first.size - at))
        for at in range(0, first.size, _PIECE)
    )
