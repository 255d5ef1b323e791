"""Which image is meant: from what a name stands for down to one manifest, config and rootfs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.errors import NotFoundError, OrlopError
from orlop.images.provider import ProvidedDocuments, decode_named, read_raw
from orlop.images.walk import Visits, walk
from orlop.mediatype import is_attestation, is_index, is_manifest
from orlop.platform import matches, ranked
from orlop.spec.config import ImageConfig
from orlop.spec.document import require_document_type
from orlop.spec.manifest import Manifest

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.images.provider import Documents, Provider
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.index import Index

_TOLD: Final = 10
"""Platforms that a hint lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One image out of those that a name stands for.

    Attributes:
        documents: What leads to it, from the top down: indexes, then the manifest.
        manifest: The manifest.
    """

    documents: tuple[Descriptor, ...]
    manifest: Manifest

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's descriptor."""
        return self.documents[-1]


def choose(provider: Provider, target: Descriptor, platform: Platform | None = None) -> Choice:
    """The image that suits a platform best; without a platform, the first.

    A manifest that is itself the target is what was meant, whatever it runs on. Of an index those
    whose descriptors say a fitting platform come first. Where there are none, indexes inside and
    manifests of no said platform are looked into, and their configs tell. Attestations, and what
    is neither manifest nor index, are no candidates.

    Raises:
        NotFoundError: No image fits, or the provider lacks a document that it takes to know.
        UnsupportedError: The target is neither manifest nor index.
        LimitExceededError: Indexes lie too deep, or list too much.
        OrlopError: As `read_document`.

    Spec: image-spec v1.1, image-index.md ("the first matching entry SHOULD be used").
    """
    return choose_from(ProvidedDocuments(provider), target, platform)


def choose_from(
    documents: Documents, target: Descriptor, platform: Platform | None = None
) -> Choice:
    """The image that `choose` chooses, out of documents that are verified already.

    Raises:
        OrlopError: As `choose`.
    """
    require_document_type(target.media_type)
    return _Search(documents, target, platform).run()


def manifest(
    provider: Provider, descriptor: Descriptor, platform: Platform | None = None
) -> Manifest:
    """The manifest of the image that `choose` chooses; raises as it does."""
    return choose(provider, descriptor, platform).manifest


def config(
    provider: Provider, descriptor: Descriptor, platform: Platform | None = None
) -> Descriptor:
    """Where the config of the image is that `choose` chooses; raises as it does."""
    return manifest(provider, descriptor, platform).config


def read_config(provider: Provider, config_descriptor: Descriptor) -> ImageConfig:
    """The config of an image.

    Raises:
        UnsupportedError: It is another's than a container image's.
        InvalidDocumentError: It is broken.
        OrlopError: As `read_raw`.
    """
    return decode_config(config_descriptor, read_raw(provider, config_descriptor))


def decode_config(config_descriptor: Descriptor, raw: bytes) -> ImageConfig:
    """The config of an image in bytes that were read; errors say its digest.

    Raises:
        OrlopError: As `read_config`.
    """
    try:
        return ImageConfig.decode(raw, config_descriptor.media_type)
    except OrlopError as error:
        raise error.inside(str(config_descriptor.digest)) from None


def rootfs(provider: Provider, config_descriptor: Descriptor) -> tuple[Digest, ...]:
    """The diffIDs of the layers that make an image's root filesystem, the base first.

    Raises:
        OrlopError: As `read_config`.

    Spec: image-spec v1.1, config.md, "rootfs".
    """
    return read_config(provider, config_descriptor).diff_ids


def platforms(provider: Provider, descriptor: Descriptor) -> tuple[Platform, ...]:
    """What the images run on, normalised, each platform once, in the order of the documents.

    Where a descriptor does not say it, the config does. What is for no platform at all
    (`unknown/unknown`, as attestations are) is left out.

    Raises:
        OrlopError: As `read_document` and `read_config`.
    """
    return _platforms(ProvidedDocuments(provider), descriptor)


