"""What `index.json` becomes when a name is given or taken; everything else in it stays.

Spec: image-spec v1.1, image-layout.md, "index.json file".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orlop.spec.layout import REF_NAME

if TYPE_CHECKING:
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.index import Index


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
