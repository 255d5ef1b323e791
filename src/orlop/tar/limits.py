"""What an archive may ask of its reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ATTRIBUTE_COST: Final = 128
"""Bytes that an extended attribute counts for beside its name and value: what Python takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TarLimits:
    """Bounds of everything in a tar whose length or count its maker chooses.

    The bounds of single names are those of Linux: an archive over them could not be unpacked.

    Attributes:
        max_entries: Entries of the archive.
        max_metadata_size: Bytes of all paths, link targets and extended attributes together, each
            attribute with `ATTRIBUTE_COST`; this bounds the memory that an archive can take.
        max_header_size: Bytes of one extended header (PAX, or a GNU long name).
        max_path_size: Bytes of a path or link target; PATH_MAX without its final NUL.
        max_name_size: Bytes of one component of a path; NAME_MAX.
        max_xattr_name_size: Bytes of an extended attribute's name; XATTR_NAME_MAX.
        max_xattr_value_size: Bytes of an extended attribute's value; XATTR_SIZE_MAX.
        max_xattr_list_size: Bytes of all attribute names of one inode, each with its NUL;
            XATTR_LIST_MAX.
        max_segments: Stored pieces of all sparse files of the archive together.
    """

    max_entries: int = 10_000_000
    max_metadata_size: int = 1 << 30
    max_header_size: int = 1 << 20
    max_path_size: int = 4095
    max_name_size: int = 255
    max_xattr_name_size: int = 255
    max_xattr_value_size: int = 65536
    max_xattr_list_size: int = 65536
    max_segments: int = 1_000_000
