"""Descriptors: what content is, how long, and by which digest it is found.

Spec: image-spec v1.1, descriptor.md.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from orlop.digest import Digest, plain_digest
from orlop.errors import DigestMismatchError, SizeMismatchError
from orlop.mediatype import OCI_EMPTY, valid
from orlop.spec.members import MAX_INT64, Members
from orlop.spec.platform import decode_platform, encode_platform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.platform import Platform

MAX_ANNOTATIONS: Final = 4096
MAX_URLS: Final = 256

NO_ANNOTATIONS: Final[Mapping[str, str]] = MappingProxyType({})

_URI: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """Names content by digest, and says what it is.

    Attributes:
        media_type: Of the content.
        digest: Of the content.
        size: Of the content in bytes.
        urls: Where else it may be downloaded from.
        annotations: Notes by key.
        data: The content itself where the document embeds it; digest and size hold for it.
        artifact_type: What kind of artifact the content is, where it is one.
        platform: What an image runs on, where an index says so.
        extra: Fields that are unknown here, kept for whoever knows them.
    """

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    data: bytes | None = field(default=None, repr=False)
    artifact_type: str | None = None
    platform: Platform | None = None
    extra: Mapping[str, object] = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def of(
        cls,
        media_type: str,
        data: bytes,
        *,
        annotations: Mapping[str, str] = NO_ANNOTATIONS,
        artifact_type: str | None = None,
        platform: Platform | None = None,
    ) -> Self:
        """The descriptor of these bytes, which it does not embed."""
        return cls(
            media_type=media_type,
            digest=Digest.of(data),
            size=len(data),
            annotations=annotations,
            artifact_type=artifact_type,
            platform=platform,
        )

    @classmethod
    def decode(cls, value: object, where: str = "$") -> Self:
        """Read a descriptor, embedded data verified.

        Args:
            value: The JSON object.
            where: Its JSON path, for messages.

        Raises:
            InvalidDocumentError: A field is missing, or not what the specification demands.
            LimitExceededError: There are too many URLs or annotations.
            DigestMismatchError: The embedded data has another digest.
            SizeMismatchError: The embedded data has another length.

        Spec: image-spec v1.1, descriptor.md, "Properties".
        """
        members = Members(value, where)
        platform = members.optional_members("platform")
        found = cls(
            media_type=members.media_type("mediaType"),
            digest=members.digest("digest"),
            size=members.size("size"),
            urls=_decode_urls(members),
            annotations=decode_annotations(members),
            data=_decode_data(members),
            artifact_type=members.optional_media_type("artifactType"),
            platform=None if platform is None else decode_platform(platform),
            extra=members.unknown(),
        )
        if found.data is not None:
            _verify(found.data, found, where)
        return found

    def encode(self) -> dict[str, object]:
        """The descriptor as a JSON object, in the specification's order."""
        found: dict[str, object] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.urls:
            found["urls"] = list(self.urls)
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        if self.data is not None:
            found["data"] = binascii.b2a_base64(self.data, newline=False).decode("ascii")
        if self.platform is not None:
            found["platform"] = encode_platform(self.platform)
        if self.artifact_type is not None:
            found["artifactType"] = self.artifact_type
        found.update(self.extra)
        return found


EMPTY: Final = Descriptor(media_type=OCI_EMPTY, digest=Digest.of(b"{}"), size=2, data=b"{}")
"""The descriptor that stands where an artifact has no config or no layer.

Spec: image-spec v1.1, manifest.md, "Guidance for an Empty Descriptor".
"""


def decode_plain(value: object) -> Descriptor | None:
    """The descriptor in an object of the commonest form, in a quarter of the time.

    That form is a media type, a SHA-256 digest and a size, with annotations or without. None means
    that the object has another form or is wrong: `Descriptor.decode` reads it, or says why not.
    """
    if type(value) is not dict or not 3 <= len(value) <= 4:
        return None
    annotations: object = value.get("annotations") if len(value) == 4 else {}
    if type(annotations) is not dict or len(annotations) > MAX_ANNOTATIONS:
        return None
    for note in annotations.values():
        if type(note) is not str:
            return None
    media_type, text, size = value.get("mediaType"), value.get("digest"), value.get("size")
    if (
        type(media_type) is str
        and valid(media_type)
        and type(size) is int
        and 0 <= size <= MAX_INT64
        and type(text) is str
        and (digest := plain_digest(text)) is not None
    ):
        return _make_plain(media_type, digest, size, annotations)
    return None


_make: Final = object.__new__
(
    _set_media_type, _set_digest, _set_size, _set_urls, _set_annotations, _set_data,
    _set_artifact_type, _set_platform, _set_extra,
) = (Descriptor.__dict__[slot.name].__set__ for slot in fields(Descriptor))  # fmt: skip


def _make_plain(
    media_type: str, digest: Digest, size: int, annotations: dict[str, str]
) -> Descriptor:
    """The descriptor, made slot by slot: a frozen class's own initialiser takes thrice as long."""
    made = _make(Descriptor)
    _set_media_type(made, media_type)
    _set_digest(made, digest)
    _set_size(made, size)
    _set_urls(made, ())
    _set_annotations(made, annotations)
    _set_data(made, None)
    _set_artifact_type(made, None)
    _set_platform(made, None)
    _set_extra(made, {})
    return made


def decode_annotations(members: Members) -> dict[str, str]:
    """The annotations of a descriptor or document.

    Spec: image-spec v1.1, annotations.md, "Rules".
    """
    return members.string_map("annotations", limit="MAX_ANNOTATIONS", most=MAX_ANNOTATIONS)


def is_uri(text: str) -> bool:
    """Whether a text is a URI with a scheme.

    Spec: RFC 3986, section 3.
    """
    return _URI.fullmatch(text) is not None


def _decode_urls(members: Members) -> tuple[str, ...]:
    urls = members.strings("urls", limit="MAX_URLS", most=MAX_URLS)
    for url in urls:
        if not is_uri(url):
            raise members.invalid("urls", f"{url[:100]!r} is no URI")
    return urls


def _decode_data(members: Members) -> bytes | None:
    text = members.optional_string("data")
    if text is None:
        return None
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise members.invalid("data", f"is not base64: {error}") from error


def _verify(data: bytes, descriptor: Descriptor, where: str) -> None:
    if len(data) != descriptor.size:
        raise SizeMismatchError(
            f"{where}.data has another length than its descriptor says",
            expected=descriptor.size,
            actual=len(data),
        )
    if not descriptor.digest.computable:
        return
    actual = Digest.of(data, descriptor.digest.algorithm)
    if actual != descriptor.digest:
        raise DigestMismatchError(
            f"{where}.data is not what its descriptor says",
            expected=descriptor.digest,
            actual=actual,
        )
