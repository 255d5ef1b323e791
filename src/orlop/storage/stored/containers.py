"""The containers of a store: each a layer to write to, and what belongs to it."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Literal

from orlop._sys.cgroups import remove_groups
from orlop.errors import InUseError, NotFoundError, some_of
from orlop.metadata import BigData, ContainerRow, Containers, LayerRow, Layers, Names
from orlop.storage.big_data import BigDataStore
from orlop.storage.directories import (
    make_directory,
    make_run_directory,
    remove_directories,
)
from orlop.storage.keys import find_id, nothing_called
from orlop.storage.layers.making import forget_layer, users_in
from orlop.storage.layers.mapping import encode_mapping, mapping_of
from orlop.storage.naming import (
    change_names,
    check_id,
    check_metadata,
    check_names,
    new_id,
    require_free,
)
from orlop.storage.reserve import with_reserve
from orlop.storage.stored.facts import layer_in, read_facts
from orlop.storage.stored.record import Container
from orlop.storage.stored.running import running

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from orlop.compression import CompressionName
    from orlop.idmap import IdMapping
    from orlop.metadata import Transaction
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.mount import LayerMount
    from orlop.storage.layers.store import LayerStore
    from orlop.storage.stored.auto import AutoIds
    from orlop.storage.stored.facts import Facts
    from orlop.storage.stored.record import StoredImage
    from orlop.tree import Change


class ContainerStore:
    """The containers of a store.

    A `key` is an ID, a name, or a unique prefix of an ID.

    Args:
        storage: The store.
        layers: Its layers.
    """

    def __init__(self, storage: StorageCore, layers: LayerStore) -> None:
        self._storage = storage
        self._layers = layers
        self.data = BigDataStore(storage, "container")

    def create(
        self,
        image: str | None = None,
        *,
        layer: str | None = None,
        id: str | None = None,  # noqa: A002
        names: Iterable[str] = (),
        metadata: str = "",
        flags: Mapping[str, object] | None = None,
        mount_label: str = "",
        id_mapping: IdMapping | AutoIds | Literal["auto"] | None = None,
        volatile: bool = False,
    ) -> Container:
        """Make a container; success means that it outlives a power cut.

        Args:
            image: The image that it is made from.
            layer: Instead, the layer that it stands on; with neither it is empty.
            id: Its ID; a random one where None.
            names: What else it is called.
            metadata: What its user notes about it, at most `MAX_METADATA_SIZE` bytes.
            flags: What programs note about it.
            mount_label: An SELinux label, which is noted and not used.
            id_mapping: The IDs that it is seen through: given, or chosen out of the subordinate
                IDs of the user `containers`, so that no other container has them.
            volatile: Leave what it writes to the kernel: its mount does not wait for the disk, and
                a crash of the machine may lose any of it.

        Raises:
            NotFoundError: There is no such image or layer, or there are no subordinate IDs.
            AmbiguousError: A prefix fits several.
            AlreadyExistsError: The ID or a name is taken.
            InUseError: The layer is mounted, and takes writes.
            InvalidError: The ID or a name cannot be one.
            LimitExceededError: There are too many names, or metadata; or no IDs are left.
            OSError: It could not be recorded.
            ValueError: Both an image and a layer are given.
        """
        if image is not None and layer is not None:
            raise ValueError("a container is made from an image or from a layer")
        facts, top = (None, None) if image is None else self._image(image)
        if layer is not None:
            top = self._layers.resolve(layer)
        names = check_names(names)
        made, wanted = _asked(id_mapping)
        durability = {"volatile": True} if volatile else {}
        draft = self._layers.making.draft(
            top, flags=durability, mount_label=mount_label, id_mapping=made
        )
        row = ContainerRow(
            id=new_id() if id is None else check_id(id),
            image="" if facts is None else facts.id,
            layer=draft.id,
            manifest_digest=None if facts is None else facts.manifest_digest,
            config_digest=None if facts is None else facts.config_digest,
            metadata=check_metadata(metadata),
            flags={**(flags or {}), **durability},
            created_at_ns=time.time_ns(),
        )
        own = self._layers.on_parent(top, lambda: self._record(row, draft, names, wanted))
        return _container(row, own, names)

    def resolve(self, key: str) -> str:
        """The ID of a container.

        Raises:
            NotFoundError: There is none.
            AmbiguousError: A prefix fits several containers.
        """
        return self._row(key).id

    def get(self, key: str) -> Container:
        """A container.

        Raises:
            NotFoundError: There is none.
            AmbiguousError: A prefix fits several containers.
        """
        row = self._row(key)
        with self._storage.database.read() as tx:
            return self._read(tx, row)

    def list(self) -> tuple[Container, ...]:
        """All containers, in the order of the IDs."""
        with self._storage.database.read() as tx:
            names = Names(tx).all("container")
            return tuple(
                _container(row, Layers(tx).get(row.layer), names.get(row.id, ()))
                for row in Containers(tx).list()
            )

    def by_layer(self, key: str) -> Container | None:
        """The container whose own a layer is, if any."""
        id = self._layers.resolve(key)  # noqa: A001
        with self._storage.database.read() as tx:
            row = Containers(tx).with_layer(id)
            return None if row is None else self._read(tx, row)

    def add_names(self, key: str, names: Iterable[str]) -> Container:
        """Give a container more names; one that is taken moves here.

        Raises:
            NotFoundError: There is no such container.
            InvalidError: A name cannot be one.
            LimitExceededError: There are too many, or one is too long.
        """
        return self._rename(key, add=check_names(names))

    def remove_names(self, key: str, names: Iterable[str]) -> Container:
        """Take names away from a container; those that it has not are none."""
        return self._rename(key, remove=tuple(names))

    def set_names(self, key: str, names: Iterable[str]) -> Container:
        """Give a container these names and no others; one that is taken moves here."""
        wanted = check_names(names)
        return self._rename(key, add=wanted, remove=self.get(key).names)

    def set_metadata(self, key: str, metadata: str) -> Container:
        """Note something else about a container.

        Raises:
            LimitExceededError: `MAX_METADATA_SIZE`.
        """
        check_metadata(metadata)
        id = self.resolve(key)  # noqa: A001
        with self._storage.database.write() as tx:
            Containers(tx).set_metadata(id, metadata)
        return self.get(id)

    def set_flags(self, key: str, flags: Mapping[str, object]) -> Container:
        """Let programs note something else about a container."""
        id = self.resolve(key)  # noqa: A001
        with self._storage.database.write() as tx:
            Containers(tx).set_flags(id, flags)
        return self.get(id)

    def mount(
        self,
        key: str,
        *,
        read_only: bool | None = None,
        keep: bool = False,
        target: Path | None = None,
    ) -> LayerMount:
        """Show a container as a directory; see `LayerStore.mount`.

            with storage.containers.mount("web") as rootfs:
                (rootfs / "etc/hostname").write_text("web")

        Its device nodes and set-user-id bits work.

        Args:
            key: The container.
            read_only: Whether it takes no writes.
            keep: Outlive this process, until somebody unmounts it.
            target: An existing directory to show it at, where it is not mounted yet; None for a
                place of orlop's own.
        """
        return self._layers.mount_exactly(
            self._row(key).layer, read_only=read_only, keep=keep, nodev=False, nosuid=False,
            target=target,
        )  # fmt: skip

    def unmount(self, key: str, *, force: bool = False) -> int:
        """Give up one hold on its mount; see `LayerStore.unmount`."""
        return self._layers.unmount(self._row(key).layer, force=force)

    def mounted(self, key: str) -> int:
        """How many hold its mount."""
        return self._layers.mounted(self._row(key).layer)

    def diff(self, key: str, *, compression: CompressionName = "none") -> BinaryIO:
        """What it changed of its image, as a tar; see `LayerStore.diff`."""
        return self._layers.diff(self._row(key).layer, compression=compression)

    def changes(self, key: str) -> tuple[Change, ...]:
        """What it added, modified and deleted of its image; see `LayerStore.changes`."""
        return self._layers.changes(self._row(key).layer)

    def size(self, key: str) -> int:
        """The bytes of what it changed, as a tar, and of its big data."""
        row = self._row(key)
        data = sum(datum.size for datum in self.data.list(row.id))
        return data + self._layers.size(row.layer)

    def commit(
        self,
        key: str,
        *names: str,
        author: str | None = None,
        comment: str | None = None,
        created_by: str | None = None,
        created_at_ns: int | None = None,
        compression: CompressionName = "none",
    ) -> StoredImage:
        """Make an image of a container; success means that it is whole and durable.

        What the container changed becomes a layer on those of its image, as it is at that moment:
        whoever writes to it meanwhile may see half of his writes in it. The container stays.

        Args:
            key: The container.
            names: References that the image gets; one that is taken moves here. Without one the
                image stays until it is deleted.
            author: Who made it.
            comment: What is to be said of it.
            created_by: The command that made it.
            created_at_ns: When, in nanoseconds since 1970; now where None.
            compression: How the new layer is stored, and pushed.

        Raises:
            NotFoundError: There is no such container, or its image has lost its documents.
            InvalidReferenceError: A name is no reference.
            InvalidLayerError: A file shrank while it was read.
            OSError: It could not be read or written; nothing was named.
        """
        from orlop.storage.stored.commit import Committed, commit

        return commit(
            self._storage,
            self._layers,
            self._row(key),
            names,
            Committed(
                author=author, comment=comment, created_by=created_by,
                created_at_ns=created_at_ns, compression=compression,
            ),
        )  # fmt: skip

    def delete(self, key: str, *, force: bool = False) -> None:
        """Remove a container with its layer and all its data; success means that it is gone.

        After a crash of the machine a volatile one may be there again, with nothing in it.

        Args:
            key: The container.
            force: Also while it is mounted: the mount is taken away first.

        Raises:
            InUseError: It runs, or is mounted, or layers stand on its own, or images.
            NotFoundError: There is no such container.
            OSError: It could not be removed.
        """
        row = self._row(key)
        mounts = self._layers.mounts
        directory = self._storage.places.run_directory("container", row.id)
        with ExitStack() as stack:
            if directory.exists():
                with suppress(FileNotFoundError):  # Somebody else deletes it.
                    stack.enter_context(running(directory, row.id, hint="end it first"))
                if (directory / "runtime").exists():
                    remove_groups(row.id)  # A run that was killed has left them.
            stack.enter_context(mounts.lock(row.layer))
            if force:
                mounts.take_away(row.layer)
            mounts.require_unmounted(row.layer)

            def forget() -> None:
                with self._storage.database.write(durable=not _is_volatile(row)) as tx:
                    _forget(tx, row)

            with self._layers.making.unread(row.layer):
                with_reserve(self._storage.places, forget)
            remove_directories(self._storage, "container", row.id, layer=row.layer)

    def directory(self, key: str) -> Path:
        """A directory that belongs to a container, and goes with it; made now."""
        return make_directory(self._storage, "container", self.resolve(key))

    def run_directory(self, key: str) -> Path:
        """The same, for what goes with this boot of the machine."""
        return make_run_directory(self._storage, "container", self.resolve(key))

    def _image(self, key: str) -> tuple[Facts, str | None]:
        """What is known of an image, and its top layer."""
        for store in (self._storage, *self._storage.additional):
            with store.database.read() as tx:
                id = find_id(tx, "image", key)  # noqa: A001
                facts = None if id is None else read_facts(tx, id)
                if facts is not None:
                    _require_chosen(facts)
                    return facts, layer_in(tx, facts)
        raise nothing_called("image", key)

    def _record(
        self, row: ContainerRow, layer: LayerRow, names: Iterable[str], wanted: AutoIds | None
    ) -> LayerRow:
        """Record a container and its layer, which is given back with the IDs that it got.

        What a volatile one has written is lost in a crash of the machine; so may its record be.
        """
        with self._storage.database.write(durable=not _is_volatile(row)) as tx:
            if wanted is not None:
                from orlop.storage.stored.auto import choose_ids

                layer = replace(layer, id_mapping=encode_mapping(choose_ids(tx, wanted)))
            require_free(tx, "container", names)
            Containers(tx).create(row)
            Names(tx).add("container", row.id, names)
            self._layers.making.create_in(tx, replace(layer, pinned=False))
        return layer

    def _row(self, key: str) -> ContainerRow:
        with self._storage.database.read() as tx:
            row = Containers(tx).get(key)
            if row is not None:
                return row
            id = find_id(tx, "container", key)  # noqa: A001
            row = None if id is None else Containers(tx).get(id)
        if row is None:
            raise nothing_called("container", key)
        return row

    def _rename(
        self, key: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> Container:
        id = self.resolve(key)  # noqa: A001
        with self._storage.database.write() as tx:
            row = Containers(tx).get(id)
            if row is None:
                raise nothing_called("container", key)
            change_names(tx, "container", id, add=add, remove=remove)
            return self._read(tx, row)

    @staticmethod
    def _read(tx: Transaction, row: ContainerRow) -> Container:
        return _container(row, Layers(tx).get(row.layer), Names(tx).get("container", row.id))


def _asked(
    id_mapping: IdMapping | AutoIds | Literal["auto"] | None,
) -> tuple[IdMapping | None, AutoIds | None]:
    """An ID mapping that is given, or how one is to be chosen."""
    if id_mapping is None:
        return None, None
    from orlop.storage.stored.auto import AutoIds

    if isinstance(id_mapping, AutoIds):
        return None, id_mapping
    return (None, AutoIds()) if isinstance(id_mapping, str) else (id_mapping, None)


def _container(row: ContainerRow, layer: LayerRow | None, names: Iterable[str]) -> Container:
    return Container(
        id=row.id,
        names=tuple(names),
        image=row.image,
        layer=row.layer,
        metadata=row.metadata,
        flags=row.flags,
        id_mapping=None if layer is None else mapping_of(layer),
        created_at_ns=row.created_at_ns,
    )


def _require_chosen(facts: Facts) -> None:
    """Succeed unless a name stands for an index that has no image for this machine."""
    if facts.rows and facts.rows[0].manifest_digest is None:
        raise NotFoundError(
            f"{facts.rows[0].name} has no image for this machine",
            hint="say for which platform you want it: orlop run --platform, or Image.of_platform",
        )


def _is_volatile(row: ContainerRow) -> bool:
    return bool(row.flags.get("volatile"))


def _forget(tx: Transaction, row: ContainerRow) -> None:
    users = replace(users_in(tx, row.layer), containers=())
    if users:
        raise InUseError(
            f"the layer of container {row.id} is needed by {some_of(tuple(users))}",
            users=tuple(users),
            hint="remove those first",
        )
    Containers(tx).delete(row.id)
    Names(tx).clear("container", row.id)
    BigData(tx).clear("container", row.id)
    forget_layer(tx, row.layer)
