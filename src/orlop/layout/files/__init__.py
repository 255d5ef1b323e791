"""What places are made of: files by name, in a directory or in a tar that nobody unpacks."""

from orlop.layout.files.archive import ArchiveFiles
from orlop.layout.files.directory import DirectoryFiles
from orlop.layout.files.extents import Extent, FileExtent, Files, MemoryExtent, read_all
from orlop.layout.files.spool import DEFAULT_SPOOL, open_seekable, spool_stream

__all__ = [
    "DEFAULT_SPOOL", "ArchiveFiles", "DirectoryFiles", "Extent", "FileExtent", "Files",
    "MemoryExtent", "open_seekable", "read_all", "spool_stream",
]  # fmt: skip
