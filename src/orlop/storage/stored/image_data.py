"""The big data of images: items of their own, and their documents, which are blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import UnsupportedError
from orlop.storage.big_data import BigDataStore
from orlop.storage.keys import find_object
from orlop.storage.stored.facts import data_in, read_facts

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.metadata import BigDatum
    from orlop.storage.core import StorageCore


class ImageData(BigDataStore):
    """The big data of images.

    The documents of an image are among them, as `manifest`, `manifest-<digest>` and the config's
    digest; they cannot be deleted, and an item of such a name hides one of them.

    Args:
        storage: The store.
    """

    def __init__(self, storage: StorageCore) -> None:
        super().__init__(storage, "image")

    def list(self, key: str) -> tuple[BigDatum, ...]:
        """See `BigDataStore.list`."""
        store, id = find_object(self._storage, "image", key)  # noqa: A001
        with store.database.read() as tx:
            facts = read_facts(tx, id)
            return () if facts is None else data_in(tx, facts)

    def delete(self, key: str, name: str) -> None:
        """See `BigDataStore.delete`.

        Raises:
            UnsupportedError: It is a document of the image.
        """
        _, id, datum = self._find(key, name)  # noqa: A001
        if not datum.file:
            raise UnsupportedError(f"{name!r} is a document of image {id}, and goes with it")
        super().delete(key, name)

    def path(self, store: StorageCore, id: str, datum: BigDatum) -> Path:  # noqa: A002
        """See `BigDataStore.path`."""
        if not datum.file:
            return store.places.blob(datum.digest)
        return super().path(store, id, datum)

    def _find(self, key: str, name: str) -> tuple[StorageCore, str, BigDatum]:
        store, id = find_object(self._storage, "image", key)  # noqa: A001
        for datum in self.list(key):
            if datum.name == name:
                return store, id, datum
        raise self._missing(id, name)
