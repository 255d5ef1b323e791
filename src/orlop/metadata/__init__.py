"""Records of a store: what is named, what is kept, and what is garbage."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.metadata.blobs import BlobRecord, Blobs
    from orlop.metadata.database import Database, Transaction
    from orlop.metadata.derived import Chains, DerivedRecord, Forms
    from orlop.metadata.images import ImageRow, Images
    from orlop.metadata.labels import LabelKind, Labels
    from orlop.metadata.layers import LayerRow, Layers, LayerSource
    from orlop.metadata.lease import Lease, Until
    from orlop.metadata.leases import LeaseRecord, Leases
    from orlop.metadata.mounts import MountHolder, MountRecord, Mounts, MountSubject
    from orlop.metadata.objects import BigData, BigDatum, Names, ObjectKind
    from orlop.metadata.owner import Owner
    from orlop.metadata.stored import ContainerRow, Containers, StoredImageRow, StoredImages
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.metadata.blobs": "BlobRecord Blobs",
            "orlop.metadata.database": "Database Transaction",
            "orlop.metadata.derived": "Chains DerivedRecord Forms",
            "orlop.metadata.images": "ImageRow Images",
            "orlop.metadata.labels": "LabelKind Labels",
            "orlop.metadata.layers": "LayerRow Layers LayerSource",
            "orlop.metadata.lease": "Lease Until",
            "orlop.metadata.leases": "LeaseRecord Leases",
            "orlop.metadata.mounts": "MountHolder MountRecord Mounts MountSubject",
            "orlop.metadata.objects": "BigData BigDatum Names ObjectKind",
            "orlop.metadata.owner": "Owner",
            "orlop.metadata.stored": "ContainerRow Containers StoredImageRow StoredImages",
        }
    )

__all__ = [
    "BigData", "BigDatum", "BlobRecord", "Blobs", "Chains", "ContainerRow", "Containers",
    "Database", "DerivedRecord", "Forms", "ImageRow", "Images", "LabelKind", "Labels", "LayerRow",
    "LayerSource", "Layers", "Lease", "LeaseRecord", "Leases", "MountHolder", "MountRecord",
    "MountSubject", "Mounts", "Names", "ObjectKind", "Owner", "StoredImageRow", "StoredImages",
    "Transaction", "Until",
]  # fmt: skip
