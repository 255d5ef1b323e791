"""Documents that a name can stand for: a manifest or an index.

Spec: image-spec v1.1, media-types.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import UnsupportedError
from orlop.mediatype import is_index, is_manifest
from orlop.spec.envelope import refuse_legacy
from orlop.spec.index import Index
from orlop.spec.json import Members, decode_json
from orlop.spec.manifest import Manifest

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
    found = media_type or _media_type_within(raw)
    if found is None:
        members = Members(decode_json(raw), "$")
        refuse_legacy(members, None)
        return Index.decode(raw) if members.has("manifests") else Manifest.decode(raw)
    if is_index(found):
        return Index.decode(raw, media_type)
    if is_manifest(found):
        return Manifest.decode(raw, media_type)
    refuse_legacy(Members({}, "$"), found)
    raise UnsupportedError(f"a document of type {found[:100]!r} is neither manifest nor index")


def _media_type_within(raw: bytes) -> str | None:
    return Members(decode_json(raw), "$").optional_media_type("mediaType")
