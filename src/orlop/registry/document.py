"""Manifests and indexes as a registry answers them: typed, bounded and verified.

Spec: distribution-spec v1.1, "Pulling manifests"; image-spec v1.1, manifest.md, "mediaType".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orlop import mediatype
from orlop.digest import Digest
from orlop.errors import (
    DigestMismatchError,
    InvalidDigestError,
    InvalidDocumentError,
    SizeMismatchError,
)
from orlop.registry.text import shown
from orlop.spec.descriptor import Descriptor
from orlop.spec.json import decode_json

if TYPE_CHECKING:
    from orlop.registry.response import Response

_WANTED: Final = (
    mediatype.OCI_INDEX,
    mediatype.OCI_MANIFEST,
    mediatype.DOCKER_MANIFEST_LIST,
    mediatype.DOCKER_MANIFEST,
)
ACCEPT: Final = ", ".join(_WANTED)
"""What is asked for; a registry that holds an image in several forms chooses one of these."""

_UNSPECIFIC: Final = frozenset(
    {"", "application/json", "application/octet-stream", "binary/octet-stream", "text/plain"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A descriptor, and the bytes that it describes where they came along.

    Args:
        descriptor: Type, digest and size.
        raw: The bytes; None when only the headers were asked for.
    """

    descriptor: Descriptor
    raw: bytes | None = field(default=None, repr=False)


def from_headers(response: Response, wanted: Digest | None) -> Document | None:
    """What a HEAD says about a manifest, None when it does not say everything.

    Args:
        response: The answer.
        wanted: The digest that was asked for, None when it was a tag.

    Raises:
        DigestMismatchError: It is another manifest than the one asked for.
    """
    media_type = content_type(response)
    digest = _header_digest(response)
    length = response.length
    if digest is None or not length or not mediatype.valid(media_type):
        return None
    if media_type in _UNSPECIFIC or not digest.computable:
        return None
    if wanted is not None:
        if digest.algorithm == wanted.algorithm and digest != wanted:
            raise DigestMismatchError(
                "the registry has another manifest", expected=wanted, actual=digest
            )
        digest = wanted
    return Document(descriptor=Descriptor(media_type=media_type, digest=digest, size=length))


def from_body(response: Response, raw: bytes, wanted: Digest | None) -> Document:
    """A manifest that came whole, verified against what was asked for and what was promised.

    Args:
        response: The answer's headers.
        raw: Its body.
        wanted: The digest that was asked for, None when it was a tag.

    Raises:
        DigestMismatchError: The bytes do not have the digest asked for, or the one in
            `Docker-Content-Digest`.
        InvalidDocumentError: The body is no manifest, or its `mediaType` is not the
            `Content-Type`.
        UnsupportedError: The digest asked for cannot be computed.
    """
    promised = _header_digest(response)
    if promised is not None and promised.computable:
        check_digest(raw, promised, response)
    if wanted is not None:
        check_digest(raw, wanted, response)
    digest = wanted or (promised if promised is not None and promised.computable else None)
    return Document(
        descriptor=Descriptor(
            media_type=_media_type(content_type(response), raw),
            digest=digest or Digest.of(raw),
            size=len(raw),
        ),
        raw=raw,
    )


def check_document(response: Response, raw: bytes, descriptor: Descriptor) -> None:
    """Pass when the bytes are what the descriptor says, and the headers do not deny it.

    Raises:
        SizeMismatchError: The length is another.
        DigestMismatchError: The digest is another.
        InvalidDocumentError: `Content-Type` or `mediaType` is another.
        UnsupportedError: The digest cannot be computed.
    """
    if len(raw) != descriptor.size:
        raise SizeMismatchError(
            f"the registry's {descriptor.digest}", expected=descriptor.size, actual=len(raw)
        )
    check_digest(raw, descriptor.digest, response)
    if not (
        mediatype.is_manifest(descriptor.media_type) or mediatype.is_index(descriptor.media_type)
    ):
        return
    said = content_type(response)
    if said not in _UNSPECIFIC and said != descriptor.media_type:
        raise InvalidDocumentError(
            f"{descriptor.digest} is described as {descriptor.media_type}, "
            f"and served as {shown(said)}"
        )


def check_digest(raw: bytes, digest: Digest, response: Response) -> None:
    """Pass when the bytes have the digest.

    Raises:
        DigestMismatchError: They do not.
        UnsupportedError: The digest cannot be computed.
    """
    actual = Digest.of(raw, digest.algorithm)
    if actual != digest:
        coding = response.header("content-encoding")
        raise DigestMismatchError(
            "the registry's answer",
            expected=digest,
            actual=actual,
            hint=f"something on the way encoded it as {shown(coding)}" if coding else None,
        )


def content_type(response: Response) -> str:
    """The `Content-Type` without its parameters, empty where there is none."""
    return (response.header("content-type") or "").partition(";")[0].strip().lower()


def _header_digest(response: Response) -> Digest | None:
    """The `Docker-Content-Digest`, None where it is missing or no digest."""
    try:
        return Digest(response.header("docker-content-digest") or "")
    except InvalidDigestError:
        return None


def _media_type(said: str, raw: bytes) -> str:
    """The type of a document, by its header and its own word."""
    document = decode_json(raw, what="manifest")
    own = document.get("mediaType")
    if own is not None and not isinstance(own, str):
        raise InvalidDocumentError("is no text", where="$.mediaType")
    if said in _UNSPECIFIC:
        return own or _guess(document)
    if own and own != said:
        raise InvalidDocumentError(f"{shown(own)} is served as {shown(said)}", where="$.mediaType")
    return said


def _guess(document: dict[str, object]) -> str:
    """The type of a document that neither it nor its registry names."""
    if document.get("schemaVersion") == 1:
        return mediatype.DOCKER_SCHEMA1
    if ("manifests" in document) == ("config" in document):
        raise InvalidDocumentError("is neither a manifest nor an index", where="$")
    return mediatype.OCI_INDEX if "manifests" in document else mediatype.OCI_MANIFEST
