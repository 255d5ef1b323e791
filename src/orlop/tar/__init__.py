"""Tar archives: read strictly and as a stream into the entries of a changeset, and written so."""

from orlop.tar.archive import iter_archive, tree_members
from orlop.tar.limits import TarLimits
from orlop.tar.scan import TarScanner
from orlop.tar.write import END_OF_ARCHIVE, encode_entry, padding

__all__ = [
    "END_OF_ARCHIVE", "TarLimits", "TarScanner", "encode_entry", "iter_archive", "padding",
    "tree_members",
]  # fmt: skip
