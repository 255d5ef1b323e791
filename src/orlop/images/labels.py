"""Labels that keep what a document names: the collector follows them, containerd's as orlop's.

containerd.io/gc.ref.content.config     the config of an image or a checkpoint
containerd.io/gc.ref.content.m.0        manifests, in their order
containerd.io/gc.ref.content.l.0        layers, in their order
containerd.io/gc.ref.content.0          everything else
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from orlop.mediatype import CONTAINERD_CHECKPOINT_CONFIG, is_config, is_layer, is_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orlop.digest import Digest
    from orlop.images.handlers import Children, Handler
    from orlop.spec.descriptor import Descriptor

_REFERENCE: Final = "containerd.io/gc.ref.content."


class LabelManager(Protocol):
    """Who keeps the labels of blobs."""

    def update(self, digest: Digest, labels: Mapping[str, str], /, *fieldpaths: str) -> object:
        """Set the labels of a blob that the field paths name, and leave the others as they are."""


def label_children(
    manager: LabelManager,
    handler: Handler,
    *,
    key: Callable[[Descriptor], str | None] | None = None,
) -> Children:
    """A handler that gives what `handler` gives, once each document is labelled with what it names.

    So nothing below it is collected that is there, as soon as it is there.

    Args:
        manager: Who keeps the labels; the document must be stored with it.
        handler: What knows the children.
        key: What to label a child by: `child_label_key` where None, `key_without_layers`, or any
            function of the caller's. Children of None get no label. A key that ends in a dot, or
            comes again, gets a number.

    Raises:
        NotFoundError: From the handler: the document is not stored.
    """
    name = key or child_label_key

    def handle(descriptor: Descriptor) -> tuple[Descriptor, ...]:
        found = tuple(handler(descriptor) or ())
        labels = child_labels(found, name)
        if labels:
            manager.update(descriptor.digest, labels, *(f"labels.{each}" for each in labels))
        return found

    return handle


def child_labels(
    children: Iterable[Descriptor], key: Callable[[Descriptor], str | None]
) -> dict[str, str]:
    """The labels that name these children, in their order."""
    labels: dict[str, str] = {}
    met: Counter[str] = Counter()
    for child in children:
        name = key(child)
        if name is not None:
            number = met[name]
            met[name] += 1
            labels[f"{name}{number}" if number or name.endswith(".") else name] = child.digest
    return labels


def child_label_key(child: Descriptor) -> str | None:
    """The key that containerd labels a child by, its number left out."""
    media_type = child.media_type
    if is_config(media_type) or media_type == CONTAINERD_CHECKPOINT_CONFIG:
        return _REFERENCE + "config"
    if is_manifest(media_type):
        return _REFERENCE + "m."
    return _REFERENCE + ("l." if is_layer(media_type) else "")


def key_without_layers(child: Descriptor) -> str | None:
    """The same, and None for layers: they may be collected once they are unpacked."""
    return None if is_layer(child.media_type) else child_label_key(child)
