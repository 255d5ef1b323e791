"""The façade that applications open."""

from orlop.store.image import Image
from orlop.store.mount import Mount
from orlop.store.store import Store, find_places, open_store

__all__ = ["Image", "Mount", "Store", "find_places", "open_store"]
