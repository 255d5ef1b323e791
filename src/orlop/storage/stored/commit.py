"""Images made of containers: what one changed becomes a layer on those of its image."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orlop.digest import chain_id
from orlop.metadata import (
    ImageRow,
    Images,
    Layers,
    LayerSource,
    Lease,
    StoredImageRow,
    StoredImages,
)
from orlop.reference import Reference
from orlop.spec import History
from orlop.storage.layers.ancestry import ancestry
from orlop.storage.layers.contents import Contents
from orlop.storage.layers.tarball import compress_blob, take_entries
from orlop.storage.stored.assemble import (
    documents_of,
    layers_of,
    new_config,
    store_documents,
)
from orlop.storage.stored.facts import image_in, read_facts
from orlop.timestamp import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.compression import CompressionName
    from orlop.digest import Digest
    from orlop.metadata import ContainerRow, Transaction
    from orlop.spec import Descriptor, ImageConfig, Manifest
    from orlop.storage.layers.ancestry import Located
    from orlop.storage.layers.tarball import Taken
    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import StoredImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What is said of an image that is made of a container; see `ContainerStore.commit`."""

    author: str | None = None
    comment: str | None = None
    created_by: str | None = None
    created_at_ns: int | None = None
    compression: CompressionName = "none"


def commit(
    storage: Storage, row: ContainerRow, names: Sequence[str], said: Committed
) -> StoredImage:
    """Make an image of a container, and return it; see `ContainerStore.commit`."""
    wanted = [str(Reference.parse(name).with_default_tag()) for name in names]
    below = ancestry(storage, row.layer)[1:]
    storage.layers.freezer.freeze(below)
    layers = ancestry(storage, row.layer)
    with Lease(storage.database, f"commit {row.id}") as lease:
        taken, blob = _take(storage, layers, lease, said.compression)
        manifest, config = documents_of(storage, row.manifest_digest, row.config_digest)
        diff_ids = [each.row.diff_id for each in reversed(layers[1:]) if each.row.diff_id]
        if manifest is not None and config is not None and config.diff_ids == (*diff_ids,):
            # As the image describes them, so that it can be pushed where that is.
            blobs = [*manifest.layers, blob]
        else:
            blobs = [*layers_of(storage, layers[1:]), blob]
        config = _config(config or new_config([]), diff_ids, taken, said)
        made, target = store_documents(storage, lease, config, blobs, manifest)
        sources = [
            LayerSource(digest=each.digest, size=each.size, compression=_compression(each))
            for each in blobs
        ]
        with storage.database.write() as tx:
            lease.require_in(tx)
            Layers(tx).put_stack(config.diff_ids, sources, time.time_ns())
            image = _record(tx, config, made, target, wanted)
            facts = read_facts(tx, image)
            assert facts is not None
            return image_in(tx, facts)


def _take(
    storage: Storage, layers: Sequence[Located], lease: Lease, compression: CompressionName
) -> tuple[Taken, Descriptor]:
    """What a container changed, as a layer and the blob that it is kept in."""
    with Contents(storage) as contents:
        members = storage.layers.differ.members(contents, layers)
        taken = take_entries(storage, members, contents.open, lease)
    return taken, compress_blob(storage, taken, lease, compression)


def _config(
    base: ImageConfig, diff_ids: Sequence[Digest], taken: Taken, said: Committed
) -> ImageConfig:
    now = format_timestamp(time.time_ns() if said.created_at_ns is None else said.created_at_ns)
    step = History(
        created=now,
        author=said.author,
        created_by=said.created_by or "orlop commit",
        comment=said.comment,
    )
    return replace(
        base,
        diff_ids=(*diff_ids, taken.diff_id),
        created=now,
        author=said.author or base.author,
        history=(*base.history, step),
    )


def _record(
    tx: Transaction,
    config: ImageConfig,
    manifest: Manifest,
    target: Descriptor,
    names: Sequence[str],
) -> str:
    """Name an image, or let it stay without a name; its ID."""
    now = time.time_ns()
    row = ImageRow(
        name="",
        target=json.dumps(target.encode(), separators=(",", ":")),
        target_digest=target.digest,
        manifest_digest=target.digest,
        image_id=manifest.config.digest,
        chain_id=chain_id(config.diff_ids),
        platform=str(config.platform),
        size=target.size + manifest.config.size + sum(each.size for each in manifest.layers),
        created_at_ns=now,
        updated_at_ns=now,
    )
    for name in names:
        Images(tx).put(replace(row, name=name))
    if not names and row.chain_id is not None:
        own = StoredImageRow(
            id=row.image_id.encoded,
            layer=row.chain_id.encoded,
            target=row.target,
            target_digest=row.target_digest,
            manifest_digest=row.manifest_digest,
            config_digest=row.image_id,
            platform=row.platform,
            size=row.size,
            created_at_ns=now,
        )
        StoredImages(tx).put(own)
    return row.image_id.encoded


def _compression(layer: Descriptor) -> str:
    return layer.media_type.rpartition("+")[2] if "+" in layer.media_type else "none"
