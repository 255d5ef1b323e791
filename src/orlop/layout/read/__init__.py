"""Reading images out of local places: layouts, archives of all dialects, and skopeo's `dir:`."""

from orlop.layout.read.choose import ListedImage
from orlop.layout.read.open import list_images, open_all, open_any, open_source
from orlop.layout.read.source import LocalSource, LocalStream

__all__ = [
    "ListedImage", "LocalSource", "LocalStream", "list_images", "open_all", "open_any",
    "open_source",
]  # fmt: skip
