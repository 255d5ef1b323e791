"""Integrity of disks and files, block by block: dm-verity trees and fs-verity digests."""

from orlop.fsimage.verity.check import verify_dm_verity
from orlop.fsimage.verity.dm import DmVerity, DmVerityOptions, read_dm_verity
from orlop.fsimage.verity.fs import FsVerityHasher, fs_verity_digest
from orlop.fsimage.verity.hasher import MAX_DIGESTS_SIZE, DmVerityHasher, DmVerityOutput

__all__ = [
    "MAX_DIGESTS_SIZE", "DmVerity", "DmVerityHasher", "DmVerityOptions", "DmVerityOutput",
    "FsVerityHasher", "fs_verity_digest", "read_dm_verity", "verify_dm_verity",
]  # fmt: skip
