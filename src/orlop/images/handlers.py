"""Handlers: plain functions that are shown a descriptor, and give those to visit next.

def show(descriptor):
    print(descriptor.digest)          # Giving nothing means: nothing below this one.

walk(handlers(show, children_handler(content)), image.target)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from orlop.images.provider import read_document
from orlop.mediatype import is_index, is_manifest
from orlop.spec.descriptor import Descriptor
from orlop.spec.index import Index

if TYPE_CHECKING:
    from orlop.images.provider import Provider

Handler: TypeAlias = Callable[[Descriptor], Iterable[Descriptor] | None]
"""What is done about one descriptor; it gives the descriptors to visit next, or None."""

Children: TypeAlias = Callable[[Descriptor], tuple[Descriptor, ...]]
"""A handler that always gives a tuple: what the functions of `orlop.images` make."""


class SkipDescriptor(Exception):  # noqa: N818 - a wish, not an error
    """Raised by a handler: nothing below this descriptor is visited; its siblings are."""


class StopHandler(Exception):  # noqa: N818 - a wish, not an error
    """Raised by a handler: this descriptor is dealt with, and the later handlers do not see it.

    That holds for this descriptor alone. What the earlier handlers gave is visited, by all
    handlers; what the handler that raises this had to give is not.
    """


def handlers(*chain: Handler) -> Children:
    """One handler that calls these in their order, and gives what each of them gives.

    A handler that raises `StopHandler` ends the chain for this descriptor. Children that earlier
    handlers gave stay; those of the one that raised are dropped, those too that it has yielded
    already. Every other exception leaves the chain, and with it no children at all.
    """

    def handle(descriptor: Descriptor) -> tuple[Descriptor, ...]:
        found: list[Descriptor] = []
        for handler in chain:
            try:
                found += tuple(handler(descriptor) or ())
            except StopHandler:
                break
        return tuple(found)

    return handle


def children(provider: Provider, descriptor: Descriptor) -> tuple[Descriptor, ...]:
    """What a descriptor's content names: config and layers, or the manifests of an index.

    Everything else, known or not, is content that names nothing. The `subject` of a manifest is
    none of its children: an image is whole without what it is about.

    Raises:
        OrlopError: As `read_document`.

    Spec: image-spec v1.1, manifest.md and image-index.md.
    """
    if not is_manifest(descriptor.media_type) and not is_index(descriptor.media_type):
        return ()
    document = read_document(provider, descriptor)
    if isinstance(document, Index):
        return document.manifests
    return (document.config, *document.layers)


def children_handler(provider: Provider) -> Children:
    """A handler that goes down into the documents that `children` knows.

    Any function of the same shape can stand in its place, or behind it in `handlers`, and go down
    into types of its own.
    """

    def handle(descriptor: Descriptor) -> tuple[Descriptor, ...]:
        return children(provider, descriptor)

    return handle
