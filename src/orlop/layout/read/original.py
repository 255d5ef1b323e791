"""The original manifests in an archive that is an OCI layout as well, as Docker 25 and later write.

They are worth more than `manifest.json`: with them an image keeps its digest. But an index may
list platforms that were not saved, and manifests may lack their layers, so each is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError
from orlop.layout.driver.path import INDEX_FILE, LAYOUT_FILE
from orlop.layout.names import names_of, ref_name_of
from orlop.layout.read.documents import read_document
from orlop.layout.read.oci import blob_path, read_index
from orlop.mediatype import is_index, is_manifest, is_nondistributable
from orlop.spec.index import Index
from orlop.spec.manifest import Manifest

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.layout.files import Files
    from orlop.layout.place import Place
    from orlop.layout.read.documents import Budget
    from orlop.spec.descriptor import Descriptor

MAX_ORIGINALS: Final = 4096
"""Most manifests of one archive; an image has one for each of its names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A manifest of the layout inside the archive.

    Attributes:
        top: The descriptor in `index.json`: of the manifest, or of an index with it.
        descriptor: The manifest's own.
        image_id: The digest of its config.
        is_image: Whether that config is an image's, and no other artifact's.
        layers: Where its layers lie in the layout, the base first.
        names: The full references that `top` gives it.
        tags: What else `top` calls it, if it gives it no full reference.
        whole: Whether everything below `top` was saved.
    """

    top: Descriptor
    descriptor: Descriptor
    image_id: Digest
    is_image: bool
    layers: tuple[str, ...]
    names: tuple[str, ...]
    tags: tuple[str, ...]
    whole: bool


def read_originals(place: Place, files: Files, budget: Budget) -> list[Original]:
    """Every manifest that is whole, in the order of `index.json`; none where there is no layout.

    Raises:
        InvalidDocumentError: The layout's documents are broken.
        VerificationError: A document is not what its descriptor says.
        LimitExceededError: They are over the budget, or too many.
    """
    if files.size(LAYOUT_FILE) is None or files.size(INDEX_FILE) is None:
        return []
    reader = _Reader(files, budget)
    originals: list[Original] = []
    for top in read_index(place, files).manifests:
        originals += reader.read_below(top)
        if len(originals) > MAX_ORIGINALS:
            raise LimitExceededError(
                f"{place.path} has too many manifests", limit="MAX_ORIGINALS", value=MAX_ORIGINALS
            )
    return originals


class _Reader:
    def __init__(self, files: Files, budget: Budget) -> None:
        self._files = files
        self._budget = budget

    def read_below(self, top: Descriptor) -> list[Original]:
        children = self._children(top)
        found = [self._read_manifest(top, child) for child in children]
        originals = [original for original in found if original is not None]
        if len(originals) < len(found):
            return [replace(original, whole=False) for original in originals]
        return originals

    def _children(self, top: Descriptor) -> tuple[Descriptor, ...]:
        if not is_index(top.media_type) or not self._holds(top):
            return (top,)
        return Index.decode(self._read(top), top.media_type).manifests

    def _read_manifest(self, top: Descriptor, descriptor: Descriptor) -> Original | None:
        """The manifest, if it and everything below it was saved."""
        if not is_manifest(descriptor.media_type) or not self._holds(descriptor):
            return None
        manifest = Manifest.decode(self._read(descriptor), descriptor.media_type)
        if not all(map(self._holds_or_need_not, (manifest.config, *manifest.layers))):
            return None
        return Original(
            top=top,
            descriptor=descriptor,
            image_id=manifest.config.digest,
            is_image=manifest.is_image,
            layers=tuple(map(blob_path, manifest.layers)),
            names=names_of(top),
            tags=_tags_of(top),
            whole=True,
        )

    def _holds(self, descriptor: Descriptor) -> bool:
        return self._files.size(blob_path(descriptor)) is not None

    def _holds_or_need_not(self, descriptor: Descriptor) -> bool:
        return self._holds(descriptor) or is_nondistributable(descriptor.media_type)

    def _read(self, descriptor: Descriptor) -> bytes:
        with self._files.open(blob_path(descriptor)) as extent:
            self._budget.spend(extent.size)
            return read_document(extent, descriptor)


def _tags_of(top: Descriptor) -> tuple[str, ...]:
    tag = ref_name_of(top)
    return (tag,) if tag and not names_of(top) else ()
