"""Content by digest: stores of blobs, and the resumable ingests that fill them."""

from orlop.content.directory import DigestDirectory, Trash, ensure_directory
from orlop.content.local import LocalContent
from orlop.content.memory import MemoryContent
from orlop.content.protocol import MAX_READ_SIZE, ContentStore, Info, Ingest, IngestStatus
from orlop.content.verify import VerifyingReader

__all__ = [
    "MAX_READ_SIZE", "ContentStore", "DigestDirectory", "Info", "Ingest", "IngestStatus",
    "LocalContent", "MemoryContent", "Trash", "VerifyingReader", "ensure_directory",
]  # fmt: skip
