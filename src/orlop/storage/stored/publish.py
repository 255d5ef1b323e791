"""Images that were made of layers, as images that can be pushed.

What such an image has among its data is used where it is true: a config that lists the very layers
of the image, named by a manifest there; and that manifest, where it names the very blobs. What is
missing is made, out of nothing but what is recorded: the same image gives the same digests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import NotFoundError, OrlopError, UnsupportedError
from orlop.metadata import Lease
from orlop.spec import ImageConfig, Manifest
from orlop.spec.json import MAX_DOCUMENT_SIZE
from orlop.storage.keys import find_object
from orlop.storage.layers.ancestry import ancestry
from orlop.storage.stored.assemble import (
    documents_of,
    layers_of,
    new_config,
    store_as_is,
    store_documents,
)
from orlop.storage.stored.entry import record_image
from orlop.storage.stored.facts import image_in, read_facts
from orlop.storage.stored.image_data import ImageData
from orlop.timestamp import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.metadata import BigDatum
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.ancestry import Located
    from orlop.storage.layers.freeze import Freezer
    from orlop.storage.stored.facts import Facts
    from orlop.storage.stored.record import StoredImage

_MANIFEST: Final = "manifest"


def publish(
    storage: StorageCore, freezer: Freezer, facts: Facts, wanted: Sequence[str]
) -> StoredImage:
    """Give an image what it takes to be pushed; see `StoredImageStore.publish`."""
    with Lease(storage.database, f"publish {facts.id}") as lease:
        manifest, config = describe(storage, freezer, facts, lease)
        with storage.database.write() as tx:
            lease.require_in(tx)
            made = read_facts(tx, record_image(tx, config, manifest, wanted))
            assert made is not None
            return image_in(tx, made)


def find_facts(storage: StorageCore, key: str) -> tuple[StorageCore, Facts]:
    """The store that an image lies in, and what is recorded of it there.

    Raises:
        NotFoundError: There is none.
        AmbiguousError: A prefix fits several.
    """
    store, id = find_object(storage, "image", key)  # noqa: A001
    with store.database.read() as tx:
        facts = read_facts(tx, id)
    if facts is None:
        raise NotFoundError(f"image {id} has just been deleted")
    return store, facts


def describe(
    storage: StorageCore, freezer: Freezer, facts: Facts, lease: Lease
) -> tuple[Manifest, ImageConfig]:
    """The documents of an image, made where it has none, and stored, kept by a lease.

    Raises:
        InUseError: A layer of it takes writes just now.
        NotFoundError: What it is made of is lost.
        UnsupportedError: It was written to in an additional store; nothing can be frozen there.
        OSError: Something could not be read or written.
    """
    manifest, config = documents_of(storage, facts.manifest_digest, facts.config_digest)
    if manifest is not None and config is not None:
        store_as_is(storage, lease, manifest, config)
        return manifest, config
    own = facts.own
    assert own is not None
    layers = _frozen(storage, freezer, own.layer)
    diff_ids = tuple(each.row.diff_id for each in reversed(layers) if each.row.diff_id is not None)
    manifest, config = documents_among_data(storage, facts.id)
    if config is None or manifest is None or config.diff_ids != diff_ids:
        config = new_config(diff_ids, format_timestamp(own.created_at_ns))
        return store_documents(storage, lease, config, layers_of(storage, layers)), config
    if _names_blobs(manifest, layers):
        store_as_is(storage, lease, manifest, config)
        return manifest, config
    blobs = layers_of(storage, layers)
    return store_documents(storage, lease, config, blobs, manifest), config


def documents_among_data(
    storage: StorageCore,
    id: str,  # noqa: A002
) -> tuple[Manifest | None, ImageConfig | None]:
    """A manifest among the data of an image, and the config there that it names; or neither."""
    try:
        data = ImageData(storage).list(id)
    except NotFoundError:
        return None, None
    for manifest in _manifests(storage, id, data):
        for datum in data:
            if datum.digest == manifest.config.digest:
                config = _config(storage, id, datum, manifest.config.media_type)
                if config is not None:
                    return manifest, config
    return None, None


def _manifests(storage: StorageCore, id: str, data: Sequence[BigDatum]) -> Iterator[Manifest]:  # noqa: A002
    for datum in data:
        if datum.name.startswith(_MANIFEST) and datum.size <= MAX_DOCUMENT_SIZE:
            try:
                yield Manifest.decode(ImageData(storage).get(id, datum.name))
            except OrlopError:
                continue  # An index, or what only its user knows.


def _config(
    storage: StorageCore,
    id: str,  # noqa: A002
    datum: BigDatum,
    media_type: str,
) -> ImageConfig | None:
    if datum.size > MAX_DOCUMENT_SIZE:
        return None
    try:
        return ImageConfig.decode(ImageData(storage).get(id, datum.name), media_type)
    except OrlopError:
        return None


def _frozen(storage: StorageCore, freezer: Freezer, top: str | None) -> list[Located]:
    """The layers of an image, the topmost first, which are nothing but tars by now."""
    if top is None:
        return []
    layers = ancestry(storage, top)
    for each in layers:
        if each.written and each.storage is not storage:
            raise UnsupportedError(
                f"layer {each.row.id} was written to in an additional store, and is no tar yet",
                hint=f"publish the image in the store {each.storage.places.root} itself",
            )
    freezer.freeze(layers)
    return ancestry(storage, top)


def _names_blobs(manifest: Manifest, layers: Sequence[Located]) -> bool:
    """Whether a manifest names, layer by layer, what these layers came in or hold."""
    rows = [each.row for each in reversed(layers) if each.row.diff_id is not None]
    return len(rows) == len(manifest.layers) and all(
        described.digest in {row.source, row.diff_id}
        for described, row in zip(manifest.layers, rows, strict=True)
    )
