"""Where content comes from: the little that images ask of a store, a layout or a registry.

Whatever has these methods will do, such as every store of `orlop.content`. A source of another
shape is adapted in a few lines; whatever it gives is verified here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, final

from orlop.digest import Digest
from orlop.errors import DigestMismatchError, LimitExceededError, OrlopError, SizeMismatchError
from orlop.spec.document import decode_document
from orlop.spec.json import MAX_DOCUMENT_SIZE

if TYPE_CHECKING:
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.index import Index
    from orlop.spec.manifest import Manifest


class Provider(Protocol):
    """Documents by digest; several threads may read from it at once."""

    def read(self, digest: Digest, size: int, /) -> bytes:
        """The whole of a blob of this length in bytes.

        Raises:
            NotFoundError: It is not there.
        """


class Documents(Protocol):
    """Documents by their descriptors, bounded and verified by whoever gives them."""

    def read(self, descriptor: Descriptor, /) -> bytes:
        """The whole of a document.

        Raises:
            NotFoundError: It is not there.
        """


@final
class ProvidedDocuments:
    """The documents of a provider, read with `read_raw`; see `Documents`."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def read(self, descriptor: Descriptor, /) -> bytes:
        """The whole of a document."""
        return read_raw(self._provider, descriptor)


class Sized(Protocol):
    """What is known about a blob that is stored."""

    @property
    def size(self) -> int:
        """Length in bytes."""


class Inventory(Provider, Protocol):
    """A provider that also knows, without reading, what it has."""

    def stat(self, digest: Digest, /) -> Sized | None:
        """What is known about a blob, or None where it is not there."""


def read_raw(provider: Provider, descriptor: Descriptor) -> bytes:
    """The bytes of a document, verified here, whatever the provider has verified.

    What the descriptor embeds is taken where it is what the descriptor says, and is passed over
    where it is not.

    Raises:
        LimitExceededError: It is larger than a document may be; nothing was read.
        NotFoundError: The provider has not got it.
        SizeMismatchError: It has another length.
        DigestMismatchError: It has other content.
        UnsupportedError: Its digest cannot be computed.

    Spec: image-spec v1.1, descriptor.md, "Verification" and "data".
    """
    embedded = embedded_data(descriptor)
    if embedded is not None:
        return embedded
    if descriptor.size > MAX_DOCUMENT_SIZE:
        raise LimitExceededError(
            f"document {descriptor.digest} has {descriptor.size} bytes",
            limit="MAX_DOCUMENT_SIZE",
            value=MAX_DOCUMENT_SIZE,
        )
    raw = provider.read(descriptor.digest, descriptor.size)
    _verify(raw, descriptor)
    return raw


def read_document(provider: Provider, descriptor: Descriptor) -> Manifest | Index:
    """The manifest or index that a descriptor names, its shape checked.

    Raises:
        InvalidDocumentError: It is neither, could be taken for both, or is not of the media type
            that the descriptor says.
        OrlopError: As `read_raw` and `decode_document`.
    """
    return decode_named(descriptor, read_raw(provider, descriptor))


def decode_named(descriptor: Descriptor, raw: bytes) -> Manifest | Index:
    """The manifest or index in bytes that were read; errors say its digest.

    Raises:
        InvalidDocumentError: As `read_document`.
    """
    try:
        return decode_document(raw, descriptor.media_type)
    except OrlopError as error:
        raise error.inside(str(descriptor.digest)) from None


def embedded_data(descriptor: Descriptor) -> bytes | None:
    """What the descriptor embeds, where its digest and size hold for it; else None."""
    data = descriptor.data
    if data is None or len(data) != descriptor.size or not descriptor.digest.computable:
        return None
    matches = Digest.of(data, descriptor.digest.algorithm) == descriptor.digest
    return data if matches else None


def _verify(raw: bytes, descriptor: Descriptor) -> None:
    if len(raw) != descriptor.size:
        raise SizeMismatchError(
            f"size of {descriptor.digest}", expected=descriptor.size, actual=len(raw)
        )
    actual = Digest.of(raw, descriptor.digest.algorithm)
    if actual != descriptor.digest:
        raise DigestMismatchError("provided content", expected=descriptor.digest, actual=actual)
