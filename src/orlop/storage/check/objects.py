"""What a repair works on beside the store's core: its layers, images and containers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.storage.layers.store import LayerStore
    from orlop.storage.stored.containers import ContainerStore
    from orlop.storage.stored.images import StoredImageStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The objects of a store.

    Attributes:
        layers: Its layers.
        images: Its images.
        containers: Its containers.
    """

    layers: LayerStore
    images: StoredImageStore
    containers: ContainerStore
