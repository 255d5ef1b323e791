"""Images in local places: OCI layouts, archives of them, and the formats of Docker and skopeo."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from orlop.layout.blobs import (
        delete_blob,
        new_blob_writer,
        open_blob,
        read_blob,
        stat_blob,
        write_blob,
        write_json_blob,
    )
    from orlop.layout.collection import Removed, collect
    from orlop.layout.driver import (
        ArchiveDriver,
        ArchiveReader,
        BlobWriter,
        DirectoryDriver,
        ImageDriver,
        MemoryDriver,
        TarDriver,
        TarWriter,
    )
    from orlop.layout.driver.access import collecting, sharing
    from orlop.layout.image import (
        InitOptions,
        init,
        put_manifest_descriptor_to_index,
        read_image_layout,
        read_index,
        remove_manifest_descriptor_from_index,
        update_index,
        write_image_layout,
        write_index,
    )
    from orlop.layout.names import fallback_name, ref_name_of
    from orlop.layout.place import TRANSPORTS, Place, parse_place
    from orlop.layout.provider import LayoutProvider, StoredBlob
    from orlop.layout.read import ListedImage, LocalSource, LocalStream, list_images, open_source
    from orlop.layout.validation import Violation, validate

__all__ = [
    "TRANSPORTS", "ArchiveDriver", "ArchiveReader", "BlobWriter", "DirectoryDriver", "ImageDriver",
    "InitOptions", "LayoutProvider", "ListedImage", "LocalSource", "LocalStream", "MemoryDriver",
    "Place", "Removed", "StoredBlob", "TarDriver", "TarWriter", "Violation", "collect",
    "collecting", "delete_blob", "fallback_name", "init", "list_images", "new_blob_writer",
    "open_blob", "open_source", "parse_place", "put_manifest_descriptor_to_index", "read_blob",
    "read_image_layout", "read_index", "ref_name_of", "remove_manifest_descriptor_from_index",
    "sharing", "stat_blob", "update_index", "validate", "write_blob", "write_image_layout",
    "write_index", "write_json_blob",
]  # fmt: skip

_PLACES: Final = {
    "blobs": (
        "delete_blob",
        "new_blob_writer",
        "open_blob",
        "read_blob",
        "stat_blob",
        "write_blob",
        "write_json_blob",
    ),
    "collection": ("Removed", "collect"),
    "driver": (
        "ArchiveDriver",
        "ArchiveReader",
        "BlobWriter",
        "DirectoryDriver",
        "ImageDriver",
        "MemoryDriver",
        "TarDriver",
        "TarWriter",
    ),
    "driver.access": ("collecting", "sharing"),
    "image": (
        "InitOptions",
        "init",
        "put_manifest_descriptor_to_index",
        "read_image_layout",
        "read_index",
        "remove_manifest_descriptor_from_index",
        "update_index",
        "write_image_layout",
        "write_index",
    ),
    "names": ("fallback_name", "ref_name_of"),
    "place": ("TRANSPORTS", "Place", "parse_place"),
    "provider": ("LayoutProvider", "StoredBlob"),
    "read": ("ListedImage", "LocalSource", "LocalStream", "list_images", "open_source"),
    "validation": ("Violation", "validate"),
}
"""The module of each public name, loaded when the name is first asked for."""


def __getattr__(name: str) -> object:
    """What reads a place need not load what writes or validates one."""
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{place}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, loaded or not."""
    return sorted({*globals(), *__all__})
