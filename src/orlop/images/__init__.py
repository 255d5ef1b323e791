"""Images as named descriptors: records, handlers, walking, and the store of names.

A handler is a plain function that is shown a descriptor and gives those below it. This fetches an
image for one platform, out of a layout into a content store, and tells what comes:

from orlop.content import LocalContent
from orlop.images import children_handler, dispatch, fetch_handler, filter_platforms, handlers
from orlop.layout import open_source, parse_place
from orlop.platform import Platform

def tell(descriptor):
    print(descriptor.media_type, descriptor.size)

content = LocalContent("content")
with open_source(parse_place("oci:layout:latest")) as source:
    below = filter_platforms(children_handler(content), Platform.parse("linux/amd64"))
    dispatch(handlers(tell, fetch_handler(source, content), below), source.resolve())
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.images.choice import Choice, choose, config, manifest, platforms, read_config, rootfs
from orlop.images.contents import Completeness, check, parts, size, usage
from orlop.images.dispatch import dispatch
from orlop.images.fetch import BlobSource, BlobStream, BlobTarget, fetch, fetch_handler
from orlop.images.handlers import (
    Handler,
    SkipDescriptor,
    StopHandler,
    children,
    children_handler,
    handlers,
)
from orlop.images.labels import (
    LabelManager,
    child_label_key,
    child_labels,
    key_without_layers,
    label_children,
)
from orlop.images.provider import Inventory, Provider, read_document
from orlop.images.record import ImageRecord
from orlop.images.selection import filter_platforms, limit_manifests
from orlop.images.walk import MAX_DEPTH, MAX_VISITS, iter_walk, walk

if TYPE_CHECKING:
    from orlop.images.store import ImageStore

__all__ = [
    "MAX_DEPTH", "MAX_VISITS", "BlobSource", "BlobStream", "BlobTarget", "Choice", "Completeness",
    "Handler", "ImageRecord", "ImageStore", "Inventory", "LabelManager", "Provider",
    "SkipDescriptor", "StopHandler", "check", "child_label_key", "child_labels", "children",
    "children_handler", "choose", "config", "dispatch", "fetch", "fetch_handler",
    "filter_platforms", "handlers", "iter_walk", "key_without_layers", "label_children",
    "limit_manifests", "manifest", "parts", "platforms", "read_config", "read_document", "rootfs",
    "size", "usage", "walk",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """The store, loaded when it is first asked for: handlers need no database."""
    if name == "ImageStore":
        from orlop.images.store import ImageStore

        return ImageStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
