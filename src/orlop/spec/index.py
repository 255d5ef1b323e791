"""Image indexes: several images under one name, one for each platform.

Spec: image-spec v1.1, image-index.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from orlop.mediatype import OCI_INDEX, is_index
from orlop.spec.descriptor import Descriptor, decode_annotations
from orlop.spec.envelope import (
    decode_descriptors,
    decode_media_type,
    decode_subject,
    encode_head,
    encode_tail,
    open_envelope,
)
from orlop.spec.json import MAX_DOCUMENT_SIZE, encode_json

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_MANIFESTS: Final = 16384

_FOREIGN: Final = frozenset({"config", "layers", "fslayers"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A list of manifests, of further indexes, or of what is unknown here.

    To edit one, replace its fields: `dataclasses.replace(index, manifests=…)`. What comes of that
    has new bytes; what was decoded keeps the bytes it was read from.

    Attributes:
        manifests: What the index lists, in its order.
        media_type: OCI's or Docker's.
        annotations: Notes by key.
        artifact_type: What kind of artifact this is, where it is one.
        subject: The manifest that this index is about.
        extra: Fields that are unknown here, kept for whoever knows them.
    """

    manifests: tuple[Descriptor, ...]
    media_type: str = OCI_INDEX
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str | None = None
    subject: Descriptor | None = None
    extra: Mapping[str, object] = field(default_factory=dict, hash=False, repr=False)
    _raw: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def decode(
        cls,
        raw: bytes,
        media_type: str | None = None,
        *,
        limit: int = MAX_DOCUMENT_SIZE,
        named: str = "MAX_DOCUMENT_SIZE",
    ) -> Self:
        """Read an index.

        Args:
            raw: The whole document.
            media_type: What it was said to be, by a descriptor or a registry.
            limit: The most bytes that it may have.
            named: The name of that limit.

        Raises:
            InvalidDocumentError: It is no index, could be taken for a manifest, or is not of
                the media type that it was said to be.
            LimitExceededError: It is too long, too deep or has too many manifests.
            VerificationError: Embedded data is not what its descriptor says.
            UnsupportedError: It is Docker's schema 1.

        Spec: image-spec v1.1, image-index.md; CVE-2021-41190.
        """
        members = open_envelope(
            raw, media_type, what="index", foreign=_FOREIGN, limit=limit, named=named
        )
        found = cls(
            media_type=decode_media_type(members, media_type, is_index, OCI_INDEX),
            manifests=decode_descriptors(
                members, "manifests", limit="MAX_MANIFESTS", most=MAX_MANIFESTS
            ),
            annotations=decode_annotations(members),
            artifact_type=members.optional_media_type("artifactType"),
            subject=decode_subject(members),
            extra=members.unknown(),
        )
        object.__setattr__(found, "_raw", raw)
        return found

    @property
    def raw(self) -> bytes:
        """The document's bytes: those it was read from, else `encode()`."""
        return self.encode() if self._raw is None else self._raw

    def encode(self) -> bytes:
        """The document as compact JSON, made from the fields, unknown ones at the end."""
        found = encode_head(self.media_type, self.artifact_type)
        found["manifests"] = [manifest.encode() for manifest in self.manifests]
        return encode_json(found | encode_tail(self.subject, self.annotations, self.extra))

    def descriptor(self) -> Descriptor:
        """The descriptor of these bytes."""
        return Descriptor.of(self.media_type, self.raw, artifact_type=self.artifact_type)
