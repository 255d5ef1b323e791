"""Layers of a store as the documents of an image: descriptors, config, manifest.

Each layer has a blob: what it came in, where that is stored; else its tar, which is one as it is.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from orlop.digest import Digest
from orlop.errors import NotFoundError
from orlop.mediatype import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    oci_twin,
)
from orlop.metadata import Blobs
from orlop.metadata.content import LeasedContent
from orlop.platform import Platform
from orlop.spec import Descriptor, ImageConfig, Manifest
from orlop.storage.places import writing_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.metadata import LayerRow, Lease
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.ancestry import Located

_TYPES: Final = {"": OCI_LAYER, "none": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}
_CHUNK: Final = 1 << 20


def documents_of(
    storage: StorageCore, manifest_digest: Digest | None, config_digest: Digest | None
) -> tuple[Manifest | None, ImageConfig | None]:
    """The documents of an image, as far as it has some.

    Raises:
        NotFoundError: They are lost.
        InvalidDocumentError: They are no documents of an image.
        VerificationError: They are damaged.
    """
    if manifest_digest is None or config_digest is None:
        return None, None
    manifest = Manifest.decode(_read(storage, manifest_digest))
    config = ImageConfig.decode(_read(storage, config_digest), manifest.config.media_type)
    return manifest, config


def new_config(diff_ids: Sequence[Digest], created: str | None = None) -> ImageConfig:
    """A config for layers that have none, for this machine's platform."""
    return ImageConfig(
        platform=Platform.of_machine(os.uname().machine), diff_ids=tuple(diff_ids), created=created
    )


def layers_of(storage: StorageCore, layers: Sequence[Located]) -> list[Descriptor]:
    """The blobs of the tars of layers, the base first; the layers come the topmost first.

    Raises:
        NotFoundError: The blob of a layer is lost.
    """
    return [blob_of(storage, each.row) for each in reversed(layers) if each.row.diff_id is not None]


def blob_of(storage: StorageCore, row: LayerRow) -> Descriptor:
    """The descriptor of a stored blob that a layer unpacks from.

    Raises:
        NotFoundError: There is none.
    """
    assert row.diff_id is not None
    for store in (storage, *storage.additional):
        with store.database.read() as tx:
            for digest in dict.fromkeys((row.source, row.diff_id)):
                record = None if digest is None else Blobs(tx).get(digest)
                if record is None:
                    continue
                plain = record.digest == row.diff_id
                kind = OCI_LAYER if plain else record.media_type or _TYPES.get(row.compression, "")
                if kind:
                    return Descriptor(media_type=kind, digest=record.digest, size=record.size)
    raise NotFoundError(f"no blob of layer {row.diff_id} is stored", hint="pull the image again")


def store_documents(
    storage: StorageCore,
    lease: Lease,
    config: ImageConfig,
    layers: Sequence[Descriptor],
    base: Manifest | None = None,
) -> Manifest:
    """Store the config and a new manifest of an image, kept by a lease; the manifest.

    Args:
        storage: The store.
        lease: What keeps them.
        config: The config.
        layers: The blobs of its layers, the base first.
        base: The manifest of the image that it was made from, of which all else stays.

    Raises:
        NotFoundError: A blob is lost.
        OSError: They could not be written.
    """
    # Every one of Docker's types has a twin: the blobs are the same.
    blobs = tuple(replace(each, media_type=oci_twin(each.media_type)) for each in layers)
    if base is None:
        manifest = Manifest(config=Descriptor.of(OCI_CONFIG, config.raw), layers=blobs)
    else:
        manifest = replace(
            base,
            config=described(base.config, config.raw, OCI_CONFIG),
            layers=blobs,
            media_type=OCI_MANIFEST,
        )
    store_as_is(storage, lease, manifest, config)
    return manifest


def described(old: Descriptor, raw: bytes, media_type: str) -> Descriptor:
    """A config's descriptor with what it had beside; the same one for the same bytes."""
    same = old.digest.computable and Digest.of(raw, old.digest.algorithm) == old.digest
    if same:
        return replace(old, media_type=media_type)
    new = Descriptor.of(media_type, raw)
    return replace(old, media_type=media_type, digest=new.digest, size=new.size, data=None)


def store_as_is(
    storage: StorageCore, lease: Lease, manifest: Manifest, config: ImageConfig
) -> None:
    """Store the documents of an image, kept by a lease with the blobs that they name.

    Blobs that lie in an additional store are copied from there.

    Raises:
        NotFoundError: A blob is lost.
        OSError: Something could not be written.
    """
    content = LeasedContent(storage.content, storage.database, lease)
    content.put(config.raw, media_type=manifest.config.media_type)
    for layer in manifest.layers:
        if content.claim(layer.digest) is None:
            _bring(storage, content, layer)
    content.put(
        manifest.raw,
        media_type=manifest.media_type,
        children=[manifest.config.digest, *(layer.digest for layer in manifest.layers)],
    )


def _bring(storage: StorageCore, content: LeasedContent, blob: Descriptor) -> None:
    for store in storage.additional:
        if store.content.stat(blob.digest) is None:
            continue
        with (
            writing_to(storage.places.root),
            store.content.open(blob.digest, blob.size) as stored,
            content.ingest(
                blob.digest, digest=blob.digest, size=blob.size, media_type=blob.media_type
            ) as ingest,
        ):
            ingest.restart()
            while piece := stored.read(_CHUNK):
                ingest.write(piece)
            ingest.commit()
        return
    raise NotFoundError(f"content {blob.digest} is not stored", hint="pull the image again")


def _read(storage: StorageCore, digest: Digest) -> bytes:
    for store in (storage, *storage.additional):
        info = store.content.stat(digest)
        if info is not None:
            return store.content.read(digest, info.size)
    raise NotFoundError(f"document {digest} is not stored", hint="pull the image again")
