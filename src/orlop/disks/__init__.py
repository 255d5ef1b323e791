"""Disks for virtual machines, and images of filesystems that are made as a whole."""

from orlop.disks.squashfs import write_squashfs

__all__ = ["write_squashfs"]
