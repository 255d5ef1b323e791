"""Bundles of a store's images."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from orlop._sys.handle import Fd
from orlop.bundle.directory import (
    is_enterable,
    make_bundle_directory,
    require_enterable,
    require_free,
    write_spec,
    write_targets,
)
from orlop.bundle.finish import finish_spec, start_spec
from orlop.bundle.names import DIR_ROOTFS, MAX_LAYERS
from orlop.bundle.options import hostname, image_config
from orlop.bundle.protocols import check_layer_count
from orlop.bundle.records import Bundles, flags_of
from orlop.bundle.stored import PullRules, StoreImage, obtain_image
from orlop.bundle.targets import make_targets, mount_targets
from orlop.errors import InvalidError, UnsupportedError
from orlop.idmap import IdMapping, decode_ranges
from orlop.storage.naming import check_id

if TYPE_CHECKING:
    from types import TracebackType

    from orlop.bundle.options import SpecOption
    from orlop.bundle.protocols import HasStorage
    from orlop.bundle.records import BundleRecord, Kind
    from orlop.spec.runtime import RuntimeSpec
    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import StoredImage

_SHORT: Final = 12


class StoredBundle:
    """A bundle of a store; as a context manager it is removed at the end.

    Args:
        storage: The store.
        record: What the store knows of it.
        notes: What could not be taken over, for people.
    """

    def __init__(self, storage: Storage, record: BundleRecord, notes: tuple[str, ...] = ()) -> None:
        self._storage = storage
        self._record = record
        self.notes = notes

    @property
    def path(self) -> Path:
        """Where it is: what `runc run --bundle` takes."""
        return self._record.path

    @property
    def id(self) -> str:
        """The container of the store that it is."""
        return self._record.id

    def cleanup(self) -> None:
        """Remove it with all that the container wrote; removing it again does nothing.

        Raises:
            InUseError: The container runs.
            OSError: It could not be removed.
        """
        Bundles(self._storage).remove(self._record)

    def commit(self, *names: str) -> StoredImage:
        """Make an image of what the container wrote; see `ContainerStore.commit`.

        Places that were made to mount at are none of it while they are empty. The container should
        have ended.

        Raises:
            UnsupportedError: The bundle is a tree of its own, which nobody compares.
        """
        if self._record.kind != "overlay":
            raise UnsupportedError(
                f"bundle {self.path} is written out, and not to be committed",
                hint="make it without --uncompressed",
            )
        with Bundles(self._storage).without_targets(self._record):
            return self._storage.containers.commit(self.id, *names)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self.cleanup()


class _StoreBundler:
    """What both bundlers of a store have alike."""

    kind: Kind

    def __init__(
        self, store: HasStorage, *, rules: PullRules | None = None, max_layers: int = MAX_LAYERS
    ) -> None:
        self._storage = store.storage
        self._rules = rules or PullRules()
        self._max_layers = max_layers

    def bundle(
        self,
        image: str,
        id: str,  # noqa: A002
        /,
        *options: SpecOption,
        path: str | os.PathLike[str] | None = None,
    ) -> StoredBundle:
        """A bundle that is ready for a runtime; it stays until `cleanup`.

        Args:
            image: A name or ID; or what `Store.pull` takes, of an image that is not here.
            id: What the container is called: an ID that is free.
            options: How it is to be run, after what the image says.
            path: The bundle's directory, which is missing or empty; one of the store's own where
                None.

        Raises:
            NotFoundError: There is no such image; or no such user in it.
            LimitExceededError: It has more layers than it may.
            AlreadyExistsError: The ID is taken, or the directory not empty.
            InvalidError: The ID cannot be one; an option makes no sense, or all together break a
                rule.
            UnsupportedError: No right to mount, or to give what is asked for.
            OSError: Something could not be written; nothing is left of it.
        """
        check_id(id)
        found = obtain_image(self._storage, image, self._rules)
        check_layer_count(len(found.config.diff_ids), self._max_layers)
        spec = start_spec((image_config(found.config), hostname(host_name(id)), *options))
        if os.geteuid() != 0 and spec.namespace("user") is None:
            spec.notes.append("root alone can run it: --rootless makes one that a user can run")
        bundles = Bundles(self._storage)
        place = None if path is None else Path(os.path.abspath(path))
        if place is not None:
            stale = bundles.at(place)
            if stale is not None and bundles.is_stale(stale):
                bundles.remove(stale, force=True)
            require_free(place)
        with ExitStack() as undo:
            record = self._make(found, id, spec, place, undo)
            undo.pop_all()
        return StoredBundle(self._storage, record, tuple(spec.notes))

    def _make(
        self,
        image: StoreImage,
        id: str,  # noqa: A002
        spec: RuntimeSpec,
        place: Path | None,
        undo: ExitStack,
    ) -> BundleRecord:
        place = place or self._own_place(id)
        mapping = mapping_of(spec)
        self._record(image, id, place, mapping)
        record = Bundles(self._storage).get(id)
        undo.callback(_restore_directory, place, _stat(place))
        undo.callback(Bundles(self._storage).remove, record, force=True)
        rootfs = make_bundle_directory(place, id)
        root = self._fill(image, record, rootfs, mapping)
        spec.section("root")["path"] = DIR_ROOTFS if root == rootfs else str(root)
        with Fd(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as handle:
            finish_spec(spec, handle.fileno())
            owner = None
            if mapping is not None and os.geteuid() == 0:
                owner = mapping.to_host(0, 0)
            made = make_targets(handle.fileno(), mount_targets(spec), owner)
        write_targets(place, id, made)
        write_spec(place, spec)
        Bundles(self._storage).finish(record)
        return record

    def _own_place(self, id: str) -> Path:  # noqa: A002
        raise NotImplementedError

    def _record(
        self,
        image: StoreImage,
        id: str,  # noqa: A002
        place: Path,
        mapping: IdMapping | None,
    ) -> None:
        raise NotImplementedError

    def _fill(
        self, image: StoreImage, record: BundleRecord, rootfs: Path, mapping: IdMapping | None
    ) -> Path:
        raise NotImplementedError


class OverlayBundler(_StoreBundler):
    """Makes bundles whose files are the image's own, mounted, under a layer for what is written.

        with OverlayBundler(store).bundle("debian:12", "web", memory_limit("256M")) as bundle:
            subprocess.run(["runc", "run", "--bundle", bundle.path, "web"])

    All bundles of an image share its mount. Each is a container of the store as well: what was
    written can be told, and committed.

    Args:
        store: The store.
        rules: When and how images are fetched.
        max_layers: Layers that an image may have.
        volatile: Leave what containers write to the kernel, which a crash of the machine may lose.
    """

    kind: Kind = "overlay"

    def __init__(
        self,
        store: HasStorage,
        *,
        rules: PullRules | None = None,
        max_layers: int = MAX_LAYERS,
        volatile: bool = False,
    ) -> None:
        super().__init__(store, rules=rules, max_layers=max_layers)
        self._volatile = volatile

    def _own_place(self, id: str) -> Path:  # noqa: A002
        places = self._storage.places
        run = places.run_directory("container", id)
        places.make_below_run(run)
        return run / "bundle"

    def _record(
        self,
        image: StoreImage,
        id: str,  # noqa: A002
        place: Path,
        mapping: IdMapping | None,
    ) -> None:
        self._storage.containers.create(
            image.id, id=id, flags=flags_of(place, self.kind, image.id),
            id_mapping=_shown(mapping), volatile=self._volatile,
        )  # fmt: skip

    def _fill(
        self,
        image: StoreImage,  # noqa: ARG002
        record: BundleRecord,
        rootfs: Path,
        mapping: IdMapping | None,
    ) -> Path:
        # A mapped root has to get there: among the store's own mount points it can.
        mapping = _shown(mapping)
        reachable = mapping is None or is_enterable(rootfs, mapping)
        target = rootfs if reachable else None
        root = self._storage.containers.mount(record.id, keep=True, target=target).path
        if mapping is not None:
            require_enterable(root.parent, mapping)
        return root


class UncompressedBundler(_StoreBundler):
    """Makes bundles whose files are written out anew, each time; no right to mount is needed.

    Args:
        store: The store.
        rules: When and how images are fetched.
        max_layers: Layers that an image may have.
    """

    kind: Kind = "uncompressed"

    def _own_place(self, id: str) -> Path:  # noqa: A002
        return self._storage.places.object("container", id) / "userdata/bundle"

    def _record(
        self,
        image: StoreImage,
        id: str,  # noqa: A002
        place: Path,
        mapping: IdMapping | None,  # noqa: ARG002
    ) -> None:
        flags = flags_of(place, self.kind, image.id)
        self._storage.containers.create(None, id=id, flags=flags)

    def _fill(
        self, image: StoreImage, record: BundleRecord, rootfs: Path, mapping: IdMapping | None
    ) -> Path:
        from orlop.bundle.tree import merge_layers, write_rootfs
        from orlop.metadata import Lease
        from orlop.storage.chains import Stack
        from orlop.storage.rebuild import ensure_form
        from orlop.storage.tars import LayerTars

        if mapping is not None:
            require_enterable(rootfs.parent, mapping)
        forms, stack = self._storage.forms, Stack.of(image.config.diff_ids)
        with Lease(self._storage.database, f"bundle {record.id}") as lease:
            if stack.diff_ids:
                lease.hold("chain", stack.chain_id)
            for at in range(len(stack.diff_ids)):
                ensure_form(self._storage, stack, at, "tar", lease)
            with LayerTars(forms) as tars:
                tree = merge_layers((each, forms.changeset(each)) for each in stack.diff_ids)
                write_rootfs(rootfs, tree, tars.open, mapping)
        return rootfs


def _stat(place: Path) -> os.stat_result | None:
    """What a directory is like; None where there is none."""
    try:
        return place.stat()
    except FileNotFoundError:
        return None


def _restore_directory(place: Path, before: os.stat_result | None) -> None:
    """Make an empty directory of the user's again, which has gone with a bundle that failed."""
    if before is None or place.exists():
        return
    place.mkdir(mode=0o700)
    if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(place, before.st_uid, before.st_gid)
    place.chmod(before.st_mode & 0o7777)


def mapping_of(spec: RuntimeSpec) -> IdMapping | None:
    """The ids of a container that has a user namespace, or None.

    Raises:
        InvalidError: It has one without ids.
    """
    if spec.namespace("user") is None:
        return None
    linux = spec.section("linux")
    uids, gids = linux.get("uidMappings"), linux.get("gidMappings")
    if not uids or not gids:
        raise InvalidError(
            "has a user namespace without ids", where="$.linux.uidMappings",
            hint='give it some: user_namespace(IdMapping.parse(["0:100000:65536"]))',
        )  # fmt: skip
    return IdMapping(
        uids=decode_ranges(uids, where="$.linux.uidMappings"),
        gids=decode_ranges(gids, where="$.linux.gidMappings"),
    )


def _shown(mapping: IdMapping | None) -> IdMapping | None:
    """The mapping that files are to be seen through; None where their own ids will do.

    Without privilege all files belong to this process, who is the container's root.
    """
    if mapping is None or mapping.is_identity or os.geteuid() != 0:
        return None
    return mapping


def host_name(id: str) -> str:  # noqa: A002
    """What a container calls itself: its ID, of a long one the beginning."""
    return id if len(id) <= 63 and id.isascii() else id[:_SHORT]
