"""Bundles for OCI runtimes, made of images."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.bundle.bundler import OverlayBundler, StoredBundle, UncompressedBundler
    from orlop.bundle.names import (
        DIR_CONTAINERS,
        DIR_DIGESTS,
        DIR_IMAGES,
        DIR_OVERLAYS,
        DIR_ROOTFS,
        FILE_CONFIG,
        FILE_SPEC,
        MAX_LAYERS,
    )
    from orlop.bundle.options import SpecOption
    from orlop.bundle.protocols import Bundle, BundleImage, Bundler
    from orlop.bundle.records import BundleRecord, Bundles
    from orlop.bundle.stored import PullPolicy, PullRules
else:
    from orlop._late import late

    __getattr__ = late(
        {
            "orlop.bundle.bundler": "OverlayBundler StoredBundle UncompressedBundler",
            "orlop.bundle.names": "DIR_CONTAINERS DIR_DIGESTS DIR_IMAGES DIR_OVERLAYS DIR_ROOTFS"
            " FILE_CONFIG FILE_SPEC MAX_LAYERS",
            "orlop.bundle.options": "SpecOption",
            "orlop.bundle.protocols": "Bundle Bundler BundleImage",
            "orlop.bundle.records": "BundleRecord Bundles",
            "orlop.bundle.stored": "PullPolicy PullRules",
        }
    )

__all__ = [
    "DIR_CONTAINERS", "DIR_DIGESTS", "DIR_IMAGES", "DIR_OVERLAYS", "DIR_ROOTFS", "FILE_CONFIG",
    "FILE_SPEC", "MAX_LAYERS", "Bundle", "BundleImage", "BundleRecord", "Bundler", "Bundles",
    "OverlayBundler", "PullPolicy", "PullRules", "SpecOption", "StoredBundle",
    "UncompressedBundler",
]  # fmt: skip
