"""Images of registries, layouts and archives, as caches take them; and the rules of fetching."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from orlop.digest import Digest, digest_of
from orlop.errors import (
    DigestMismatchError,
    InvalidDigestError,
    InvalidReferenceError,
    NotFoundError,
    SizeMismatchError,
)
from orlop.platform import Platform

if TYPE_CHECKING:
    from types import TracebackType

    from orlop.bundle.cache import Digests, Images
    from orlop.bundle.protocols import BundleImage
    from orlop.bundle.stored import PullRules
    from orlop.images import BlobStream
    from orlop.spec.config import ImageConfig
    from orlop.spec.descriptor import Descriptor
    from orlop.transfer import ImageSource, Selection


class SourceImage:
    """An image of a place that is open.

    Args:
        source: The place.
        selection: Which image of it.
    """

    def __init__(self, source: ImageSource, selection: Selection) -> None:
        self.source = source
        self.selection = selection

    @property
    def digest(self) -> Digest:
        """The digest of its manifest."""
        return self.selection.manifest_descriptor.digest

    @property
    def config(self) -> ImageConfig:
        """How to run it, and which layers it has."""
        return self.selection.config

    def open_layer(self, number: int) -> VerifiedStream:
        """The bytes of a layer as they are stored, the base 0."""
        descriptor = self.selection.manifest.layers[number]
        return VerifiedStream(self.source.open(descriptor), descriptor)


class VerifiedStream:
    """A blob's stream that fails at its end where it was not what its descriptor says.

    Args:
        stream: The blob, from its beginning; closed with this one.
        descriptor: What it should be.
    """

    def __init__(self, stream: BlobStream, descriptor: Descriptor) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self._state = descriptor.digest.hasher()
        self._size = 0

    def read(self, size: int, /) -> bytes:
        """The next bytes; none at the end.

        Raises:
            SizeMismatchError: There are more or fewer bytes than there should be.
            DigestMismatchError: They are others.
        """
        piece = self._stream.read(size)
        self._size += len(piece)
        self._state.update(piece)
        expected = self._descriptor
        if self._size > expected.size or (not piece and self._size != expected.size):
            raise SizeMismatchError(
                f"size of {expected.digest}", expected=expected.size, actual=self._size
            )
        if not piece and (actual := digest_of(self._state)) != expected.digest:
            raise DigestMismatchError("layer", expected=expected.digest, actual=actual)
        return piece

    def __enter__(self) -> Self:
        self._stream.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self._stream.__exit__(kind, error, traceback)


def fetch_image(
    digests: Digests, images: Images, reference: str, rules: PullRules | None = None
) -> BundleImage:
    """An image out of a cache, fetched into it as the rules have it.

        fetch_image(DigestStore(root), ImageCache(root), "docker.io/library/debian:12")

    Where images are fetched always, the reference is looked up each time, and what the cache has of
    the image is not fetched again. Whatever else than that an image is not there is an error, and
    no reason to fetch it.

    Args:
        digests: What references stood for.
        images: The images.
        reference: What `Store.pull` takes.
        rules: When and how; where it is missing and anonymously where None.

    Raises:
        NotFoundError: It is not there, and may not be fetched; or the place has none.
        OrlopError: It could not be fetched; as `ImageCache.write_image` as well.
        OSError: It could not be kept.
    """
    from orlop.bundle.stored import PullRules

    rules = rules or PullRules()
    if rules.policy != "always":
        try:
            return images.image(_pinned(reference) or digests.hash(reference))
        except NotFoundError:
            if rules.policy == "never":
                raise
    from orlop.transfer import SourceOptions, open_image, select

    wanted = None if rules.platform is None else Platform.parse(rules.platform)
    with open_image(reference, rules.source or SourceOptions()) as opened:
        selection = select(opened.source, Platform.of_machine(os.uname().machine), wanted)
        found = SourceImage(opened.source, selection)
        images.write_image(found)
        digests.write_hash(reference, found.digest)
    return images.image(found.digest)


def _pinned(reference: str) -> Digest | None:
    """The digest that a reference has itself."""
    from orlop.reference import Reference

    try:
        return Reference.parse(reference).digest
    except (InvalidReferenceError, InvalidDigestError):
        return None
