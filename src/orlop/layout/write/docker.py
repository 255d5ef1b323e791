"""`manifest.json` of an archive that is an OCI layout as well, as Docker 25 and later write it.

The layers are the original blobs, compressed or not, so that digests are kept; whoever reads the
archive by `manifest.json` finds the same bytes there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orlop.errors import LimitExceededError, UnsupportedError
from orlop.layout.driver.path import blob_path
from orlop.layout.read.saved import MAX_SAVED_IMAGES
from orlop.mediatype import is_index, is_manifest
from orlop.platform import choose
from orlop.spec.index import Index
from orlop.spec.json import MAX_DOCUMENT_SIZE
from orlop.spec.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orlop.digest import Digest
    from orlop.layout.write.named import NamedImage
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor


@dataclass(slots=True)
class _Element:
    manifest: Manifest
    names: dict[str, None] = field(default_factory=dict)

    def encode(self) -> dict[str, object]:
        return {
            "Config": blob_path(self.manifest.config.digest),
            "RepoTags": list(self.names) or None,
            "Layers": [blob_path(layer.digest) for layer in self.manifest.layers],
        }


def docker_named(images: Sequence[NamedImage]) -> list[NamedImage]:
    """The images by the names that Docker can give them: full references alone."""
    return [replace(image, names=image.full_names, tags=()) for image in images]


def encode_saved(
    images: Sequence[NamedImage], documents: Mapping[Digest, bytes], platform: Platform
) -> bytes:
    """The file for these images, one element for each manifest, with all names that it has.

    Args:
        images: What the archive holds.
        documents: The manifests and indexes that it holds.
        platform: Of an index, the image for this platform is the one; else its first.

    Raises:
        UnsupportedError: One of them is no image, but another artifact.
        LimitExceededError: There are more than can be read again.
    """
    elements: dict[Digest, _Element] = {}
    for image in images:
        descriptor = _choose(image.target, documents, platform)
        if descriptor.digest not in elements:
            elements[descriptor.digest] = _Element(_read(descriptor, documents))
        elements[descriptor.digest].names |= dict.fromkeys(image.names)
    saved = [element.encode() for element in elements.values()]
    raw = json.dumps(saved, separators=(",", ":")).encode()
    _check_limit(f"a list of {len(saved)} images", len(saved), "MAX_SAVED_IMAGES", MAX_SAVED_IMAGES)
    _check_limit(f"a list of {len(raw)} bytes", len(raw), "MAX_DOCUMENT_SIZE", MAX_DOCUMENT_SIZE)
    return raw


def _check_limit(what: str, number: int, limit: str, most: int) -> None:
    """Let nothing be written that could not be read again."""
    if number > most:
        raise LimitExceededError(
            f"{what} is too much for a docker-archive",
            limit=limit,
            value=most,
            hint="write an oci-archive, or several",
        )


def _read(descriptor: Descriptor, documents: Mapping[Digest, bytes]) -> Manifest:
    manifest = Manifest.decode(documents[descriptor.digest], descriptor.media_type)
    if not manifest.is_image:
        raise UnsupportedError(
            f"{descriptor.digest} is an artifact of type {manifest.kind}, which no docker-archive "
            "can hold",
            hint="write an oci-archive",
        )
    return manifest


def _choose(
    target: Descriptor, documents: Mapping[Digest, bytes], platform: Platform
) -> Descriptor:
    candidates = _manifests(target, documents)
    if not candidates:
        raise UnsupportedError(
            f"{target.digest} lists no image, so that no docker-archive can hold it",
            hint="write an oci-archive",
        )
    return candidates[choose(platform, [each.platform for each in candidates]) or 0]


def _manifests(target: Descriptor, documents: Mapping[Digest, bytes]) -> list[Descriptor]:
    """The manifests below a target that the archive holds, each once, in their order."""
    found: dict[tuple[Digest, str], Descriptor] = {}
    pending = [target]
    while pending:
        descriptor = pending.pop()
        key = (descriptor.digest, descriptor.media_type)
        if descriptor.digest not in documents or key in found:
            continue
        found[key] = descriptor
        if is_index(descriptor.media_type):
            index = Index.decode(documents[descriptor.digest], descriptor.media_type)
            pending += reversed(index.manifests)
    return [descriptor for descriptor in found.values() if is_manifest(descriptor.media_type)]
