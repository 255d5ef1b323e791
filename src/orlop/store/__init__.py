"""The façade that applications open."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.storage.where import find_places
    from orlop.store.copies import copy, copy_all
    from orlop.store.draft import ImageDraft
    from orlop.store.image import Image
    from orlop.store.indexes import IndexDraft
    from orlop.store.mount import Mount
    from orlop.store.store import Store, open_store
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.storage.where": "find_places",
            "orlop.store.copies": "copy copy_all",
            "orlop.store.draft": "ImageDraft",
            "orlop.store.image": "Image",
            "orlop.store.indexes": "IndexDraft",
            "orlop.store.mount": "Mount",
            "orlop.store.store": "Store open_store",
        }
    )

__all__ = [
    "Image", "ImageDraft", "IndexDraft", "Mount", "Store", "copy", "copy_all", "find_places",
    "open_store",
]  # fmt: skip
