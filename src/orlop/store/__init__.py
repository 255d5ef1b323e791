"""The façade that applications open."""

from typing import TYPE_CHECKING

from orlop.storage.where import find_places
from orlop.store.copies import copy, copy_all
from orlop.store.image import Image
from orlop.store.mount import Mount
from orlop.store.store import Store, open_store

if TYPE_CHECKING:
    from orlop.store.draft import ImageDraft
    from orlop.store.indexes import IndexDraft
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {"orlop.store.draft": "ImageDraft", "orlop.store.indexes": "IndexDraft"}
    )

__all__ = [
    "Image", "ImageDraft", "IndexDraft", "Mount", "Store", "copy", "copy_all", "find_places",
    "open_store",
]  # fmt: skip
