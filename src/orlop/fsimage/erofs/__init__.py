"""EROFS: images that Linux mounts read-only, in full or as indexes over tars; read without it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.fsimage.erofs.access import ReadAt
    from orlop.fsimage.erofs.check import check_image
    from orlop.fsimage.erofs.codecs import Compression, make_codec
    from orlop.fsimage.erofs.compressed import Codec
    from orlop.fsimage.erofs.devices import Device
    from orlop.fsimage.erofs.image import WrittenErofs, write_image
    from orlop.fsimage.erofs.read import ErofsReader
    from orlop.fsimage.erofs.write import WrittenImage, write_index
    from orlop.fsimage.erofs.xattrs import representable
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.fsimage.erofs.access": "ReadAt",
            "orlop.fsimage.erofs.check": "check_image",
            "orlop.fsimage.erofs.codecs": "Compression make_codec",
            "orlop.fsimage.erofs.compressed": "Codec",
            "orlop.fsimage.erofs.devices": "Device",
            "orlop.fsimage.erofs.image": "WrittenErofs write_image",
            "orlop.fsimage.erofs.read": "ErofsReader",
            "orlop.fsimage.erofs.write": "WrittenImage write_index",
            "orlop.fsimage.erofs.xattrs": "representable",
        }
    )

__all__ = [
    "Codec", "Compression", "Device", "ErofsReader", "ReadAt", "WrittenErofs", "WrittenImage",
    "check_image", "make_codec", "representable", "write_image", "write_index",
]  # fmt: skip
