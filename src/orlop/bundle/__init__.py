"""Bundles for OCI runtimes, made of images."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.bundle.bundler import OverlayBundler, StoredBundle, UncompressedBundler
    from orlop.bundle.cache import CachedImage, DigestStore, ImageCache
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
    from orlop.bundle.plain import CacheBundler, PlainBundle
    from orlop.bundle.protocols import Bundle, BundleImage, Bundler
    from orlop.bundle.records import BundleRecord, Bundles
    from orlop.bundle.sources import SourceImage, fetch_image
    from orlop.bundle.stored import PullPolicy, PullRules
    from orlop.bundle.stored_cache import StoreDigests, StoreImages
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.bundle.bundler": "OverlayBundler StoredBundle UncompressedBundler",
            "orlop.bundle.names": "DIR_CONTAINERS DIR_DIGESTS DIR_IMAGES DIR_OVERLAYS DIR_ROOTFS"
            " FILE_CONFIG FILE_SPEC MAX_LAYERS",
            "orlop.bundle.cache": "CachedImage DigestStore ImageCache",
            "orlop.bundle.plain": "CacheBundler PlainBundle",
            "orlop.bundle.sources": "SourceImage fetch_image",
            "orlop.bundle.stored_cache": "StoreDigests StoreImages",
            "orlop.bundle.options": "SpecOption",
            "orlop.bundle.protocols": "Bundle Bundler BundleImage",
            "orlop.bundle.records": "BundleRecord Bundles",
            "orlop.bundle.stored": "PullPolicy PullRules",
        }
    )

__all__ = [
    "DIR_CONTAINERS", "DIR_DIGESTS", "DIR_IMAGES", "DIR_OVERLAYS", "DIR_ROOTFS", "FILE_CONFIG",
    "FILE_SPEC", "MAX_LAYERS", "Bundle", "BundleImage", "BundleRecord", "Bundler", "Bundles",
    "CacheBundler", "CachedImage", "DigestStore", "ImageCache", "OverlayBundler", "PlainBundle",
    "PullPolicy", "PullRules", "SourceImage", "SpecOption", "StoreDigests", "StoreImages",
    "StoredBundle", "UncompressedBundler", "fetch_image",
]  # fmt: skip
