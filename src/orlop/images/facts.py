"""What the documents of an image say, so that a record of it can be found, listed and kept by."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orlop.digest import Digest, chain_id, empty_digest
from orlop.errors import LimitExceededError, OrlopError
from orlop.images.choice import choose, read_config
from orlop.images.handlers import children
from orlop.images.sources import layer_sources
from orlop.images.walk import walk
from orlop.spec.members import MAX_INT64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.images.choice import Choice
    from orlop.images.provider import Provider
    from orlop.metadata.layers import LayerSource
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an image's documents say, for the columns that it is found and listed by.

    Attributes:
        manifest_digest: The manifest of the image, where it is there.
        image_id: Digest of the config; of the target where that is not known.
        diff_ids: The layers' diffIDs, the base first; None where the config is not there.
        sources: What the layers come in, one for each; none where the config is not there.
        platform: What it runs on; empty where unknown.
        size: Bytes of its documents and layers; of the target where they are not known.
        named: What each document names that is there and leads to it, or to another image of its
            index.
    """

    manifest_digest: Digest | None = None
    image_id: Digest
    diff_ids: tuple[Digest, ...] | None = None
    sources: tuple[LayerSource, ...] = ()
    platform: str = ""
    size: int
    named: Mapping[Digest, frozenset[Digest]] = field(default_factory=dict)

    @property
    def chain_id(self) -> Digest | None:
        """What identifies the stack of layers; None where they are not known."""
        return None if self.diff_ids is None else chain_id(self.diff_ids) or empty_digest()


def gather(provider: Provider, target: Descriptor, platform: Platform | None) -> Facts:
    """What is known of an image; a name may stand for content that is not there, or no image."""
    return replace(_describe(provider, target, platform), named=_read_named(provider, target))


def _describe(provider: Provider, target: Descriptor, platform: Platform | None) -> Facts:
    try:
        choice = choose(provider, target, platform)
    except OrlopError:
        return Facts(image_id=target.digest, size=target.size)
    if not choice.manifest.is_image:
        return Facts(
            manifest_digest=choice.descriptor.digest, image_id=target.digest, size=_size(choice)
        )
    return _describe_image(provider, choice)


def _describe_image(provider: Provider, choice: Choice) -> Facts:
    try:
        config = read_config(provider, choice.manifest.config)
    except OrlopError:
        config = None
    diff_ids = None if config is None else config.diff_ids
    sources = layer_sources(choice.manifest.layers)
    said = choice.descriptor.platform if config is None else config.platform
    return Facts(
        manifest_digest=choice.descriptor.digest,
        image_id=choice.manifest.config.digest,
        diff_ids=diff_ids,
        sources=sources if diff_ids is not None and len(sources) == len(diff_ids) else (),
        platform="" if said is None else str(said),
        size=_size(choice),
    )


def _size(choice: Choice) -> int:
    manifest = choice.manifest
    parts = (*choice.documents, manifest.config, *manifest.layers)
    return min(sum({part.digest: part.size for part in parts}.values()), MAX_INT64)


def _read_named(provider: Provider, target: Descriptor) -> dict[Digest, frozenset[Digest]]:
    found: dict[Digest, frozenset[Digest]] = {}

    def note(descriptor: Descriptor) -> tuple[Descriptor, ...]:
        try:
            below = children(provider, descriptor)
        except OrlopError:
            return ()
        if below:
            found[descriptor.digest] = frozenset(child.digest for child in below)
        return below

    with suppress(LimitExceededError):
        walk(note, target)
    return found
