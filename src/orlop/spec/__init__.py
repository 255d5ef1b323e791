"""The documents of the image specification, read strictly and written deterministically."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.digest import chain_id, chain_ids
    from orlop.spec.config import ImageConfig, check_layers
    from orlop.spec.container import ContainerConfig
    from orlop.spec.descriptor import EMPTY, Descriptor
    from orlop.spec.document import decode_document
    from orlop.spec.history import History
    from orlop.spec.index import Index
    from orlop.spec.json import MAX_DOCUMENT_SIZE, decode_json, encode_json
    from orlop.spec.layout import CONTAINERD_NAME, REF_NAME, ImageLayout
    from orlop.spec.manifest import Manifest
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.digest": "chain_id chain_ids",
            "orlop.spec.config": "ImageConfig check_layers",
            "orlop.spec.container": "ContainerConfig",
            "orlop.spec.descriptor": "EMPTY Descriptor",
            "orlop.spec.document": "decode_document",
            "orlop.spec.history": "History",
            "orlop.spec.index": "Index",
            "orlop.spec.json": "MAX_DOCUMENT_SIZE decode_json encode_json",
            "orlop.spec.layout": "CONTAINERD_NAME REF_NAME ImageLayout",
            "orlop.spec.manifest": "Manifest",
        }
    )

__all__ = [
    "CONTAINERD_NAME", "EMPTY", "MAX_DOCUMENT_SIZE", "REF_NAME", "ContainerConfig", "Descriptor",
    "History", "ImageConfig", "ImageLayout", "Index", "Manifest", "chain_id", "chain_ids",
    "check_layers", "decode_document", "decode_json", "encode_json",
]  # fmt: skip
