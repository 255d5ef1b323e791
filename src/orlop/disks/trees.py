"""Which trees the disks of an image show."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.errors import OrlopError
from orlop.rootfs import escape_marks, obeyed_by_overlay, overlay_form
from orlop.storage.chains import Stack
from orlop.tree import Merger, Node, copy_directories, difference, directory, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.digest import Digest
    from orlop.fsimage.output import ReadContent
    from orlop.storage.forms import FormStore

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
    merger = Merger()
    below = directory()
    for number, each in enumerate(slices):
        for diff_id in each.diff_ids:
            changeset = forms.changeset(diff_id)
            try:
                merger.apply(changeset.removals(), changeset.additions())
            except OrlopError as error:
                raise error.inside(f"layer {diff_id}")
        merged = merger.root
        if not overlay:
            yield merged
            continue
        now = copy_directories(merged)
        yield _lowest(now, userxattr) if not number else _above(below, now, read, userxattr)
        below = copy_directories(merged)


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


def _above(below: Node, root: Node, read: ReadContent, userxattr: bool) -> Node:
    """What overlay has to find above `below`, so that it shows `root`."""

    def same_content(first: Node, second: Node) -> bool:
        return (first.source, first.offset, first.segments) == (
            second.source, second.offset, second.segments,
        ) or _equal(first, second, read)  # fmt: skip

    found = overlay_form(difference(below, root, same_content), userxattr=userxattr)
    form = found.root
    if not found.root_given:  # Overlay shows the root of the topmost layer, whatever changed.
        form.mode, form.uid, form.gid, form.mtime_ns = root.mode, root.uid, root.gid, root.mtime_ns
        bare = directory()
        bare.xattrs = root.xattrs
        escape_marks(bare, userxattr=userxattr)
        form.xattrs = bare.xattrs
    return form


def _equal(first: Node, second: Node, read: ReadContent) -> bool:
    """Whether two files of one size, stored whole, have the same bytes; others count as changed."""
    if first.segments is not None or second.segments is not None:
        return False
    if first.source is None or second.source is None:
        return first.source is second.source
    return all(
        read(first.source, first.offset + at, min(_PIECE, first.size - at))
        == read(second.source, second.offset + at, min(_PIECE, first.size - at))
        for at in range(0, first.size, _PIECE)
    )
