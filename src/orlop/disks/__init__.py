"""Disks for virtual machines: an image as filesystems in files or on block devices."""

from orlop.disks.make import Disk, DiskMaker, DiskProgress, disk_paths
from orlop.disks.options import DiskOptions
from orlop.disks.squashfs import write_squashfs

__all__ = ["Disk", "DiskMaker", "DiskOptions", "DiskProgress", "disk_paths", "write_squashfs"]
