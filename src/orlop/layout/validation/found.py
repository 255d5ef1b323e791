"""Rules that are found broken on the way: of files that are missing or cannot be read.

Spec: image-spec v1.1, image-layout.md, "Content"; annotations.md, "Rules".
"""

from __future__ import annotations

from typing import Final

from orlop.layout.validation.rule import found

LAYOUT_EXISTS: Final = found('image-layout.md, "Content"', "oci-layout exists")
LAYOUT_OBJECT: Final = found('image-layout.md, "Content"', "oci-layout is a JSON object")
INDEX_EXISTS: Final = found('image-layout.md, "Content"', "index.json exists")
BLOBS_EXISTS: Final = found('image-layout.md, "Content"', "the directory blobs exists")
INDEX_OBJECT: Final = found('image-layout.md, "Content"', "an index is a JSON object")
MANIFEST_OBJECT: Final = found('manifest.md, "Image Manifest"', "a manifest is a JSON object")
CONFIG_OBJECT: Final = found('config.md, "Image JSON"', "an image config is a JSON object")
UNIQUE: Final = found('annotations.md, "Rules"', "the keys of annotations are unique")
AGREED: Final = found(
    'considerations.md, "JSON"', "all readers make the same of a document", "note"
)
READABLE: Final = found("orlop", "orlop can read it", "note")
NESTED: Final = found(
    'image-index.md, "Image Index Property Descriptions"', "readers can follow the nest", "note"
)

FOUND: Final = (
    LAYOUT_EXISTS, LAYOUT_OBJECT, INDEX_EXISTS, INDEX_OBJECT, BLOBS_EXISTS, MANIFEST_OBJECT,
    CONFIG_OBJECT, UNIQUE, AGREED, READABLE, NESTED,
)  # fmt: skip
"""What is found on the way, since it is about files that are not there or cannot be read."""
