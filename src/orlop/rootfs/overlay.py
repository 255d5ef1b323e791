"""One layer's changeset as a tree in overlay's on-disk form.

| changeset             | tree                                                    |
| --------------------- | ------------------------------------------------------- |
| whiteout              | character device 0:0                                    |
| opaque                | directory with xattr `trusted.overlay.opaque` = `y`     |
| whiteout `x` and `x/` | directory `x`, opaque                                   |
| `trusted.overlay.*`   | `trusted.overlay.overlay.*`, so that overlay shows it   |

Without privilege the namespace is `user.overlay.` (mount option `userxattr`).

Spec: Linux, filesystems/overlayfs.rst, "whiteouts and opaque directories".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop.rootfs.layer import TRUSTED_PREFIX, USER_PREFIX, LayerDirectory, LayerTree
from orlop.tree import Link, Put, directory, walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.tree import Entry, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayForm:
    """A layer as overlay keeps it.

    Attributes:
        root: The tree, to be written as it is.
        anywhere: Whether it may stand above other layers; if not, only below all others.
        root_given: Whether the layer says what the root directory is. Overlay shows the root of
            the topmost directory: if that is not given, whoever mounts has to supply it.
    """

    root: Node
    anywhere: bool
    root_given: bool


def overlay_form(
    entries: Iterable[Entry], *, lowest: bool = False, userxattr: bool = False
) -> OverlayForm:
    """Express one layer so that overlay, over the forms of the layers below, shows their merge.

    The nodes of the entries are not changed; those of files become part of the tree.

    Args:
        entries: The changeset, in the archive's order.
        lowest: The layer lies below all others: missing parents are as in `Merger.apply`, and
            there is nothing to hide.
        userxattr: Use overlay's xattrs that need no privilege.

    Raises:
        InvalidLayerError: As `Merger.apply`.
        LimitExceededError: As `Merger.apply`.
        NeedsParentsError: The layer means something only together with those below it; it has to
            be merged with them.
    """
    root = LayerDirectory(None, b"", directory())
    prefix = USER_PREFIX if userxattr else TRUSTED_PREFIX
    tree = LayerTree(root, _Silent(), lowest=lowest, prefix=prefix)
    for entry in entries:
        if type(entry) is Put:
            tree.put(entry.path, entry.node)
        elif type(entry) is Link:
            tree.link(entry)
        else:
            tree.remove(entry)
    tree.finish()
    return OverlayForm(
        root=root.node,
        anywhere=tree.anywhere,
        root_given=tree.root_given,
    )


def obeyed_by_overlay(root: Node, *, userxattr: bool = False) -> bool:
    """Whether an overlay over this tree would take attributes of its for marks of its own."""
    prefix = USER_PREFIX if userxattr else TRUSTED_PREFIX
    return any(name.startswith(prefix) for _, node in walk(root) for name in node.xattrs)


def escape_marks(root: Node, *, userxattr: bool = False) -> None:
    """Let a tree have the attributes that an overlay over it shows as those that it has now."""
    prefix = USER_PREFIX if userxattr else TRUSTED_PREFIX
    for node in {node for _, node in walk(root) if node.xattrs}:
        node.xattrs = {
            prefix + b"overlay." + name.removeprefix(prefix) if name.startswith(prefix) else name:
            value for name, value in node.xattrs.items()
        }  # fmt: skip


class _Silent:
    """Writes nothing: the tree is all that is wanted."""

    def make_directory(self, place: LayerDirectory) -> None: ...

    def discard(self, place: LayerDirectory, name: bytes) -> None: ...

    def link(
        self, target: LayerDirectory, target_name: bytes, place: LayerDirectory, name: bytes
    ) -> None: ...

    def make_whiteout(self, place: LayerDirectory, name: bytes, node: Node) -> None: ...
