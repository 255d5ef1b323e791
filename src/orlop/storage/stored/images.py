"""The images of a store: top layers, and what belongs to them."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from orlop._sys.process import boot_id
from orlop.digest import empty_digest
from orlop.errors import (
    AlreadyExistsError,
    InUseError,
    InvalidError,
    LimitExceededError,
    UnsupportedError,
    some_of,
)
from orlop.metadata import (
    BigData,
    Containers,
    ImageRow,
    Images,
    Layers,
    Mounts,
    Names,
    StoredImageRow,
    StoredImages,
)
from orlop.reference import Reference
from orlop.storage.directories import (
    make_directory,
    make_run_directory,
    remove_directories,
)
from orlop.storage.keys import find_object
from orlop.storage.layers.ancestry import has_layer
from orlop.storage.layers.making import forget_layer, users_in
from orlop.storage.naming import (
    MAX_NAMES,
    check_id,
    check_metadata,
    check_names,
    new_id,
    require_free,
)
from orlop.storage.reserve import with_reserve
from orlop.storage.stored.facts import (
    Facts,
    image_in,
    iter_ids,
    layer_in,
    noted,
    read_facts,
    without_names,
)
from orlop.storage.stored.image_data import ImageData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from orlop.digest import Digest
    from orlop.metadata import Transaction
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.mount import LayerMount
    from orlop.storage.layers.store import LayerStore
    from orlop.storage.stored.record import StoredImage


class StoredImageStore:
    """The images of a store, and of the additional ones that are looked through after it.

    A `key` is an ID, a name, or a unique prefix of an ID. An image that was pulled, loaded or
    committed is one of these without more work.

    Args:
        storage: The store.
        layers: Its layers.
    """

    def __init__(self, storage: StorageCore, layers: LayerStore) -> None:
        self._storage = storage
        self._layers = layers
        self.data = ImageData(storage)

    def create(
        self,
        layer: str | None = None,
        *,
        id: str | None = None,  # noqa: A002
        names: Iterable[str] = (),
        metadata: str = "",
        digest: Digest | None = None,
        created_at_ns: int | None = None,
        flags: Mapping[str, object] | None = None,
    ) -> StoredImage:
        """Make an image of a layer; success means that it outlives a power cut.

        Args:
            layer: Its top layer; None for an image without files.
            id: Its ID; a random one where None.
            names: What else it is called.
            metadata: What its user notes about it, at most `MAX_METADATA_SIZE` bytes.
            digest: A digest that it is found by.
            created_at_ns: When it was made, in nanoseconds since 1970; now where None.
            flags: What programs note about it.

        Raises:
            NotFoundError: There is no such layer.
            AmbiguousError: A prefix fits several layers.
            AlreadyExistsError: The ID or a name is taken.
            InvalidError: The ID or a name cannot be one.
            LimitExceededError: There are too many names, or metadata, or they are too long.
            OSError: It could not be recorded.
        """
        names = check_names(names)
        top = None if layer is None else self._layers.resolve(layer)
        row = StoredImageRow(
            id=new_id() if id is None else check_id(id),
            layer=top,
            digest=digest,
            metadata=check_metadata(metadata),
            flags=dict(flags or {}),
            created_at_ns=time.time_ns() if created_at_ns is None else created_at_ns,
        )
        with self._storage.database.write() as tx:
            self._require_layer(tx, top)
            if read_facts(tx, row.id) is not None:
                raise AlreadyExistsError(f"image {row.id} exists already")
            require_free(tx, "image", names)
            for name in names:
                if Images(tx).get(name) is not None:
                    raise AlreadyExistsError(f"the name {name!r} is that of a pulled image")
            StoredImages(tx).put(row)
            Names(tx).add("image", row.id, names)
            Names(tx).remember(row.id, names)
            return image_in(tx, _require(tx, row.id))

    def resolve(self, key: str) -> str:
        """The ID of an image.

        Raises:
            NotFoundError: There is none.
            AmbiguousError: A prefix fits several images.
        """
        return find_object(self._storage, "image", key)[1]

    def get(self, key: str) -> StoredImage:
        """An image.

        Raises:
            NotFoundError: There is none.
            AmbiguousError: A prefix fits several images.
        """
        store, id = find_object(self._storage, "image", key)  # noqa: A001
        with store.database.read() as tx:
            return image_in(tx, _require(tx, id), additional=store is not self._storage)

    def list(self) -> tuple[StoredImage, ...]:
        """All images, in the order of the IDs; those of additional stores behind the own ones."""
        return self._found(iter_ids)

    def by_digest(self, digest: Digest) -> tuple[StoredImage, ...]:
        """The images that go by a digest, or have a manifest of it among their data."""
        return self._found(lambda tx: _with_digest(tx, digest))

    def by_layer(self, key: str) -> tuple[StoredImage, ...]:
        """The images whose top layer this is."""
        id = self._layers.resolve(key)  # noqa: A001
        return self._found(lambda tx: users_in(tx, id).images)

    def add_names(self, key: str, names: Iterable[str]) -> StoredImage:
        """Give an image more names; one that is taken moves here.

        Raises:
            NotFoundError: There is no such image.
            UnsupportedError: It lies in an additional store.
            InvalidError: A name cannot be one.
            LimitExceededError: There are too many, or one is too long.
        """
        return self._name(key, lambda _: check_names(names), keep=True)

    def remove_names(self, key: str, names: Iterable[str]) -> StoredImage:
        """Take names away from an image, which stays; those that it has not are none."""
        gone = frozenset(names)
        return self._name(key, lambda facts: [each for each in facts.names if each not in gone])

    def set_names(self, key: str, names: Iterable[str]) -> StoredImage:
        """Give an image these names and no others; one that is taken moves here."""
        return self._name(key, lambda _: check_names(names))

    def set_metadata(self, key: str, metadata: str) -> StoredImage:
        """Note something else about an image.

        Raises:
            LimitExceededError: `MAX_METADATA_SIZE`.
        """
        check_metadata(metadata)
        id = self._own(key)  # noqa: A001
        with self._storage.database.write() as tx:
            facts = _require(tx, id)
            row = noted(facts, now_ns=time.time_ns())
            StoredImages(tx).put(replace(row, metadata=metadata))
            return image_in(tx, _require(tx, id))

    def size(self, key: str) -> int:
        """The bytes of all its layers, as tars, and of its big data."""
        image = self.get(key)
        total = sum(datum.size for datum in self.data.list(image.id))
        layer = image.layer
        while layer is not None:
            total += self._layers.size(layer)
            layer = self._layers.get(layer).parent
        return total

    def mount(self, key: str, *, keep: bool = False) -> LayerMount:
        """Show an image as a read-only directory; see `LayerStore.mount`.

        Raises:
            NotFoundError: There is no such image, or it has no layer.
        """
        return self._layers.mount(self._top(key), read_only=True, keep=keep)

    def unmount(self, key: str, *, force: bool = False) -> int:
        """Give up one hold on its mount; see `LayerStore.unmount`."""
        return self._layers.unmount(self._top(key), force=force)

    def mounted(self, key: str) -> int:
        """How many hold a mount of its top layer."""
        layer = self.get(key).layer
        return 0 if layer is None else self._layers.mounted(layer)

    def publish(self, key: str, *names: str) -> StoredImage:
        """Make an image one that can be pushed; success means that it is whole and durable.

        Its layers become tars, if they are not, and it gets a manifest and a config: those among
        its data, where they fit its layers, else plain ones for this machine's platform. The same
        image gives the same digests at any time. It is another image beside the first, unless its
        config's digest is what that was called.

        Args:
            key: The image. One that has a manifest only gets the names.
            names: References that the new image gets; one that is taken moves there. Without one
                it stays until it is deleted.

        Raises:
            NotFoundError: There is no such image, or what it is made of is lost.
            AmbiguousError: A prefix fits several images.
            InvalidReferenceError: A name is no reference.
            InUseError: A layer of it takes writes just now.
            UnsupportedError: It was written to in an additional store.
            OSError: It could not be read or written; nothing was named.
        """
        from orlop.storage.stored.publish import find_facts, publish

        wanted = [str(Reference.parse(name).with_default_tag()) for name in names]
        store, facts = find_facts(self._storage, key)
        if facts.pulled and store is self._storage:
            return self.add_names(facts.id, wanted)
        return publish(self._storage, self._layers.freezer, facts, wanted)

    def delete(
        self, key: str, *, dry_run: bool = False, keep_layers: bool = False
    ) -> tuple[str, ...]:
        """Remove an image with all its names, and the layers that nothing needs then.

        Args:
            key: The image.
            dry_run: Remove nothing, and say what would go.
            keep_layers: Let its layers stay; those that were pulled go with a later collection.

        Returns:
            The layers that go, the topmost first; their files follow with the next collection.

        Raises:
            InUseError: Containers were made from it; `users` says which.
            UnsupportedError: It lies in an additional store.
            OSError: It could not be removed.
        """
        id = self._own(key)  # noqa: A001
        if dry_run:
            return self._would_forget(id, keep_layers=keep_layers)
        gone = with_reserve(self._storage.places, lambda: self._forget(id, keep_layers=keep_layers))
        for layer in gone:
            self._layers.making.discard(layer)
        remove_directories(self._storage, "image", id)
        return gone

    def directory(self, key: str) -> Path:
        """A directory that belongs to an image, and goes with it; made now."""
        return make_directory(self._storage, "image", self._own(key))

    def run_directory(self, key: str) -> Path:
        """The same, for what goes with this boot of the machine."""
        return make_run_directory(self._storage, "image", self._own(key))

    def _top(self, key: str) -> str:
        image = self.get(key)
        if image.layer is None:
            raise InvalidError(f"image {image.id} has no layer", hint="there is nothing to mount")
        return image.layer

    def _own(self, key: str) -> str:
        store, id = find_object(self._storage, "image", key)  # noqa: A001
        if store is not self._storage:
            raise UnsupportedError(
                f"image {id} lies in an additional store, where nothing is changed",
                hint=f"open the store {store.places.root} itself",
            )
        return id

    def _require_layer(self, tx: Transaction, id: str | None) -> None:  # noqa: A002
        if id is None or Layers(tx).get(id) is not None:
            return
        if not any(has_layer(store, id) for store in self._storage.additional):
            raise InvalidError(f"layer {id} has just been deleted")

    def _forget(self, id: str, *, keep_layers: bool) -> tuple[str, ...]:  # noqa: A002
        with self._storage.database.write() as tx:
            return _forget(tx, _require(tx, id), keep_layers=keep_layers)

    def _would_forget(self, id: str, *, keep_layers: bool) -> tuple[str, ...]:  # noqa: A002
        gone: tuple[str, ...] = ()
        with suppress(_UndoError), self._storage.database.write() as tx:
            gone = _forget(tx, _require(tx, id), keep_layers=keep_layers)
            raise _UndoError
        return gone

    def _found(self, find: Callable[[Transaction], Iterable[str]]) -> tuple[StoredImage, ...]:
        found: dict[str, StoredImage] = {}
        for store in (self._storage, *self._storage.additional):
            with store.database.read() as tx:
                for id in find(tx):  # noqa: A001
                    facts = read_facts(tx, id) if id not in found else None
                    if facts is not None:
                        found[id] = image_in(tx, facts, additional=store is not self._storage)
        return (*found.values(),)

    def _name(
        self, key: str, choose: Callable[[Facts], Iterable[str]], *, keep: bool = False
    ) -> StoredImage:
        id = self._own(key)  # noqa: A001
        with self._storage.database.write() as tx:
            facts = _require(tx, id)
            wanted = tuple(dict.fromkeys((*(facts.names if keep else ()), *choose(facts))))
            if len(wanted) > max(MAX_NAMES, len(facts.names)):
                raise LimitExceededError(f"{len(wanted)} names", limit="MAX_NAMES", value=MAX_NAMES)
            _set_names(tx, facts, wanted)
            return image_in(tx, _require(tx, id))


class _UndoError(Exception):
    """Leaves a transaction without a trace."""


def _require(tx: Transaction, id: str) -> Facts:  # noqa: A002
    facts = read_facts(tx, id)
    if facts is None:
        raise InvalidError(f"image {id} has just been deleted", hint="look again what there is")
    return facts


def _with_digest(tx: Transaction, digest: Digest) -> set[str]:
    found = {row.id for row in StoredImages(tx).with_digest(digest)}
    found |= {row.image_id.encoded for row in Images(tx).with_target(digest)}
    found |= {row.image_id.encoded for row in Images(tx).with_manifest(digest)}
    for id, name in BigData(tx).with_digest("image", digest):  # noqa: A001
        if name.startswith("manifest"):
            found.add(id)
    return found


def _set_names(tx: Transaction, facts: Facts, wanted: Iterable[str]) -> None:
    """Give an image these names: records of `Images` where it was pulled, else its own."""
    wanted = tuple(dict.fromkeys(wanted))
    Names(tx).remember(facts.id, [name for name in wanted if name not in facts.names])
    Names(tx).remove("image", facts.id, set(facts.names).difference(wanted))
    if facts.pulled:
        _name_pulled(tx, facts, wanted)
        return
    for name in wanted:
        Images(tx).delete(name)
    Names(tx).add("image", facts.id, wanted)


def _name_pulled(tx: Transaction, facts: Facts, wanted: tuple[str, ...]) -> None:
    """Names of an image with documents; the last one that goes leaves it an image of its own."""
    row = facts.rows[0] if facts.rows else row_of(tx, facts)
    now = time.time_ns()
    for name in wanted:
        if name not in facts.names:
            Images(tx).put(replace(row, name=name, labels={}, created_at_ns=now, updated_at_ns=now))
    for name in set(facts.names).difference(wanted):
        Images(tx).delete(name, target_digest=row.target_digest)
    own = facts.own
    if not any(Images(tx).with_id(row.image_id)):
        if facts.rows:
            StoredImages(tx).put(without_names(facts, layer_in(tx, facts)))
    elif own is not None and own.made and not Names(tx).get("image", facts.id):
        notes = StoredImageRow(
            id=facts.id,
            made=False,
            digest=own.digest,
            metadata=own.metadata,
            flags=own.flags,
            created_at_ns=own.created_at_ns,
        )
        StoredImages(tx).put(notes)


def row_of(tx: Transaction, facts: Facts) -> ImageRow:
    """The record that an image without names gets with its first one."""
    own = facts.own
    assert own is not None
    layer = None if own.layer is None else Layers(tx).get(own.layer)
    assert own.target is not None
    assert own.target_digest is not None
    return ImageRow(
        name="",
        target=own.target,
        target_digest=own.target_digest,
        manifest_digest=own.manifest_digest,
        image_id=own.config_digest or own.target_digest,
        chain_id=empty_digest() if layer is None else layer.chain_id,
        platform=own.platform,
        size=own.size,
        created_at_ns=own.created_at_ns,
        updated_at_ns=own.created_at_ns,
    )


def _forget(tx: Transaction, facts: Facts, *, keep_layers: bool) -> tuple[str, ...]:
    """Forget an image, and the layers that nothing needs then; which, the topmost first."""
    users = tuple(f"container {row.id}" for row in Containers(tx).with_image(facts.id))
    if users:
        raise InUseError(
            f"image {facts.id} is needed by {some_of(users)}",
            users=users,
            hint="remove those first",
        )
    layer = None if keep_layers else layer_in(tx, facts)
    for row in facts.rows:
        Images(tx).delete(row.name)
    StoredImages(tx).delete(facts.id)
    Names(tx).clear("image", facts.id)
    Names(tx).forget_history(facts.id)
    BigData(tx).clear("image", facts.id)
    gone = []
    while layer is not None:
        found = Layers(tx).get(layer)
        mounted = next(Mounts(tx).of_layer(layer, boot_id()), None)
        if found is None or users_in(tx, layer) or mounted is not None:
            break
        forget_layer(tx, layer)
        gone.append(layer)
        layer = found.parent
    return tuple(gone)
