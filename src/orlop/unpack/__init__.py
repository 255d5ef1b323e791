"""Images unpacked into directories, and directories repacked into images."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.unpack.repacking import Repacked, RepackOptions, repack
    from orlop.unpack.scan import Skipped
    from orlop.unpack.state import Form
    from orlop.unpack.unpacker import Unpacked, Unpacker, UnpackProgress, find_layer, state_for
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.unpack.repacking": "Repacked RepackOptions repack",
            "orlop.unpack.scan": "Skipped",
            "orlop.unpack.state": "Form",
            "orlop.unpack.unpacker": "UnpackProgress Unpacked Unpacker find_layer state_for",
        }
    )

__all__ = [
    "Form", "RepackOptions", "Repacked", "Skipped", "UnpackProgress", "Unpacked", "Unpacker",
    "find_layer", "repack", "state_for",
]  # fmt: skip
