"""The index of a layout: what it becomes when a name is given or taken, and as bytes.

Everything else in it stays, what is unknown here too.

Spec: image-spec v1.1, image-layout.md, "index.json file".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orlop.errors import LimitExceededError
from orlop.spec.index import MAX_MANIFESTS, Index
from orlop.spec.layout import MAX_INDEX_SIZE, REF_NAME

if TYPE_CHECKING:
    from collections.abc import Collection

    from orlop.spec.descriptor import Descriptor


def with_descriptor(index: Index, descriptor: Descriptor) -> Index:
    """The index with a descriptor at its end, and none before it of the same ref.name.

    A descriptor without a ref.name, or with an empty one, replaces nothing.
    """
    name = descriptor.annotations.get(REF_NAME)
    kept = without_ref_name(index, name).manifests if name else index.manifests
    return replace(index, manifests=(*kept, descriptor))


def without_ref_name(index: Index, ref_name: str) -> Index:
    """The index without the descriptors of a ref.name, the others in their order.

    Where there is none, this is the index itself.

    Raises:
        ValueError: The name is empty.
    """
    if not ref_name:
        raise ValueError("the reference name is empty")
    manifests = index.manifests
    kept = tuple(found for found in manifests if found.annotations.get(REF_NAME) != ref_name)
    return index if len(kept) == len(manifests) else replace(index, manifests=kept)


def decode_index(raw: bytes) -> Index:
    """Read the content of `index.json`, which may be larger than other documents.

    Raises:
        InvalidDocumentError: It is no index.
        LimitExceededError: It is too large or lists too much.
        VerificationError: Embedded data is not what its descriptor says.
    """
    return Index.decode(raw, limit=MAX_INDEX_SIZE, named="MAX_INDEX_SIZE")


def encode_index(index: Index, known: Collection[Descriptor] = ()) -> bytes:
    """The content of `index.json`, which can be read again.

    Args:
        index: What it shall be.
        known: Those of its descriptors that were read, which need no check.

    Raises:
        InvalidDocumentError: A descriptor, or what stands beside them, is not as it must be.
        LimitExceededError: It is too large or lists too much.
    """
    if len(index.manifests) > MAX_MANIFESTS:
        raise LimitExceededError(
            f"the index would list {len(index.manifests)} manifests",
            limit="MAX_MANIFESTS",
            value=MAX_MANIFESTS,
            hint="remove those that are not needed",
        )
    raw = index.encode()
    if len(raw) > MAX_INDEX_SIZE:
        raise LimitExceededError(
            f"the index would have {len(raw)} bytes",
            limit="MAX_INDEX_SIZE",
            value=MAX_INDEX_SIZE,
            hint="remove the manifests that are not needed",
        )
    checked = set(map(id, known))
    new = tuple(found for found in index.manifests if id(found) not in checked)
    Index.decode(replace(index, manifests=new).encode(), limit=MAX_INDEX_SIZE)
    return raw
