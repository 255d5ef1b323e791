"""What manifests and indexes have in common: version, media type, subject, annotations.

Spec: image-spec v1.1, manifest.md and image-index.md; CVE-2021-41190.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from orlop.errors import UnsupportedError
from orlop.mediatype import DOCKER_SCHEMA1, OCI_ARTIFACT_MANIFEST, is_schema1
from orlop.spec.descriptor import Descriptor, decode_plain
from orlop.spec.json import MAX_DOCUMENT_SIZE, decode_json, join
from orlop.spec.members import Members

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCHEMA_VERSION: Final = 2

Fields: TypeAlias = dict[str, object]


def open_envelope(
    raw: bytes,
    said: str | None,
    *,
    what: str,
    foreign: frozenset[str],
    limit: int = MAX_DOCUMENT_SIZE,
    named: str = "MAX_DOCUMENT_SIZE",
) -> Members:
    """The members of a manifest or index, its version checked.

    Args:
        raw: The whole document.
        said: The media type that it was said to have.
        what: What to call it in messages.
        foreign: The members that would make it something else as well, in lower case.
        limit: The most bytes that it may have.
        named: The name of that limit.

    Raises:
        InvalidDocumentError: It is no such document, or two at once.
        LimitExceededError: It is too long or too deep.
        UnsupportedError: It is Docker's schema 1.
    """
    members = Members(decode_json(raw, limit=limit, named=named, what=what), "$")
    refuse_legacy(members)
    if said is not None:
        refuse_legacy_type(said)
    members.refuse(foreign, f"has no place in {what}, and makes it ambiguous")
    version = members.integer("schemaVersion")
    if version != SCHEMA_VERSION:
        raise members.invalid("schemaVersion", f"is {version}, and must be {SCHEMA_VERSION}")
    return members


def refuse_legacy(members: Members) -> None:
    """Refuse by its name a document that image-spec 1.1 has left behind.

    Raises:
        UnsupportedError: It is Docker's schema 1, or an artifact manifest.
    """
    inner, version = members.peek("mediaType"), members.peek("schemaVersion")
    if isinstance(inner, str):
        refuse_legacy_type(inner)
    if members.has("fsLayers") or (type(version) is int and version == 1):
        refuse_legacy_type(DOCKER_SCHEMA1)


def refuse_legacy_type(media_type: str) -> None:
    """Refuse by its name a media type that image-spec 1.1 has left behind.

    Raises:
        UnsupportedError: It is Docker's schema 1, or an artifact manifest.
    """
    if is_schema1(media_type):
        raise UnsupportedError(
            "the document is a Docker schema 1 manifest",
            hint="push the image again with a tool of this decade, which writes OCI manifests",
        )
    if media_type == OCI_ARTIFACT_MANIFEST:
        raise UnsupportedError(
            "the document is an OCI artifact manifest, withdrawn before image-spec 1.1",
            hint="push the artifact again as an image manifest with artifactType",
        )


def decode_media_type(
    members: Members, said: str | None, fits: Callable[[str], bool], default: str
) -> str:
    """The document's media type, which must be what it was said to be.

    Raises:
        InvalidDocumentError: It says another type than the one expected, or one of no such thing.
    """
    inner = members.optional_media_type("mediaType")
    if inner is not None and said is not None and inner != said:
        raise members.invalid("mediaType", f"is {inner!r}, expected {said!r}")
    found = inner or said or default
    if not fits(found):
        raise members.invalid("mediaType", f"is {found!r}, which is something else")
    return found


def decode_descriptors(
    members: Members, name: str, *, limit: str, most: int
) -> tuple[Descriptor, ...]:
    """The descriptors of an array that must be there, though it may be null or empty."""
    members.require(name)
    where = join(members.where, name)
    values = members.array(name, limit=limit, most=most)
    return tuple(
        [
            decode_plain(value) or Descriptor.decode(value, f"{where}[{at}]")
            for at, value in enumerate(values)
        ]
    )


def decode_subject(members: Members) -> Descriptor | None:
    """The descriptor of the manifest that a document is about."""
    value = members.value("subject")
    return None if value is None else Descriptor.decode(value, join(members.where, "subject"))


def encode_head(media_type: str, artifact_type: str | None) -> Fields:
    """The members that a document begins with."""
    found: Fields = {"schemaVersion": SCHEMA_VERSION, "mediaType": media_type}
    if artifact_type is not None:
        found["artifactType"] = artifact_type
    return found


def encode_tail(
    subject: Descriptor | None, annotations: Mapping[str, str], extra: Mapping[str, object]
) -> Fields:
    """The members that a document ends with."""
    found: Fields = {}
    if subject is not None:
        found["subject"] = subject.encode()
    if annotations:
        found["annotations"] = dict(annotations)
    found.update(extra)
    return found
