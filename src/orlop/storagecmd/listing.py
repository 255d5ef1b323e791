"""Records as lines of text, and layers as a tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.storagecmd.forms import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orlop.metadata.objects import BigDatum
    from orlop.storage.layers.record import Layer
    from orlop.storage.stored.record import Container, StoredImage
    from orlop.tree import Change

_KINDS: Final = {"add": "Add", "modify": "Modify", "delete": "Delete"}
_BASE: Final = "(base)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What there is about layers: who uses them, and where they are mounted.

    Attributes:
        images: By the ID of the layer that is their top.
        containers: By the ID of their layer.
        mounts: Where layers are mounted, by their ID.
    """

    images: Mapping[str, Sequence[StoredImage]]
    containers: Mapping[str, Container]
    mounts: Mapping[str, str]


def made_lines(id: str, names: Iterable[str]) -> Iterator[str]:  # noqa: A002
    """What was made."""
    yield id
    for name in names:
        yield f"\t{name}"


def layer_lines(layer: Layer, around: Around) -> Iterator[str]:
    """A layer in the list of all."""
    yield layer.id
    for name in layer.names:
        yield f"\tname: {name}"
    for image in around.images.get(layer.id, ()):
        yield f"\timage: {image.id}"
        for name in image.names:
            yield f"\t\tname: {name}"
    container = around.containers.get(layer.id)
    if container is not None:
        yield f"\tcontainer: {container.id}"
        for name in container.names:
            yield f"\t\tname: {name}"


def layer_page(layer: Layer) -> Iterator[str]:
    """A layer alone."""
    yield f"ID: {layer.id}"
    if layer.id_mapping is not None:
        for kind, ranges in (("UID", layer.id_mapping.uids), ("GID", layer.id_mapping.gids)):
            for each in ranges:
                numbers = f"container={each.container}, host={each.host}, size={each.size}"
                yield f"{kind} mapping: ({numbers})"
    if layer.parent is not None:
        yield f"Parent: {layer.parent}"
    for name in layer.names:
        yield f"Name: {name}"
    if layer.additional:
        yield "Read Only: true"


def image_lines(image: StoredImage, data: Iterable[BigDatum]) -> Iterator[str]:
    """An image in the list of all."""
    yield image.id
    for name in image.names:
        yield f"\tname: {name}"
    for digest in image.digests:
        yield f"\tdigest: {digest}"
    for datum in data:
        yield f"\tdata: {datum.name}"


def image_page(image: StoredImage, data: Iterable[BigDatum], size: str) -> Iterator[str]:
    """An image alone.

    Args:
        image: The image.
        data: Its big data.
        size: The line that tells its size.
    """
    yield f"ID: {image.id}"
    for name in image.names:
        yield f"Name: {name}"
    yield f"Top Layer: {image.layer or ''}"
    for digest in image.digests:
        yield f"Digest: {digest}"
    for datum in data:
        yield f"Data: {datum.name}"
    yield size
    if image.additional:
        yield "Read Only: true"


def container_lines(container: Container, data: Iterable[BigDatum]) -> Iterator[str]:
    """A container in the list of all."""
    yield container.id
    for name in container.names:
        yield f"\tname: {name}"
    for datum in data:
        yield f"\tdata: {datum.name}"


def container_page(
    container: Container, image_names: Iterable[str], data: Iterable[BigDatum], size: str
) -> Iterator[str]:
    """A container alone.

    Args:
        container: The container.
        image_names: What its image is called.
        data: Its big data.
        size: The line that tells its size.
    """
    yield f"ID: {container.id}"
    for name in container.names:
        yield f"Name: {name}"
    yield f"Image: {container.image}"
    for name in image_names:
        yield f"Image name: {name}"
    yield size
    yield f"Layer: {container.layer}"
    for datum in data:
        yield f"Data: {datum.name}"


def change_line(change: Change) -> str:
    """One difference between two trees."""
    path = change.path.decode(errors="surrogateescape")
    return f"{_KINDS[change.kind]} {quoted('/' + path.lstrip('/'))}"


def tree_lines(layers: Sequence[Layer], around: Around) -> Iterator[str]:
    """All layers, each below its parent, and those of which the parent is missing below that."""
    children: dict[str, list[Layer]] = {}
    for layer in layers:
        children.setdefault(layer.parent or _BASE, []).append(layer)
    known = {layer.id for layer in layers}
    roots = sorted((parent for parent in children if parent not in known), key=_base_first)
    for root in roots:
        yield root
        yield from _branch_lines(root, children, around)


def _base_first(parent: str) -> tuple[bool, str]:
    return parent != _BASE, parent


def _branch_lines(
    root: str, children: Mapping[str, Sequence[Layer]], around: Around
) -> Iterator[str]:
    """What stands on a layer; without recursion, since stacks are deep."""
    pending = [("", layer, layer is children[root][-1]) for layer in children[root]][::-1]
    while pending:
        indent, layer, last = pending.pop()
        yield f"{indent}{'└' if last else '├'}─{layer.id}"
        bar = " " if last else "│"
        for note in _notes(layer, around):
            yield f"{indent}{bar} {note}"
        below = children.get(layer.id, ())
        pending += [(f"{indent}{bar} ", each, each is below[-1]) for each in reversed(below)]


def _notes(layer: Layer, around: Around) -> Iterator[str]:
    yield from (f"name: {name}" for name in layer.names)
    if layer.id in around.mounts:
        yield f"mount: {around.mounts[layer.id]}"
    for image in around.images.get(layer.id, ()):
        yield f"image: {image.id}"
        yield from (f"image name: {name}" for name in image.names)
    container = around.containers.get(layer.id)
    if container is not None:
        yield f"container: {container.id}"
        yield from (f"container name: {name}" for name in container.names)
