"""Docker's media types turned into OCI's, for readers that know no others.

Configs and layers stay as they are, byte for byte; manifests and indexes are written anew, since
they say what those are, and get other digests.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from orlop.mediatype import is_docker, oci_twin
from orlop.spec.document import decode_document
from orlop.spec.index import Index
from orlop.spec.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.digest import Digest
    from orlop.spec.descriptor import Descriptor
    from orlop.transfer.plan import Plan

    Known = Mapping[Digest, tuple[Descriptor, bytes]]


def to_oci(plan: Plan) -> Plan:
    """The plan with OCI's media types; itself where it has no others.

    What an index lists and is not copied is no longer listed: nobody could tell what it would be.
    """
    made: dict[Digest, tuple[Descriptor, bytes]] = {}
    for descriptor, raw in plan.documents:
        made[descriptor.digest] = _convert(descriptor, raw, made, plan)
    target, _ = made[plan.target.digest]
    if target.digest == plan.target.digest and target.media_type == plan.target.media_type:
        return plan
    note = f"converted to OCI's media types: {plan.target.digest} became {target.digest}"
    return replace(
        plan,
        target=_described(plan.target, target),
        documents=tuple({entry[0].digest: entry for entry in made.values()}.values()),
        notes=(*plan.notes, note),
    )


def _convert(
    descriptor: Descriptor, raw: bytes, made: Known, plan: Plan
) -> tuple[Descriptor, bytes]:
    document = decode_document(raw, descriptor.media_type)
    if isinstance(document, Index):
        return _encoded(descriptor, raw, document, _oci_index(document, made, plan))
    return _encoded(descriptor, raw, document, _oci_manifest(document))


_Document = TypeVar("_Document", Index, Manifest)


def _encoded(
    descriptor: Descriptor, raw: bytes, before: _Document, after: _Document
) -> tuple[Descriptor, bytes]:
    if after == before:
        return descriptor, raw
    return after.descriptor(), after.encode()


def _oci_manifest(manifest: Manifest) -> Manifest:
    return replace(
        manifest,
        media_type=oci_twin(manifest.media_type),
        config=_retyped(manifest.config),
        layers=tuple(map(_retyped, manifest.layers)),
    )


def _oci_index(index: Index, made: Known, plan: Plan) -> Index:
    blobs = {blob.digest for blob in plan.blobs}
    children = []
    for child in index.manifests:
        if child.digest in made:
            children.append(_described(child, made[child.digest][0]))
        elif child.digest in blobs or not is_docker(child.media_type):
            children.append(child)
    return replace(index, media_type=oci_twin(index.media_type), manifests=tuple(children))


def _retyped(part: Descriptor) -> Descriptor:
    return replace(part, media_type=oci_twin(part.media_type))


def _described(before: Descriptor, after: Descriptor) -> Descriptor:
    """What an index said of a document, of the one that it has become."""
    if before.digest == after.digest:
        return replace(before, media_type=after.media_type)
    return replace(
        before, media_type=after.media_type, digest=after.digest, size=after.size, data=None
    )
