"""EROFS: images that Linux mounts read-only, written as indexes over tars and read without it."""

from orlop.fsimage.erofs.access import ReadAt
from orlop.fsimage.erofs.check import check_image
from orlop.fsimage.erofs.devices import Device
from orlop.fsimage.erofs.read import ErofsReader
from orlop.fsimage.erofs.write import WrittenImage, write_index
from orlop.fsimage.erofs.xattrs import representable

__all__ = [
    "Device", "ErofsReader", "ReadAt", "WrittenImage", "check_image", "representable",
    "write_index",
]  # fmt: skip
