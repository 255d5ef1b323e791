"""Content by digest: stores of blobs, and the resumable ingests that fill them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.content.directory import DigestDirectory, Trash, ensure_directory
    from orlop.content.filling import fill
    from orlop.content.info import (
        INFO_FIELDS,
        STATUS_FIELDS,
        Info,
        IngestStatus,
        info_fields,
        status_fields,
    )
    from orlop.content.local import LocalContent
    from orlop.content.memory import MemoryContent
    from orlop.content.protocol import (
        MAX_READ_SIZE,
        ContentStore,
        Ingest,
        Ingester,
        LabelledContent,
        LabelledIngest,
        Manager,
        Provider,
        ReaderAt,
    )
    from orlop.content.verify import VerifyingReader
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.content.directory": "DigestDirectory Trash ensure_directory",
            "orlop.content.filling": "fill",
            "orlop.content.info": (
                "INFO_FIELDS STATUS_FIELDS Info IngestStatus info_fields status_fields"
            ),
            "orlop.content.local": "LocalContent",
            "orlop.content.memory": "MemoryContent",
            "orlop.content.protocol": (
                "MAX_READ_SIZE ContentStore Ingest Ingester LabelledContent "
                "LabelledIngest Manager Provider ReaderAt"
            ),
            "orlop.content.verify": "VerifyingReader",
        }
    )

__all__ = [
    "INFO_FIELDS", "MAX_READ_SIZE", "STATUS_FIELDS", "ContentStore", "DigestDirectory", "Info",
    "Ingest", "IngestStatus", "Ingester", "LabelledContent", "LabelledIngest", "LocalContent",
    "Manager", "MemoryContent", "Provider", "ReaderAt", "Trash", "VerifyingReader",
    "ensure_directory", "fill", "info_fields", "status_fields",
]  # fmt: skip
