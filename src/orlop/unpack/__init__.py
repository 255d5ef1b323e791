"""Images unpacked into directories, and directories repacked into images."""

from orlop.unpack.repack import Repacked, RepackOptions, repack
from orlop.unpack.scan import Skipped
from orlop.unpack.state import Form
from orlop.unpack.unpacker import Unpacked, Unpacker, find_layer, state_for

__all__ = [
    "Form", "RepackOptions", "Repacked", "Skipped", "Unpacked", "Unpacker", "find_layer", "repack",
    "state_for",
]  # fmt: skip
