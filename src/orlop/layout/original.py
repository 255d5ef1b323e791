"""The original manifests in an archive that is an OCI layout as well, as Docker 25 and later write.

They are worth more than `manifest.json`: with them an image keeps its digest. But an index may
list platforms that were not saved, and manifests may lack their layers, so each is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError
from orlop.layout.documents import read_document
from orlop.layout.oci import INDEX_FILE, LAYOUT_FILE, blob_path, read_index
from orlop.mediatype import is_index, is_manifest, is_nondistributable
from orlop.spec.index import Index
from orlop.spec.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.layout.files import Files
    from orlop.layout.place import Place
    from orlop.spec.descriptor import Descriptor

MAX_ORIGINALS: Final = 10_000
"""Most manifests and indexes that are read to find those of the saved images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A manifest of the layout inside the archive.

    Attributes:
        top: The descriptor in `index.json`: of the manifest, or of an index with it.
        descriptor: The manifest's own.
        manifest: What it says.
        whole: Whether everything below `top` was saved.
    """

    top: Descriptor
    descriptor: Descriptor
    manifest: Manifest
    whole: bool


def read_originals(place: Place, files: Files, *, limit: int = MAX_ORIGINALS) -> list[Original]:
    """Every manifest that is whole, in the order of `index.json`; none where there is no layout.

    Raises:
        InvalidDocumentError: The layout's documents are broken.
        VerificationError: A document is not what its descriptor says.
        LimitExceededError: There are too many.
    """
    if files.size(LAYOUT_FILE) is None or files.size(INDEX_FILE) is None:
        return []
    reader = _Reader(files, limit)
    return [
        original
        for top in read_index(place, files).manifests
        for original in reader.iter_below(top)
    ]


class _Reader:
    def __init__(self, files: Files, limit: int) -> None:
        self._files = files
        self._limit = limit
        self._left = limit

    def iter_below(self, top: Descriptor) -> Iterator[Original]:
        children = self._children(top)
        found = [(child, self._manifest(child)) for child in children]
        whole = all(manifest is not None for _, manifest in found)
        for child, manifest in found:
            if manifest is not None:
                yield Original(top=top, descriptor=child, manifest=manifest, whole=whole)

    def _children(self, top: Descriptor) -> tuple[Descriptor, ...]:
        if not is_index(top.media_type) or not self._holds(top):
            return (top,)
        return Index.decode(self._read(top), top.media_type).manifests

    def _manifest(self, descriptor: Descriptor) -> Manifest | None:
        """The manifest, if it and everything below it was saved."""
        if not is_manifest(descriptor.media_type) or not self._holds(descriptor):
            return None
        manifest = Manifest.decode(self._read(descriptor), descriptor.media_type)
        parts = (manifest.config, *manifest.layers)
        return manifest if all(map(self._holds_or_need_not, parts)) else None

    def _holds(self, descriptor: Descriptor) -> bool:
        return self._files.size(blob_path(descriptor)) is not None

    def _holds_or_need_not(self, descriptor: Descriptor) -> bool:
        return self._holds(descriptor) or is_nondistributable(descriptor.media_type)

    def _read(self, descriptor: Descriptor) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise LimitExceededError(
                "the archive has too many manifests", limit="MAX_ORIGINALS", value=self._limit
            )
        with self._files.open(blob_path(descriptor)) as extent:
            return read_document(extent, descriptor)
