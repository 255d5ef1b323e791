"""The façade that applications open."""

from orlop.store.image import Image
from orlop.store.mount import Mount
from orlop.store.store import Store, default_places, open_store

__all__ = ["Image", "Mount", "Store", "default_places", "open_store"]
