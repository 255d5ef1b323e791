"""The file `oci-layout`, and the annotations by which places name the images they hold.

Spec: image-spec v1.1, image-layout.md; annotations.md, "Pre-Defined Annotation Keys".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from orlop.errors import UnsupportedError
from orlop.spec.json import decode_json, encode_json
from orlop.spec.members import Members

if TYPE_CHECKING:
    from collections.abc import Mapping

REF_NAME: Final = "org.opencontainers.image.ref.name"
"""A tag or a reference, on the descriptors of a layout's `index.json`."""

CONTAINERD_NAME: Final = "io.containerd.image.name"
"""The full reference, on the same descriptors."""

CONTAINERD_SUBJECT: Final = "io.containerd.manifest.subject"
"""The digest of the manifest that this one is about."""

LAYOUT_VERSION: Final = "1.0.0"
MAX_LAYOUT_SIZE: Final = 64 * 1024

MAX_INDEX_SIZE: Final = 16 * 1024 * 1024
"""Bytes of `index.json`: more than of other documents, for it lists all images there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLayout:
    """What marks a directory as an image layout.

    Attributes:
        version: Of the layout's form.
        extra: Fields that are unknown here, kept for whoever knows them.
    """

    version: str = LAYOUT_VERSION
    extra: Mapping[str, object] = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the file `oci-layout`.

        Raises:
            InvalidDocumentError: It is no such file.
            LimitExceededError: It is too long or too deep.
            UnsupportedError: It marks a layout of another form.
        """
        document = decode_json(
            raw, limit=MAX_LAYOUT_SIZE, named="MAX_LAYOUT_SIZE", what="oci-layout"
        )
        members = Members(document, "$")
        version = members.string("imageLayoutVersion")
        if version != LAYOUT_VERSION:
            raise UnsupportedError(
                f"image layout version {version[:100]!r} is not {LAYOUT_VERSION!r}"
            )
        return cls(version=version, extra=members.unknown())

    def encode(self) -> bytes:
        """The file as compact JSON."""
        return encode_json({"imageLayoutVersion": self.version, **self.extra})
