"""The layers of a store: copy-on-write trees with one parent each."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from orlop.errors import InUseError, NotFoundError, UnsupportedError
from orlop.metadata import Layers, Names, Owner
from orlop.storage.big_data import BigDataStore
from orlop.storage.keys import find_object
from orlop.storage.layers.ancestry import ancestry, has_layer, note_of, row_of, stack_of
from orlop.storage.layers.making import Making, users_in
from orlop.storage.layers.mapping import mapping_of
from orlop.storage.layers.record import Layer, Users
from orlop.storage.left_out import LeftOut, read_note
from orlop.storage.naming import change_names, check_metadata, check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from orlop.compression import CompressionName
    from orlop.digest import Digest
    from orlop.idmap import IdMapping
    from orlop.metadata import LayerRow, Transaction
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.apply import Applier
    from orlop.storage.layers.diff import Differ
    from orlop.storage.layers.freeze import Freezer
    from orlop.storage.layers.mount import LayerMount
    from orlop.storage.layers.mounts import LayerMounts
    from orlop.tree import Change

_T = TypeVar("_T")


class LayerStore:
    """The layers of a store, and of the additional ones that are looked through after it.

    A `key` is an ID, a name, or a unique prefix of an ID.

    Args:
        storage: The store.
    """

    def __init__(self, storage: StorageCore) -> None:
        self._storage = storage
        self.making = Making(storage)
        self.data = BigDataStore(storage, "layer")

    @cached_property
    def mounts(self) -> LayerMounts:
        """Their mounts."""
        from orlop.storage.layers.mounts import LayerMounts

        return LayerMounts(self._storage)

    @cached_property
    def differ(self) -> Differ:
        """What compares them."""
        from orlop.storage.layers.diff import Differ

        return Differ(self._storage)

    @cached_property
    def freezer(self) -> Freezer:
        """What makes tars of them."""
        from orlop.storage.layers.freeze import Freezer

        return Freezer(self._storage, self.mounts, self.differ)

    @cached_property
    def _applier(self) -> Applier:
        from orlop.storage.layers.apply import Applier

        return Applier(self._storage, self.making, self.mounts, self.freezer)

    def create(
        self,
        parent: str | None = None,
        *,
        id: str | None = None,  # noqa: A002
        names: Iterable[str] = (),
        metadata: str = "",
        read_only: bool = False,
        flags: Mapping[str, object] | None = None,
        mount_label: str = "",
        id_mapping: IdMapping | None = None,
    ) -> Layer:
        """Make a layer that is what its parent is; success means that it outlives a power cut.

        Args:
            parent: The layer that it stands on, which takes no writes from now on; None for an
                empty one.
            id: Its ID; a random one where None.
            names: What else it is called.
            metadata: What its user notes about it, at most `MAX_METADATA_SIZE` bytes.
            read_only: It is never mounted for writing; a tar may be applied to it.
            flags: What programs note about it.
            mount_label: An SELinux label, which is noted and not used.
            id_mapping: The IDs that it is seen through.

        Raises:
            NotFoundError: There is no such parent.
            AmbiguousError: A prefix fits several layers.
            AlreadyExistsError: The ID or a name is taken.
            InUseError: The parent is mounted, and takes writes.
            InvalidError: The ID or a name cannot be one.
            LimitExceededError: There are too many names, or metadata, or they are too long.
            OSError: It could not be recorded.
        """
        row = self.making.draft(
            None if parent is None else self.resolve(parent),
            id=id, metadata=metadata, read_only=read_only, flags=flags, mount_label=mount_label,
            id_mapping=id_mapping,
        )  # fmt: skip
        names = check_names(names)

        def create() -> None:
            with self._storage.database.write() as tx:
                self.making.create_in(tx, row, names)

        self.on_parent(row.parent, create)
        return self._layer(row, names)

    def on_parent(self, parent: str | None, create: Callable[[], _T]) -> _T:
        """Record what is to stand on a layer, once nobody writes to that; gives what `create` does.

        Args:
            parent: The layer, if any.
            create: Does it in one transaction; called again where all who wrote have been killed.

        Raises:
            InUseError: Somebody does.
            OrlopError: As `create`.
        """
        try:
            return create()
        except InUseError:
            if parent is None or self.mounts.writable(parent):
                raise
        return create()

    def put(
        self,
        stream: BinaryIO,
        parent: str | None = None,
        *,
        id: str | None = None,  # noqa: A002
        names: Iterable[str] = (),
        metadata: str = "",
        read_only: bool = False,
        flags: Mapping[str, object] | None = None,
        mount_label: str = "",
        id_mapping: IdMapping | None = None,
    ) -> Layer:
        """Make a layer out of a tar; success means that it is whole and durable.

        Args:
            stream: The tar, compressed by gzip, zstd, bzip2, xz or not; read to its end.
            parent: The layer that it stands on, as all that follows is as for `create`.
            id: Its ID.
            names: What else it is called.
            metadata: What its user notes about it.
            read_only: It is never mounted for writing.
            flags: What programs note about it.
            mount_label: An SELinux label.
            id_mapping: The IDs that it is seen through.

        Raises:
            InvalidLayerError: It is no tar, or cut short; there is no layer.
            OrlopError: As `create`; or the tar is hostile, too large, or does not fit the parent.
            OSError: It could not be read or written; there is no layer.
        """
        row = self.making.draft(
            None if parent is None else self.resolve(parent),
            id=id, metadata=metadata, read_only=read_only, flags=flags, mount_label=mount_label,
            id_mapping=id_mapping,
        )  # fmt: skip
        names = check_names(names)
        row = self._applier.put(row, names, stream)
        return self._layer(row, names)

    def has(self, id: str) -> bool:  # noqa: A002
        """Whether there is a layer of this very ID in the store itself."""
        return has_layer(self._storage, id)

    def resolve(self, key: str) -> str:
        """The ID of a layer.

        Raises:
            NotFoundError: There is none.
            AmbiguousError: A prefix fits several layers.
        """
        return find_object(self._storage, "layer", key)[1]

    def get(self, key: str) -> Layer:
        """A layer.

        Raises:
            NotFoundError: There is none.
            AmbiguousError: A prefix fits several layers.
        """
        store, id = find_object(self._storage, "layer", key)  # noqa: A001
        with store.database.read() as tx:
            return self._read(tx, row_of(tx, id), additional=store is not self._storage)

    def list(self) -> tuple[Layer, ...]:
        """All layers, in the order of the IDs; those of additional stores behind the own ones."""
        found: dict[str, Layer] = {}
        for store in (self._storage, *self._storage.additional):
            additional = store is not self._storage
            with store.database.read() as tx:
                names = Names(tx).all("layer")
                for row in Layers(tx).list():
                    if row.id not in found:
                        layer = self._layer(row, names.get(row.id, ()), additional=additional)
                        found[row.id] = layer
        return (*found.values(),)

    def by_diff_id(self, diff_id: Digest) -> tuple[Layer, ...]:
        """The layers that hold a tar of this digest; several where their parents differ."""
        return self._found(lambda layers: layers.with_diff_id(diff_id))

    def by_compressed_digest(self, digest: Digest) -> tuple[Layer, ...]:
        """The layers whose tar came in content of this digest."""
        return self._found(lambda layers: layers.with_source(digest))

    def users(self, key: str) -> Users:
        """Who needs a layer."""
        id = self.resolve(key)  # noqa: A001
        with self._storage.database.read() as tx:
            users = users_in(tx, id)
        return replace(users, mounts=self.mounts.targets(id))

    def add_names(self, key: str, names: Iterable[str]) -> Layer:
        """Give a layer more names; one that is taken moves here.

        Raises:
            NotFoundError: There is no such layer, or it lies in an additional store.
            InvalidError: A name cannot be one.
            LimitExceededError: There are too many, or one is too long.
        """
        return self._rename(key, add=check_names(names))

    def remove_names(self, key: str, names: Iterable[str]) -> Layer:
        """Take names away from a layer; those that it has not are none."""
        return self._rename(key, remove=check_names(names))

    def set_names(self, key: str, names: Iterable[str]) -> Layer:
        """Give a layer these names and no others; one that is taken moves here."""
        names = check_names(names)
        id = self._own(key)  # noqa: A001
        with self._storage.database.write() as tx:
            Names(tx).clear("layer", id)
            Names(tx).add("layer", id, names)
            return self._read(tx, row_of(tx, id))

    def set_metadata(self, key: str, metadata: str) -> Layer:
        """Note something else about a layer.

        Raises:
            LimitExceededError: `MAX_METADATA_SIZE`.
        """
        check_metadata(metadata)
        return self._change(key, lambda row: replace(row, metadata=metadata))

    def set_flags(self, key: str, flags: Mapping[str, object]) -> Layer:
        """Let programs note something else about a layer."""
        return self._change(key, lambda row: replace(row, flags=dict(flags)))

    def mount(
        self,
        key: str,
        *,
        read_only: bool | None = None,
        keep: bool = False,
        nodev: bool = True,
        nosuid: bool = True,
    ) -> LayerMount:
        """Show a layer as a directory.

            with storage.layers.mount("base") as path:
                (path / "etc/motd").write_text("hello")

        All who mount it share one mount; it goes with the last of them. Writes are on the disk
        once it has gone. With the driver `vfs` and without the right to mount, the directory is
        the layer itself, and stays.

        Args:
            key: The layer.
            read_only: Whether it takes no writes. None for none where it cannot: it was made
                read-only, came with an image, or is a parent.
            keep: Outlive this process, until somebody unmounts it.
            nodev: Device nodes inside are dead.
            nosuid: Set-user-id bits inside are ignored.

        Raises:
            InUseError: It is to take writes and cannot.
            UnsupportedError: No right to mount, or a kernel that cannot.
            NotFoundError: There is no such layer, or what it is made of is lost.
            OSError: Something is missing, or the kernel refuses it.
        """
        return self.mount_exactly(
            self.resolve(key), read_only=read_only, keep=keep, nodev=nodev, nosuid=nosuid
        )

    def mount_exactly(
        self,
        id: str,  # noqa: A002
        *,
        read_only: bool | None,
        keep: bool,
        nodev: bool,
        nosuid: bool,
        target: Path | None = None,
    ) -> LayerMount:
        """Show the layer of this very ID; see `mount`."""
        owner = None if keep else Owner.current()
        record, holder = self.mounts.hold(
            id, read_only=read_only, owner=owner, nodev=nodev, nosuid=nosuid, target=target
        )
        from orlop.storage.layers.mount import LayerMount

        return LayerMount(self.mounts, record, holder)

    def unmount(self, key: str, *, force: bool = False) -> int:
        """Give up one hold that outlives its process; how many holds are left.

        Args:
            key: The layer.
            force: Give up all of them, and take the mount away even while it is in use.

        Raises:
            InUseError: Processes that are alive hold it, or files below it are open.
        """
        return self.mounts.unmount(self.resolve(key), force=force)

    def mounted(self, key: str) -> int:
        """How many hold a mount of a layer."""
        return self.mounts.count(self.resolve(key))

    def diff(
        self, key: str, base: str | None = None, *, compression: CompressionName = "none"
    ) -> BinaryIO:
        """What a layer adds to another one, as a tar; a stream that is read once, and closed.

        Where it was made of a tar and not written to since, and is compared with its parent, these
        are the bytes of that tar. Sockets are left out.

        Args:
            key: The layer.
            base: The other one; its parent where None.
            compression: How the tar is compressed.

        Raises:
            NotFoundError: There is no such layer, or what it is made of is lost.
            OSError: It cannot be read.
            ValueError: There is no such compression.

        Spec: image-spec v1.1, layer.md, "Representing Changes".
        """
        other = None if base is None else self.resolve(base)
        return self.differ.open(self.resolve(key), other, compression)

    def diff_size(self, key: str, base: str | None = None) -> int:
        """The length of the uncompressed tar that `diff` gives, in bytes."""
        return self.differ.size(self.resolve(key), None if base is None else self.resolve(base))

    def changes(self, key: str, base: str | None = None) -> tuple[Change, ...]:
        """What a layer adds, modifies and deletes of another one, in byte order of the paths.

        Args:
            key: The layer.
            base: The other one; its parent where None.
        """
        other = None if base is None else self.resolve(base)
        return tuple(self.differ.changes(self.resolve(key), other))

    def apply_diff(self, key: str, stream: BinaryIO) -> Layer:
        """Change a layer by a tar; success means that it is whole and durable.

        A layer that had nothing of its own holds the very bytes of the tar from then on; one that
        had is merged with it. The layers below become tars, if they are not.

        Args:
            key: The layer: no other stands on it, and it is mounted nowhere.
            stream: The tar, compressed by gzip, zstd, bzip2, xz or not; read to its end.

        Raises:
            InUseError: Layers stand on it, or it is mounted; it stays as it was.
            InvalidLayerError: It is no tar, or cut short; the layer stays as it was.
            OrlopError: It is hostile, too large, or does not fit; the layer stays as it was.
            OSError: It could not be read or written; the layer stays as it was.
        """
        id = self._own(key)  # noqa: A001
        row = self._applier.apply(id, stream)
        return self._layer(row, self._names(id))

    def left_out(self, key: str) -> LeftOut:
        """What the directory lacks that a layer is shown from, since it was written unprivileged.

        Devices, for instance, in a user namespace. Nothing, as long as no directory was written.

        Raises:
            NotFoundError: There is no such layer.
            OSError: The note about it cannot be read.
        """
        layers = ancestry(self._storage, self.resolve(key))
        for at, each in enumerate(layers):
            if each.row.form == "tree" and each.written:
                return read_note(note_of(each.storage, each.row))
            if each.row.diff_id is not None:
                return self._storage.mountables.left_out(stack_of(layers[at:]))
        return LeftOut()

    def size(self, key: str) -> int:
        """The bytes of the files that a layer itself holds, as its tar."""
        layer = self.get(key)
        return layer.diff_size if layer.diff_size is not None else self.diff_size(layer.id)

    def delete(self, key: str) -> None:
        """Remove a layer that nobody needs; success means that it is gone, and its files go.

        What it shares with others stays with them; the rest goes with the next collection.

        Raises:
            InUseError: Layers, images, a container or a mount need it; `users` says which.
            NotFoundError: There is no such layer, or it lies in an additional store.
            OSError: It could not be removed.
        """
        id = self._own(key)  # noqa: A001
        with self.mounts.lock(id):
            self.mounts.require_unmounted(id)
            self.making.remove(id)

    def parent_owners(self, key: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The users and groups of the directories above a layer's mount that it does not map.

        Whoever is to reach the mount from inside the layer's user namespace meets them.

        Raises:
            NotFoundError: The layer is mounted nowhere.
        """
        layer = self.get(key)
        targets = self.mounts.targets(layer.id)
        if not targets:
            raise NotFoundError(f"layer {layer.id} is not mounted", hint="mount it first")
        from orlop.storage.layers.owners import owners_above

        return owners_above(targets[0], layer.id_mapping)

    def _own(self, key: str) -> str:
        """The ID of a layer that may be changed.

        Raises:
            UnsupportedError: It lies in an additional store.
        """
        store, id = find_object(self._storage, "layer", key)  # noqa: A001
        if store is not self._storage:
            raise UnsupportedError(
                f"layer {id} lies in an additional store, where nothing is changed",
                hint=f"open the store {store.places.root} itself",
            )
        return id

    def _rename(self, key: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Layer:
        id = self._own(key)  # noqa: A001
        with self._storage.database.write() as tx:
            change_names(tx, "layer", id, add=add, remove=remove)
            return self._read(tx, row_of(tx, id))

    def _change(self, key: str, change: Callable[[LayerRow], LayerRow]) -> Layer:
        id = self._own(key)  # noqa: A001
        with self._storage.database.write() as tx:
            row = change(row_of(tx, id))
            Layers(tx).replace(row)
            return self._read(tx, row)

    def _found(self, find: Callable[[Layers], Iterable[LayerRow]]) -> tuple[Layer, ...]:
        found: dict[str, Layer] = {}
        for store in (self._storage, *self._storage.additional):
            with store.database.read() as tx:
                for row in find(Layers(tx)):
                    additional = store is not self._storage
                    found.setdefault(row.id, self._read(tx, row, additional=additional))
        return (*found.values(),)

    def _names(self, id: str) -> tuple[str, ...]:  # noqa: A002
        with self._storage.database.read() as tx:
            return Names(tx).get("layer", id)

    def _read(self, tx: Transaction, row: LayerRow, *, additional: bool = False) -> Layer:
        return self._layer(row, Names(tx).get("layer", row.id), additional=additional)

    @staticmethod
    def _layer(row: LayerRow, names: Iterable[str], *, additional: bool = False) -> Layer:
        return Layer(
            id=row.id,
            names=tuple(names),
            parent=row.parent,
            diff_id=row.diff_id,
            diff_size=row.diff_size,
            chain_id=row.chain_id,
            compressed_digest=row.source,
            compressed_size=row.source_size,
            compression=row.compression,
            form=row.form,
            read_only=row.read_only,
            pulled=row.pulled,
            metadata=row.metadata,
            flags=row.flags,
            mount_label=row.mount_label,
            id_mapping=mapping_of(row),
            created_at_ns=row.created_at_ns,
            additional=additional,
        )
