"""What an image of a store is at one moment: the documents that drafts are made of."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orlop.errors import InvalidError, NotFoundError, OrlopError, UnsupportedError
from orlop.images.choice import choose, decode_config
from orlop.platform import Platform
from orlop.spec.config import check_layers
from orlop.spec.descriptor import Descriptor
from orlop.storage.chains import Stack
from orlop.storage.lookup import find_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.digest import Digest
    from orlop.metadata import ImageRow
    from orlop.spec.config import ImageConfig
    from orlop.spec.manifest import Manifest
    from orlop.storage.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An image as it was found.

    Attributes:
        name: What it was called.
        target: What the name stood for: an index, or the manifest.
        descriptor: The manifest's descriptor.
        manifest: The manifest.
        config: The config, with a diffID for each layer of the manifest.
    """

    name: str
    target: Descriptor
    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig

    @property
    def stack(self) -> Stack:
        """Its layers."""
        return Stack.of(self.config.diff_ids)

    @property
    def blobs(self) -> tuple[Digest, ...]:
        """The digests of all that it needs."""
        layers = (layer.digest for layer in self.manifest.layers)
        return (self.descriptor.digest, self.manifest.config.digest, *layers)


def find_snapshot(storage: Storage, name_or_id: str, platform: Platform | None = None) -> Snapshot:
    """The image that a name, an ID or a prefix of an ID means.

    Raises:
        OrlopError: As `snapshot_of`; or there is no such image.
    """
    with storage.database.read() as tx:
        row = find_image(tx, name_or_id)[0]
    return snapshot_of(storage, row, platform)


def snapshot_of(storage: Storage, row: ImageRow, platform: Platform | None = None) -> Snapshot:
    """The image of a record.

    Args:
        storage: The store.
        row: The record.
        platform: Which image of several; the one that was pulled, or suits this machine, where
            None.

    Raises:
        NotFoundError: A document is missing, or no image fits the platform.
        UnsupportedError: The name stands for something else than an image.
        OrlopError: A document is broken.
    """
    target = Descriptor.decode(json.loads(row.target))
    try:
        if platform is None and row.manifest_digest is not None:
            meant = _said(storage, target, row.manifest_digest)
        else:
            meant = target
        choice = choose(storage.content, meant, platform or Platform.of_machine(os.uname().machine))
        if not choice.manifest.is_image:
            raise UnsupportedError(
                f"it is an artifact of type {choice.manifest.kind}, and no image of files"
            )
        config = decode_config(choice.manifest.config, _read(storage, choice.manifest.config))
        check_layers(choice.manifest, config)
    except OrlopError as error:
        raise error.inside(row.name)
    return Snapshot(
        name=row.name,
        target=target,
        descriptor=replace(choice.descriptor, platform=None, annotations={}),
        manifest=choice.manifest,
        config=config,
    )


def require_below(name: str, diff_ids: Sequence[Digest], base: Snapshot) -> None:
    """Succeed if the lowest of these layers are exactly those of an image.

    Args:
        name: What has the layers, for messages.
        diff_ids: The layers.
        base: The image.

    Raises:
        InvalidError: They are not; it names the first that differs.
    """
    theirs = base.config.diff_ids
    for at, wanted in enumerate(theirs):
        if at >= len(diff_ids):
            raise InvalidError(
                f"{name} does not stand on {base.name}: it has {len(diff_ids)} layers, and that "
                f"has {len(theirs)}"
            )
        if diff_ids[at] != wanted:
            raise InvalidError(
                f"{name} does not stand on {base.name}: layer {at + 1} is {diff_ids[at]}, "
                f"and there it is {wanted}"
            )


def _said(storage: Storage, target: Descriptor, digest: Digest) -> Descriptor:
    """The manifest that a record names."""
    if target.digest == digest:
        return target
    info = storage.content.stat(digest)
    if info is None:
        raise NotFoundError(f"content {digest} is not stored", hint="pull the image again")
    from orlop.spec.manifest import Manifest

    return Manifest.decode(storage.content.read(digest, info.size)).descriptor()


def _read(storage: Storage, descriptor: Descriptor) -> bytes:
    return storage.content.read(descriptor.digest, descriptor.size)
