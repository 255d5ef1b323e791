"""Images in local places: OCI layouts, archives of them, and the formats of Docker and skopeo."""

from orlop.layout.choose import ListedImage
from orlop.layout.names import fallback_name, ref_name_of
from orlop.layout.open import list_images, open_source
from orlop.layout.place import TRANSPORTS, Place, parse_place
from orlop.layout.source import LocalSource, LocalStream

__all__ = [
    "TRANSPORTS", "ListedImage", "LocalSource", "LocalStream", "Place", "fallback_name",
    "list_images", "open_source", "parse_place", "ref_name_of",
]  # fmt: skip
