"""Which image is meant: from the top-level descriptor down to manifest and config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from orlop.errors import NotFoundError, UnsupportedError
from orlop.images.choice import choose_from, decode_config
from orlop.platform import matches
from orlop.spec.config import ImageConfig, check_layers

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.manifest import Manifest
    from orlop.transfer.source import ImageSource

_KEPT_SIZE: Final = 32 << 20


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
    """Read the documents of the image that is meant, as `orlop.images.choose` chooses it.

    Args:
        source: Where the image is.
        host: The platform of this machine, which decides where `wanted` does not.
        wanted: The platform that the image must have.

    Raises:
        NotFoundError: No image of an index fits the platform.
        UnsupportedError: What is there is no image that can be unpacked.
        InvalidDocumentError: A document is broken.
        LimitExceededError: Indexes lie too deep, or list too much.
    """
    target = source.resolve()
    documents = _KeptDocuments(source)
    choice = choose_from(documents, target, wanted or host)
    manifest = choice.manifest
    if not manifest.is_image:
        raise UnsupportedError(
            f"{choice.descriptor.digest} is an artifact of type {manifest.kind}, not an image",
            hint="only images have layers that can be unpacked and mounted",
        )
    config = decode_config(manifest.config, documents.read(manifest.config))
    check_layers(manifest, config)
    _check_platform(config, wanted, target)
    way = (*choice.documents, manifest.config)
    return Selection(
        target=target,
        documents=tuple((each, documents.read(each)) for each in way),
        manifest=manifest,
        config=config,
    )


@final
class _KeptDocuments:
    """The documents of a source, read once each, but for what would be too much to keep."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self._kept: dict[tuple[Digest, str, int], bytes] = {}
        self._room = _KEPT_SIZE

    def read(self, descriptor: Descriptor, /) -> bytes:
        key = descriptor.digest, descriptor.media_type, descriptor.size
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        raw = self._source.read(descriptor)
        if len(raw) <= self._room:
            self._room -= len(raw)
            self._kept[key] = raw
        return raw


def _check_platform(config: ImageConfig, wanted: Platform | None, target: Descriptor) -> None:
    if wanted is not None and not matches(wanted, config.platform):
        raise NotFoundError(
            f"{target.digest} is an image for {config.platform}, not for {wanted}",
            hint=f"leave --platform away, or say --platform {config.platform}",
        )
