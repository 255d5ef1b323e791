"""The entries of a changeset: what one layer does to the tree below it.

A tar is read into these, a tree is changed by them. They keep the order of the archive and the
paths as the archive names them (normalised, never resolved): what a path means is known only
when the changeset is applied, since a parent may be a symbolic link of a lower layer.

Spec: image-spec v1.1, layer.md, "Representing Changes".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, final

if TYPE_CHECKING:
    from orlop.tree.node import Node


@final
class Put:
    """Add or replace the inode at `path`; `b""` is the root directory, which keeps its children.

    Attributes:
        path: Where, with neither leading nor trailing slash, and no `.` or `..` in it.
        node: What. A directory node has no children here.
    """

    __slots__ = ("node", "path")

    def __init__(self, path: bytes, node: Node) -> None:
        self.path = path
        self.node = node


@final
class Link:
    """Make `path` another name of the inode at `target`, in this layer or in one below.

    Attributes:
        path: Where, as in `Put`.
        target: The other name, as in `Put`.
    """

    __slots__ = ("path", "target")

    def __init__(self, path: bytes, target: bytes) -> None:
        self.path = path
        self.target = target


@final
class Whiteout:
    """Remove what the layers below have at `path`; entries of this layer stay."""

    __slots__ = ("path",)

    def __init__(self, path: bytes) -> None:
        self.path = path


@final
class Opaque:
    """Hide all that the layers below have in the directory `path`; the directory itself stays."""

    __slots__ = ("path",)

    def __init__(self, path: bytes) -> None:
        self.path = path


Entry: TypeAlias = Put | Link | Whiteout | Opaque
