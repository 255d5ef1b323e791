"""One layer by itself, as its tar has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidLayerError
from orlop.tree import Link, Merger, Node, Put, Whiteout, lookup
from orlop.tree.node import S_IFREG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.tree import EncodedChangeset

_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"


def layer_tree(changeset: EncodedChangeset, below: Node) -> Node:
    """A layer's entries as a tree, its whiteouts as empty files `.wh.NAME` and `.wh..wh..opq`.

    A hard link to what only the layers below have is a copy of that.

    Args:
        changeset: The layer.
        below: The merged tree of the layers below.

    Raises:
        InvalidLayerError: A hard link leads nowhere.

    Spec: image-spec v1.1, layer.md, "Whiteouts".
    """
    merger = Merger()
    merger.apply((), (*_marks(changeset), *_additions(changeset, below)))
    return merger.root


def _marks(changeset: EncodedChangeset) -> Iterator[Put]:
    for entry in changeset.removals():
        if type(entry) is Whiteout:
            folder, slash, name = entry.path.rpartition(b"/")
            path = folder + slash + _WHITEOUT + name
        else:
            path = entry.path + b"/" + _OPAQUE if entry.path else _OPAQUE
        yield Put(path, Node(S_IFREG))


def _additions(changeset: EncodedChangeset, below: Node) -> Iterator[Put | Link]:
    own = {entry.path for entry in changeset.additions()}
    copies: dict[bytes, Node] = {}
    for entry in changeset.additions():
        if type(entry) is Put or entry.target in own:
            yield entry
            continue
        node = copies.get(entry.target) or lookup(below, entry.target, follow_last=False)
        if node is None or node.is_dir:
            where = entry.path.decode("utf-8", "backslashreplace")
            raise InvalidLayerError("is a hard link that leads nowhere", where=f"/{where}")
        copies[entry.target] = node
        yield Put(entry.path, node)
