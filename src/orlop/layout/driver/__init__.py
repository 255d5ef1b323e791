"""Forms of an image layout: directory, tar, memory, and what makes another one."""

from orlop.layout.driver.archive import ArchiveDriver, ArchiveReader
from orlop.layout.driver.directory import DirectoryDriver
from orlop.layout.driver.memory import MemoryDriver, MemoryFile
from orlop.layout.driver.path import BLOBS, INDEX_FILE, LAYOUT_FILE, blob_path, check_path
from orlop.layout.driver.protocol import (
    BlobWriter,
    Cleanable,
    Dated,
    Enumerable,
    ImageDriver,
    Lockable,
    Reader,
    Shareable,
    Structured,
    TarWriter,
    Writer,
)
from orlop.layout.driver.stage import Stage, StagedBlobWriter, StagedWriter
from orlop.layout.driver.tar import TarDriver

__all__ = [
    "BLOBS", "INDEX_FILE", "LAYOUT_FILE", "ArchiveDriver", "ArchiveReader", "BlobWriter",
    "Cleanable", "Dated", "DirectoryDriver", "Enumerable", "ImageDriver", "Lockable",
    "MemoryDriver", "MemoryFile", "Reader", "Shareable", "Stage", "StagedBlobWriter",
    "StagedWriter", "Structured", "TarDriver", "TarWriter", "Writer", "blob_path", "check_path",
]  # fmt: skip