def _platforms(documents: Documents, descriptor: Descriptor) -> tuple[Platform, ...]:
    found: dict[Platform, None] = {}

    def look(descriptor: Descriptor) -> tuple[Descriptor, ...]:
        if not is_candidate(descriptor):
            return ()
        platform = descriptor.platform
        if platform is None:
            document = decode_named(descriptor, documents.read(descriptor))
            if not isinstance(document, Manifest):
                return document.manifests
            if not document.is_image:
                return ()
            platform = decode_config(document.config, documents.read(document.config)).platform
        if "unknown" not in {platform.os, platform.architecture}:
            found[platform.normalized()] = None
        return ()

    walk(look, descriptor)
    return tuple(found)


def is_candidate(descriptor: Descriptor) -> bool:
    """Whether an entry of an index may be, or hold, an image, and not just tell about one."""
    media_type = descriptor.media_type
    return (is_manifest(media_type) or is_index(media_type)) and not is_note(descriptor)


def is_note(descriptor: Descriptor) -> bool:
    """Whether an entry of an index only tells about another (BuildKit's attestations)."""
    return (
        is_attestation(descriptor.media_type)
        or "vnd.docker.reference.type" in descriptor.annotations
    )


class _Search:
    """One choice: depth first, those that say a fitting platform before those that say none."""

    def __init__(self, documents: Documents, target: Descriptor, platform: Platform | None) -> None:
        self._documents = documents
        self._target = target
        self._platform = platform
        self._waiting: list[tuple[Descriptor, ...]] = [(target,)]
        self._told_by_config: list[tuple[Platform, Choice]] = []
        self._absent: NotFoundError | None = None

    def run(self) -> Choice:
        visits = Visits()
        while self._waiting:
            documents = self._waiting.pop()
            if visits.enter(documents[-1], len(documents)):
                found = self._look(documents)
                if found is not None:
                    return found
        return self._best()

    def _look(self, documents: tuple[Descriptor, ...]) -> Choice | None:
        """What a document settles at once; what it leaves open is kept for later."""
        descriptor = documents[-1]
        try:
            document = decode_named(descriptor, self._documents.read(descriptor))
            if isinstance(document, Manifest):
                return self._consider(Choice(documents=documents, manifest=document))
        except NotFoundError as error:
            if descriptor is self._target or descriptor.platform is not None:
                raise
            self._absent = self._absent or error
            return None
        self._waiting += [(*documents, child) for child in reversed(self._candidates(document))]
        return None

    def _candidates(self, index: Index) -> list[Descriptor]:
        found = [child for child in index.manifests if is_candidate(child)]
        if self._platform is None:
            return found
        return [found[at] for at in ranked(self._platform, [child.platform for child in found])]

    def _consider(self, choice: Choice) -> Choice | None:
        """The choice where its descriptor is enough to know; else its config is asked."""
        wanted = self._platform
        if wanted is None or len(choice.documents) == 1 or choice.descriptor.platform is not None:
            return choice
        if choice.manifest.is_image:
            config = choice.manifest.config
            platform = decode_config(config, self._documents.read(config)).platform
            if matches(wanted, platform):
                self._told_by_config.append((platform, choice))
        return None

    def _best(self) -> Choice:
        if self._platform is not None and self._told_by_config:
            order = ranked(self._platform, [platform for platform, _ in self._told_by_config])
            return self._told_by_config[order[0]][1]
        if self._absent is not None:
            raise self._absent
        what = "image" if self._platform is None else f"image for {self._platform}"
        raise NotFoundError(f"{self._target.digest} has no {what}", hint=self._hint())

    def _hint(self) -> str | None:
        try:
            there = sorted(str(each) for each in _platforms(self._documents, self._target))
        except OrlopError:
            return None
        return f"it has images for {', '.join(there[:_TOLD])}" if there else None
