"""Records of a store: what is named, what is kept, and what is garbage."""

from orlop.metadata.blobs import BlobRecord, Blobs
from orlop.metadata.database import Database, Transaction
from orlop.metadata.derived import Chains, DerivedRecord, Forms
from orlop.metadata.images import ImageRow, Images
from orlop.metadata.labels import LabelKind, Labels
from orlop.metadata.lease import Lease, Until
from orlop.metadata.leases import LeaseRecord, Leases
from orlop.metadata.mounts import MountHolder, MountRecord, Mounts
from orlop.metadata.owner import Owner

__all__ = [
    "BlobRecord", "Blobs", "Chains", "Database", "DerivedRecord", "Forms",
    "ImageRow", "Images", "LabelKind", "Labels", "Lease", "LeaseRecord", "Leases",
    "MountHolder", "MountRecord", "Mounts", "Owner", "Transaction", "Until",
]  # fmt: skip
