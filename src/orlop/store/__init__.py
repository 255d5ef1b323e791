"""The façade that applications open."""

from orlop.storage.where import find_places
from orlop.store.copies import copy, copy_all
from orlop.store.image import Image
from orlop.store.mount import Mount
from orlop.store.store import Store, open_store

__all__ = ["Image", "Mount", "Store", "copy", "copy_all", "find_places", "open_store"]
