"""Big data: named files that belong to a layer, an image or a container.

    images/<id>/data/<random>     one item each; the record says what it is called

An item is written beside, durable, and then recorded: readers see the old bytes or the new ones. A
file that no record names is what a killed writer has left, and goes with a later collection.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, Final

from orlop._sys.sync import sync_directory
from orlop.digest import digest_of, new_hash
from orlop.errors import InvalidError, LimitExceededError, NotFoundError, UnsupportedError
from orlop.metadata import BigData, BigDatum
from orlop.storage.keys import find_id, find_object
from orlop.storage.places import writing_to

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orlop.digest import Digest
    from orlop.metadata import ObjectKind
    from orlop.storage.core import StorageCore

MAX_ITEMS: Final = 10_000
"""Items of big data that one layer, image or container may have."""
MAX_NAME_LENGTH: Final = 1024
"""Characters of the name of an item."""
_CHUNK: Final = 1 << 20


class BigDataStore:
    """The big data of layers, images or containers.

    A `key` is an ID, a name, or a unique prefix of an ID.

    Args:
        storage: The store.
        kind: Whose data these are.
    """

    def __init__(self, storage: StorageCore, kind: ObjectKind) -> None:
        self._storage = storage
        self._kind = kind

    def list(self, key: str) -> tuple[BigDatum, ...]:
        """The items that something has, in the order of their names, with size and digest.

        Raises:
            NotFoundError: There is nothing of this key.
        """
        store, id = find_object(self._storage, self._kind, key)  # noqa: A001
        with store.database.read() as tx:
            return BigData(tx).list(self._kind, id)

    def stat(self, key: str, name: str) -> BigDatum:
        """One item's size and digest.

        Raises:
            NotFoundError: There is no such item.
        """
        return self._find(key, name)[2]

    def open(self, key: str, name: str) -> BinaryIO:
        """The bytes of an item, as they are now whatever is written later; to be closed.

        Raises:
            NotFoundError: There is no such item.
            OSError: It cannot be opened.
        """
        while True:
            store, id, datum = self._find(key, name)  # noqa: A001
            try:
                return open(self.path(store, id, datum), "rb")
            except FileNotFoundError:
                if self._find(key, name)[2] == datum:
                    raise

    def get(self, key: str, name: str) -> bytes:
        """All bytes of an item.

        Raises:
            NotFoundError: There is no such item.
            OSError: It cannot be read.
        """
        with self.open(key, name) as stream:
            return stream.read()

    def put(self, key: str, name: str, data: bytes | BinaryIO) -> BigDatum:
        """Store an item, in place of the one of its name; success means that it is durable.

        Args:
            key: Whose it is.
            name: What it is called: printable characters, at most `MAX_NAME_LENGTH`.
            data: Its bytes, or a stream that is read to its end.

        Raises:
            NotFoundError: There is nothing of this key.
            InvalidError: The name cannot be one.
            LimitExceededError: `MAX_ITEMS` or `MAX_NAME_LENGTH`.
            UnsupportedError: It belongs to something in an additional store.
            OSError: It could not be written; what was there is there still.
        """
        _check_name(name)
        self._storage.require_writable()
        id = self._own(key)  # noqa: A001
        folder = self._folder(id)
        with writing_to(folder):
            for path in (folder.parent, folder):
                path.mkdir(mode=0o700, exist_ok=True)
            file = os.urandom(16).hex()
            try:
                size, digest = _write(folder / file, data)
                sync_directory(folder)
                sync_directory(folder.parent)
                datum = BigDatum(name=name, file=file, size=size, digest=digest)
                old = self._record(id, datum)
            except BaseException:
                (folder / file).unlink(missing_ok=True)
                raise
        if old is not None and old.file:
            (folder / old.file).unlink(missing_ok=True)
        return datum

    def delete(self, key: str, name: str) -> None:
        """Remove an item.

        Raises:
            NotFoundError: There is no such item.
            UnsupportedError: It belongs to something in an additional store.
        """
        id = self._own(key)  # noqa: A001
        with self._storage.database.write() as tx:
            datum = BigData(tx).get(self._kind, id, name)
            if datum is None or not BigData(tx).delete(self._kind, id, name):
                raise self._missing(id, name)
        (self._folder(id) / datum.file).unlink(missing_ok=True)

    def path(self, store: StorageCore, id: str, datum: BigDatum) -> Path:  # noqa: A002
        """Where an item's bytes are."""
        return store.places.object(self._kind, id) / "data" / datum.file

    def unrecorded(self, store: StorageCore, id: str) -> Iterable[Path]:  # noqa: A002
        """The files among the data of something that no record names."""
        folder = store.places.object(self._kind, id) / "data"
        try:
            names = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        with store.database.read() as tx:
            named = {datum.file for datum in BigData(tx).list(self._kind, id)}
        return [folder / name for name in sorted(names) if name not in named]

    def _folder(self, id: str) -> Path:  # noqa: A002
        return self._storage.places.object(self._kind, id) / "data"

    def _find(self, key: str, name: str) -> tuple[StorageCore, str, BigDatum]:
        store, id = find_object(self._storage, self._kind, key)  # noqa: A001
        with store.database.read() as tx:
            datum = BigData(tx).get(self._kind, id, name)
        if datum is None:
            raise self._missing(id, name)
        return store, id, datum

    def _missing(self, id: str, name: str) -> NotFoundError:  # noqa: A002
        return NotFoundError(
            f"{self._kind} {id} has no data called {name!r}",
            hint=f"`orlop {self._kind} data ls {id[:12]}` lists what it has",
        )

    def _own(self, key: str) -> str:
        store, id = find_object(self._storage, self._kind, key)  # noqa: A001
        if store is not self._storage:
            raise UnsupportedError(
                f"{self._kind} {id} lies in an additional store, where nothing is changed",
                hint=f"open the store {store.places.root} itself",
            )
        return id

    def _record(self, id: str, datum: BigDatum) -> BigDatum | None:  # noqa: A002
        with self._storage.database.write() as tx:
            if find_id(tx, self._kind, id) != id:
                raise NotFoundError(f"{self._kind} {id} has just been deleted")
            data = BigData(tx)
            old = data.get(self._kind, id, datum.name)
            if old is None and data.count(self._kind, id) >= MAX_ITEMS:
                raise LimitExceededError(
                    f"the data of {self._kind} {id}", limit="MAX_ITEMS", value=MAX_ITEMS
                )
            data.put(self._kind, id, datum)
        return old


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_LENGTH:
        raise LimitExceededError(
            f"the name {name[:50]!r}…", limit="MAX_NAME_LENGTH", value=MAX_NAME_LENGTH
        )
    if not name or not name.isprintable():
        raise InvalidError(f"{name!r} cannot be the name of data", hint="use printable characters")


def _write(path: Path, data: bytes | BinaryIO) -> tuple[int, Digest]:
    """Write a new file, durably; its length and digest."""
    hasher, size = new_hash("sha256"), 0
    with open(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
    ) as out:
        for chunk in (data,) if isinstance(data, bytes) else iter(lambda: data.read(_CHUNK), b""):
            hasher.update(chunk)
            size += len(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return size, digest_of(hasher)
