"""Which image of an index is meant: from the top-level descriptor down to manifest and config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError, NotFoundError, UnsupportedError
from orlop.mediatype import is_attestation, is_config, is_index, is_manifest
from orlop.platform import choose, matches
from orlop.spec.config import ImageConfig, check_layers
from orlop.spec.document import decode_document, require_document_type
from orlop.spec.manifest import Manifest

if TYPE_CHECKING:
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.index import Index
    from orlop.transfer.source import ImageSource

MAX_INDEX_DEPTH: Final = 8
"""How many indexes may lie one inside the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One image for one platform, with all its documents.

    Attributes:
        target: The top-level descriptor: what the image's name means.
        documents: Descriptor and raw bytes of each index on the way, the manifest and the config,
            from the top down; each but the first is named by the one before it.
        manifest: The image manifest.
        config: The image config.
    """

    target: Descriptor
    documents: tuple[tuple[Descriptor, bytes], ...]
    manifest: Manifest
    config: ImageConfig

    @property
    def manifest_descriptor(self) -> Descriptor:
        """The descriptor of the manifest."""
        return self.documents[-2][0]


def select(source: ImageSource, host: Platform, wanted: Platform | None = None) -> Selection:
    """Read the documents of the image that is meant.

    Args:
        source: Where the image is.
        host: The platform of this machine, which decides where `wanted` does not.
        wanted: The platform that the image must have.

    Raises:
        NotFoundError: No image of an index fits the platform.
        UnsupportedError: What is there is no image that can be unpacked.
        InvalidDocumentError: A document is broken.
        LimitExceededError: Indexes lie deeper than `MAX_INDEX_DEPTH`.

    Spec: image-spec v1.1, image-index.md ("the first matching entry SHOULD be used").
    """
    descriptor = target = source.resolve()
    documents: list[tuple[Descriptor, bytes]] = []
    while True:
        require_document_type(descriptor.media_type)
        raw = source.read(descriptor)
        document = decode_document(raw, descriptor.media_type)
        documents.append((descriptor, raw))
        if isinstance(document, Manifest):
            break
        if len(documents) > MAX_INDEX_DEPTH:
            raise LimitExceededError(
                f"the indexes of {target.digest} lie too deep",
                limit="MAX_INDEX_DEPTH",
                value=MAX_INDEX_DEPTH,
            )
        descriptor = _choose(document, descriptor, wanted or host)
    if not is_config(document.config.media_type):
        kind = document.artifact_type or document.config.media_type
        raise UnsupportedError(
            f"{descriptor.digest} is an artifact of type {kind}, not an image",
            hint="only images have layers that can be unpacked and mounted",
        )
    raw = source.read(document.config)
    config = ImageConfig.decode(raw)
    check_layers(document, config)
    _check_platform(config, wanted, target)
    documents.append((document.config, raw))
    return Selection(target=target, documents=tuple(documents), manifest=document, config=config)


def _choose(index: Index, descriptor: Descriptor, platform: Platform) -> Descriptor:
    candidates = [
        child
        for child in index.manifests
        if (is_manifest(child.media_type) or is_index(child.media_type)) and not is_note(child)
    ]
    if len(candidates) == 1 and candidates[0].platform is None:
        return candidates[0]
    number = choose(platform, [child.platform for child in candidates])
    if number is None:
        there = sorted({str(child.platform) for child in candidates if child.platform})
        raise NotFoundError(
            f"{descriptor.digest} has no image for {platform}",
            hint=f"choose with --platform: {', '.join(there)}" if there else None,
        )
    return candidates[number]


def is_note(child: Descriptor) -> bool:
    """Whether a manifest only tells something about another one (a BuildKit attestation)."""
    return is_attestation(child.media_type) or "vnd.docker.reference.type" in child.annotations


def _check_platform(config: ImageConfig, wanted: Platform | None, target: Descriptor) -> None:
    if wanted is not None and not matches(wanted, config.platform):
        raise NotFoundError(
            f"{target.digest} is an image for {config.platform}, not for {wanted}",
            hint=f"leave --platform away, or say --platform {config.platform}",
        )
