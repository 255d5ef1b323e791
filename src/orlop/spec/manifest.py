"""Image manifests: the config and layers of one image, or the parts of an artifact.

Spec: image-spec v1.1, manifest.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from orlop.mediatype import OCI_MANIFEST, is_config, is_manifest
from orlop.spec.descriptor import Descriptor, decode_annotations
from orlop.spec.envelope import (
    decode_descriptors,
    decode_media_type,
    decode_subject,
    encode_head,
    encode_tail,
    open_envelope,
)
from orlop.spec.json import encode_json

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LAYERS: Final = 1024

_FOREIGN: Final = frozenset({"manifests", "fslayers"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One image: its config, and its layers from the base up; or one artifact.

    To edit one, replace its fields: `dataclasses.replace(manifest, layers=…)`. What comes of that
    has new bytes; what was decoded keeps the bytes it was read from.

    Attributes:
        config: Where the config is.
        layers: Where the layers are, the base first.
        media_type: OCI's or Docker's.
        annotations: Notes by key.
        artifact_type: What kind of artifact this is, where it is one.
        subject: The manifest that this one is about.
        extra: Fields that are unknown here, kept for whoever knows them.
    """

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = OCI_MANIFEST
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str | None = None
    subject: Descriptor | None = None
    extra: Mapping[str, object] = field(default_factory=dict, hash=False, repr=False)
    _raw: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def decode(cls, raw: bytes, media_type: str | None = None) -> Self:
        """Read a manifest.

        Args:
            raw: The whole document.
            media_type: What it was said to be, by a descriptor or a registry.

        Raises:
            InvalidDocumentError: It is no manifest, could be taken for an index, or is not of
                the media type that it was said to be.
            LimitExceededError: It is too long, too deep or has too many layers.
            VerificationError: Embedded data is not what its descriptor says.
            UnsupportedError: It is Docker's schema 1.

        Spec: image-spec v1.1, manifest.md; CVE-2021-41190.
        """
        members = open_envelope(raw, media_type, what="manifest", foreign=_FOREIGN)
        members.require("config")
        found = cls(
            media_type=decode_media_type(members, media_type, is_manifest, OCI_MANIFEST),
            config=Descriptor.decode(members.value("config"), "$.config"),
            layers=decode_descriptors(members, "layers", limit="MAX_LAYERS", most=MAX_LAYERS),
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

    @property
    def is_image(self) -> bool:
        """Whether the config is that of a container image; another's must not be parsed."""
        return is_config(self.config.media_type)

    @property
    def kind(self) -> str:
        """The artifact's type: `artifact_type`, and where it is absent the config's media type.

        Spec: distribution-spec v1.1, "Listing Referrers".
        """
        return self.artifact_type or self.config.media_type

    def encode(self) -> bytes:
        """The document as compact JSON, made from the fields, unknown ones at the end."""
        found = encode_head(self.media_type, self.artifact_type)
        found["config"] = self.config.encode()
        found["layers"] = [layer.encode() for layer in self.layers]
        return encode_json(found | encode_tail(self.subject, self.annotations, self.extra))

    def descriptor(self) -> Descriptor:
        """The descriptor of these bytes."""
        return Descriptor.of(self.media_type, self.raw, artifact_type=self.artifact_type)
