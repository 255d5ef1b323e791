"""Images made of containers: what one changed becomes a layer on those of its image."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orlop.metadata import Lease
from orlop.reference import Reference
from orlop.spec import History
from orlop.spec.history import complete
from orlop.storage.layers.ancestry import ancestry, require_owners
from orlop.storage.layers.contents import Contents
from orlop.storage.layers.tarball import compress_blob, take_entries
from orlop.storage.stored.assemble import (
    documents_of,
    layers_of,
    new_config,
    store_documents,
)
from orlop.storage.stored.entry import record_image
from orlop.storage.stored.facts import image_in, read_facts
from orlop.storage.stored.publish import documents_among_data
from orlop.timestamp import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.compression import CompressionName
    from orlop.digest import Digest
    from orlop.metadata import ContainerRow
    from orlop.spec import Descriptor, ImageConfig
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.ancestry import Located
    from orlop.storage.layers.diff import Differ
    from orlop.storage.layers.store import LayerStore
    from orlop.storage.layers.tarball import Taken
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
    storage: StorageCore,
    layer_store: LayerStore,
    row: ContainerRow,
    names: Sequence[str],
    said: Committed,
) -> StoredImage:
    """Make an image of a container, and return it; see `ContainerStore.commit`."""
    wanted = [str(Reference.parse(name).with_default_tag()) for name in names]
    below = ancestry(storage, row.layer)[1:]
    layer_store.freezer.freeze(below)
    layers = ancestry(storage, row.layer)
    require_owners(layers)
    with Lease(storage.database, f"commit {row.id}") as lease:
        taken, blob = _take(storage, layer_store.differ, layers, lease, said.compression)
        manifest, config = documents_of(storage, row.manifest_digest, row.config_digest)
        if config is None and row.image:
            manifest, config = documents_among_data(storage, row.image)
        diff_ids = [each.row.diff_id for each in reversed(layers[1:]) if each.row.diff_id]
        if manifest is not None and config is not None and config.diff_ids == (*diff_ids,):
            # As the image describes them, so that it can be pushed where that is.
            blobs = [*manifest.layers, blob]
        else:
            blobs = [*layers_of(storage, layers[1:]), blob]
        config = _config(config or new_config([]), diff_ids, taken, said)
        made = store_documents(storage, lease, config, blobs, manifest)
        with storage.database.write() as tx:
            lease.require_in(tx)
            facts = read_facts(tx, record_image(tx, config, made, wanted))
            assert facts is not None
            return image_in(tx, facts)


def _take(
    storage: StorageCore,
    differ: Differ,
    layers: Sequence[Located],
    lease: Lease,
    compression: CompressionName,
) -> tuple[Taken, Descriptor]:
    """What a container changed, as a layer and the blob that it is kept in."""
    with Contents(storage) as contents:
        members = differ.members(contents, layers)
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
        history=(*complete(base.history, len(diff_ids)), step),
    )
