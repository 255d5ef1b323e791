"""Images with documents, as a store records them: under their names, or without one."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from orlop.digest import chain_id, empty_digest
from orlop.images.sources import layer_sources
from orlop.metadata import ImageRow, Images, Layers, StoredImageRow, StoredImages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.metadata import Transaction
    from orlop.spec import ImageConfig, Manifest


def image_row(config: ImageConfig, manifest: Manifest) -> ImageRow:
    """The record of an image, still without a name."""
    now = time.time_ns()
    target = manifest.descriptor()
    return ImageRow(
        name="",
        target=json.dumps(target.encode(), separators=(",", ":")),
        target_digest=target.digest,
        manifest_digest=target.digest,
        image_id=manifest.config.digest,
        chain_id=chain_id(config.diff_ids) or empty_digest(),
        platform=str(config.platform),
        size=target.size + manifest.config.size + sum(each.size for each in manifest.layers),
        created_at_ns=now,
        updated_at_ns=now,
    )


def record_image(
    tx: Transaction, config: ImageConfig, manifest: Manifest, names: Iterable[str]
) -> str:
    """Record an image with its layers, and return its ID; without a name it stays all the same."""
    row = image_row(config, manifest)
    Layers(tx).put_stack(config.diff_ids, layer_sources(manifest.layers), row.created_at_ns)
    names = tuple(names)
    for name in names:
        Images(tx).put(replace(row, name=name))
    if not names and not any(Images(tx).with_id(row.image_id)):
        _record_nameless(tx, row, config)
    return row.image_id.encoded


def _record_nameless(tx: Transaction, row: ImageRow, config: ImageConfig) -> None:
    """Let an image stay that has no name; what is noted about one of its ID stays noted."""
    id = row.image_id.encoded  # noqa: A001
    known = StoredImages(tx).get(id) or StoredImageRow(id=id, created_at_ns=row.created_at_ns)
    top = chain_id(config.diff_ids)
    StoredImages(tx).put(
        replace(
            known,
            made=True,
            layer=known.layer or (None if top is None else top.encoded),
            target=row.target,
            target_digest=row.target_digest,
            manifest_digest=row.manifest_digest,
            config_digest=row.image_id,
            platform=row.platform,
            size=row.size,
        )
    )
