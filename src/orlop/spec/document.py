"""Documents that a name can stand for: a manifest or an index.

Spec: image-spec v1.1, media-types.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import UnsupportedError
from orlop.mediatype import OCI_INDEX, OCI_MANIFEST, is_index, is_manifest
from orlop.spec.envelope import refuse_legacy, refuse_legacy_type
from orlop.spec.index import Index
from orlop.spec.json import decode_json
from orlop.spec.manifest import Manifest
from orlop.spec.members import Members

if TYPE_CHECKING:
    from typing import TypeAlias

    Document: TypeAlias = Manifest | Index


def decode_document(raw: bytes, media_type: str | None = None) -> Document:
    """Read a manifest or an index, whichever it is.

    Args:
        raw: The whole document.
        media_type: What it was said to be, by a descriptor or a registry; where nobody has said,
            the document itself tells.

    Raises:
        InvalidDocumentError: It is neither, or could be taken for both.
        LimitExceededError: It is too long, too deep or lists too much.
        VerificationError: Embedded data is not what its descriptor says.
        UnsupportedError: It is something else by its media type, such as Docker's schema 1.
    """
    found = _tell(raw) if media_type is None else media_type
    require_document_type(found)
    if is_index(found):
        return Index.decode(raw, media_type)
    return Manifest.decode(raw, media_type)


def require_document_type(media_type: str) -> None:
    """Succeed if this is the media type of a manifest or an index.

    Raises:
        UnsupportedError: It is something else, such as Docker's schema 1.
    """
    if not is_index(media_type) and not is_manifest(media_type):
        refuse_legacy_type(media_type)
        raise UnsupportedError(
            f"a document of type {media_type[:100]!r} is neither manifest nor index"
        )


def _tell(raw: bytes) -> str:
    """The media type that a document claims, or that its members give away."""
    members = Members(decode_json(raw), "$")
    refuse_legacy(members)
    inner = members.optional_media_type("mediaType")
    if inner is not None:
        return inner
    return OCI_INDEX if members.has("manifests") else OCI_MANIFEST
