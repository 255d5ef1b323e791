"""An orlop store as a cache: the same small interface as `DigestStore` and `ImageCache`."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from orlop.bundle.names import MAX_LAYERS
from orlop.bundle.protocols import check_layer_count
from orlop.bundle.sources import SourceImage
from orlop.bundle.stored import StoreImage
from orlop.errors import NotFoundError, UnsupportedError
from orlop.metadata import Images, Lease
from orlop.reference import Reference
from orlop.storage.chains import Stack
from orlop.storage.lookup import find_name
from orlop.storage.rebuild import ensure_form

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.bundle.protocols import BundleImage, HasStorage
    from orlop.digest import Digest
    from orlop.storage.storage import Storage

CACHE_NAME = "localhost/cached"
"""What images are called that were written without a name; the tag is their digest."""


class StoreDigests:
    """What the names of a store stand for; see `orlop.bundle.cache.Digests`.

    Args:
        store: The store.
    """

    def __init__(self, store: HasStorage) -> None:
        self._storage = store.storage

    def hash(self, reference: str) -> Digest:
        """The digest of the manifest that a name stands for.

        Raises:
            NotFoundError: There is no such name.
        """
        with self._storage.database.read() as tx:
            row = find_name(tx, reference)
        if row is None:
            raise NotFoundError(f"it is not known which image {reference} is")
        return row.manifest_digest or row.target_digest

    def write_hash(self, reference: str, digest: Digest) -> None:
        """Give an image of the store a name.

        Raises:
            InvalidReferenceError: The reference is none.
            NotFoundError: There is no image of this digest.
        """
        from dataclasses import replace

        try:
            name = str(Reference.parse(reference).with_default_tag())
        except ValueError:
            return  # A place of this machine: the image has got its name from there.
        with self._storage.database.write() as tx:
            row = replace(_image(self._storage, digest).row, name=name, labels={})
            Images(tx).put(row)


class StoreImages:
    """The images of a store by digest; see `orlop.bundle.cache.Images`.

    Args:
        store: The store.
        max_layers: Layers that an image may have.
    """

    def __init__(self, store: HasStorage, *, max_layers: int = MAX_LAYERS) -> None:
        self._storage = store.storage
        self._max_layers = max_layers

    def write_image(self, image: BundleImage) -> None:
        """Bring an image into the store.

        Raises:
            UnsupportedError: It is in no place that can be pulled from.
            OrlopError: As `Store.pull`.
        """
        from orlop.transfer import Pull, PullOptions, Reporter

        check_layer_count(len(image.config.diff_ids), self._max_layers)
        if isinstance(image, StoreImage) and image.storage is self._storage:
            return
        if not isinstance(image, SourceImage):
            raise UnsupportedError(
                f"image {image.digest} has no manifest here, and cannot be brought into a store",
                hint="fetch it from where it came from",
            )
        options = PullOptions(driver=self._storage.mountables.best_driver())
        name = f"{CACHE_NAME}:{image.digest.algorithm}-{image.digest.encoded}"
        with Lease(self._storage.database, f"pull {image.digest}") as lease:
            pull = Pull(self._storage, image.source, lease, options, Reporter(None))
            pull.run(image.selection, (name,))

    def image(self, digest: Digest) -> StoreImage:
        """An image.

        Raises:
            NotFoundError: It is not there.
        """
        found = _image(self._storage, digest)
        check_layer_count(len(found.config.diff_ids), self._max_layers)
        return found

    def layer(self, diff_id: Digest) -> StoreLayer:
        """A layer of any image.

        Raises:
            NotFoundError: It is not there.
        """
        if self._storage.forms.usable(diff_id, "tar") is None:
            stack = Stack.of((diff_id,))
            with Lease(self._storage.database, f"layer {diff_id}") as lease:
                ensure_form(self._storage, stack, 0, "tar", lease)
        return StoreLayer(diff_id, self._storage.forms.path(diff_id, "tar"))


class StoreLayer:
    """A layer of a store.

    Args:
        diff_id: The digest of its tar.
        path: The tar.
    """

    def __init__(self, diff_id: Digest, path: Path) -> None:
        self.diff_id = diff_id
        self.path = path

    def open(self) -> BinaryIO:
        """Its tar."""
        return open(self.path, "rb")


def _image(storage: Storage, digest: Digest) -> StoreImage:
    with storage.database.read() as tx:
        for row in Images(tx).list():
            if digest in {row.manifest_digest, row.target_digest}:
                return StoreImage(storage, row)
    raise NotFoundError(f"image {digest} is not in the store")
