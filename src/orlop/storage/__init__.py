"""Layers, images and containers on one store: made, mounted, compared, committed, checked.

    with orlop.open_store() as store:
        container = store.containers.create("debian:12", names=["web"])
        with store.containers.mount("web") as rootfs:
            (rootfs / "etc/motd").write_text("hello")
        image = store.containers.commit("web", "localhost/mine:1")

`open_storage` opens the same without what works on images in other places.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orlop.idmap import IdMapping
    from orlop.metadata.objects import BigDatum
    from orlop.storage.big_data import BigDataStore
    from orlop.storage.layers.mount import LayerMount
    from orlop.storage.layers.record import Layer, Users
    from orlop.storage.layers.store import LayerStore
    from orlop.storage.places import Places
    from orlop.storage.storage import Storage, open_storage
    from orlop.storage.stored.auto import AutoIds
    from orlop.storage.stored.containers import ContainerStore
    from orlop.storage.stored.images import StoredImageStore
    from orlop.storage.stored.record import Container, StoredImage
    from orlop.tree.difference import Change

__all__ = [
    "AutoIds", "BigDataStore", "BigDatum", "Change", "Container", "ContainerStore", "IdMapping",
    "Layer", "LayerMount", "LayerStore", "Places", "Storage", "StoredImage", "StoredImageStore",
    "Users", "open_storage",
]  # fmt: skip

_PLACES: Final = {
    "AutoIds": "orlop.storage.stored.auto",
    "BigDataStore": "orlop.storage.big_data",
    "BigDatum": "orlop.metadata.objects",
    "Change": "orlop.tree.difference",
    "Container": "orlop.storage.stored.record",
    "ContainerStore": "orlop.storage.stored.containers",
    "IdMapping": "orlop.idmap",
    "Layer": "orlop.storage.layers.record",
    "LayerMount": "orlop.storage.layers.mount",
    "LayerStore": "orlop.storage.layers.store",
    "Places": "orlop.storage.places",
    "Storage": "orlop.storage.storage",
    "StoredImage": "orlop.storage.stored.record",
    "StoredImageStore": "orlop.storage.stored.images",
    "Users": "orlop.storage.layers.record",
    "open_storage": "orlop.storage.storage",
}
"""The module of each public name, loaded when the name is first asked for."""


def __getattr__(name: str) -> object:
    """What lists layers need not load what mounts them."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, loaded or not."""
    return sorted({*globals(), *__all__})
