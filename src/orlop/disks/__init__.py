"""Disks for virtual machines: an image as filesystems in files or on block devices, kept by tag."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.disks.builder import Builder, BuildOptions, PullPolicy
    from orlop.disks.cache import (
        gc,
        get_registry_cache,
        list_registry_cache,
        remove_registry_cache,
        save_registry_cache,
    )
    from orlop.disks.make import Disk, DiskMaker, DiskProgress, disk_paths
    from orlop.disks.oci import OCIConfig
    from orlop.disks.options import DiskOptions
    from orlop.disks.result import BuildResult, ImageInfo, ImageMeta, LayerRef
    from orlop.disks.squashfs import write_squashfs
    from orlop.disks.store import Store
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.disks.builder": "BuildOptions Builder PullPolicy",
            "orlop.disks.cache": "gc get_registry_cache list_registry_cache remove_registry_cache"
            " save_registry_cache",
            "orlop.disks.make": "Disk DiskMaker DiskProgress disk_paths",
            "orlop.disks.oci": "OCIConfig",
            "orlop.disks.options": "DiskOptions",
            "orlop.disks.result": "BuildResult ImageInfo ImageMeta LayerRef",
            "orlop.disks.squashfs": "write_squashfs",
            "orlop.disks.store": "Store",
        }
    )

__all__ = [
    "BuildOptions", "BuildResult", "Builder", "Disk", "DiskMaker", "DiskOptions", "DiskProgress",
    "ImageInfo", "ImageMeta", "LayerRef", "OCIConfig", "PullPolicy", "Store", "disk_paths", "gc",
    "get_registry_cache", "list_registry_cache", "remove_registry_cache", "save_registry_cache",
    "write_squashfs",
]  # fmt: skip
