"""Images as named descriptors: records, handlers, walking, and the store of names."""

from orlop.images.choice import Choice, choose, config, manifest, platforms, read_config, rootfs
from orlop.images.contents import Completeness, check, parts, size, usage
from orlop.images.handlers import (
    Handler,
    SkipDescriptor,
    StopHandler,
    children,
    children_handler,
    handlers,
)
from orlop.images.provider import Inventory, Provider, read_document
from orlop.images.record import ImageRecord
from orlop.images.selection import filter_platforms, limit_manifests
from orlop.images.walk import MAX_DEPTH, MAX_VISITS, iter_walk, walk

__all__ = [
    "MAX_DEPTH", "MAX_VISITS", "Choice", "Completeness", "Handler", "ImageRecord", "Inventory",
    "Provider", "SkipDescriptor", "StopHandler", "check", "children", "children_handler", "choose",
    "config", "filter_platforms", "handlers", "iter_walk", "limit_manifests", "manifest", "parts",
    "platforms", "read_config", "read_document", "rootfs", "size", "usage", "walk",
]  # fmt: skip
