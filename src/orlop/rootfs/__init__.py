"""Trees into directories, and directories into trees."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.rootfs.copy import copy_tree
    from orlop.rootfs.create import Dropped, OverlayNamespace, XattrPolicy
    from orlop.rootfs.overlay import OverlayForm, escape_marks, obeyed_by_overlay, overlay_form
    from orlop.rootfs.owners import change_node, shift_owners
    from orlop.rootfs.read import read_tree
    from orlop.rootfs.remove import remove_tree
    from orlop.rootfs.stream import StreamReport, StreamWriter
    from orlop.rootfs.upper import open_upper, read_upper
    from orlop.rootfs.write import WriteReport, write_tree
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.rootfs.copy": "copy_tree",
            "orlop.rootfs.create": "Dropped OverlayNamespace XattrPolicy",
            "orlop.rootfs.overlay": "OverlayForm escape_marks obeyed_by_overlay overlay_form",
            "orlop.rootfs.owners": "change_node shift_owners",
            "orlop.rootfs.read": "read_tree",
            "orlop.rootfs.remove": "remove_tree",
            "orlop.rootfs.stream": "StreamReport StreamWriter",
            "orlop.rootfs.upper": "open_upper read_upper",
            "orlop.rootfs.write": "WriteReport write_tree",
        }
    )

__all__ = [
    "Dropped", "OverlayForm", "OverlayNamespace", "StreamReport", "StreamWriter", "WriteReport",
    "XattrPolicy", "change_node", "copy_tree", "escape_marks", "obeyed_by_overlay", "open_upper",
    "overlay_form", "read_tree", "read_upper", "remove_tree", "shift_owners", "write_tree",
]  # fmt: skip
