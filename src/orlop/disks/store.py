"""The images of a store that were made into disks, by tag."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from orlop.digest import Digest
from orlop.disks.blobs import DiskBlobs
from orlop.disks.options import FILESYSTEMS
from orlop.disks.records import DiskRecord, DiskRecords, hint_of
from orlop.disks.result import BuildResult, ImageInfo
from orlop.errors import (
    CreateDirError,
    DiskError,
    ImageNotFoundError,
    InvalidDigestError,
    LayerFSError,
    OrlopError,
    StoreReadError,
    StoreSaveError,
)
from orlop.metadata import Lease
from orlop.storage.collect import collect
from orlop.storage.places import Places
from orlop.storage.storage import Storage
from orlop.storage.where import find_places

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike
    from pathlib import Path

    from orlop.disks.options import Filesystem
    from orlop.disks.records import Scope
    from orlop.disks.result import ImageMeta, LayerRef
    from orlop.metadata.leases import Kind


class Store:
    """Images that were made into disks, by tag; a context manager.

    The disks lie in a store of orlop's, beside all else that is in it.

    Args:
        root: Where that is, and is made where there is none; where orlop has it where None.
        run: Its mount points.
        storage: The store, where it is open already; it stays open when this one is closed.
        scope: Which tags: those that were given here, or the references that were built from
            registries.

    Raises:
        CreateDirError: It cannot be made or opened.
    """

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        run: str | PathLike[str] | None = None,
        *,
        storage: Storage | None = None,
        scope: Scope = "local",
    ) -> None:
        self._own = storage is None
        self._storage = open_storage(root, run) if storage is None else storage
        self._records = DiskRecords(self._storage, scope)
        self.blobs = DiskBlobs(self._storage)

    @property
    def storage(self) -> Storage:
        """The store that it is in."""
        return self._storage

    @property
    def cache_root(self) -> Path:
        """Where the store is."""
        return self._storage.places.root

    def close(self) -> None:
        """Let go of the store; everything stays."""
        if self._own:
            self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def blob_path(self, digest: Digest) -> Path:
        """Where the erofs of this digest is, or would be."""
        return self.blob_path_with_fs(digest, "erofs")

    def blob_path_with_fs(self, digest: Digest, fs_type: Filesystem) -> Path:
        """Where the disk of this digest is, or would be.

        Raises:
            LayerFSError: There is no such filesystem.
        """
        require_fs(fs_type)
        return self.blobs.path(digest, fs_type)

    def save(self, tag: str, layers: Sequence[LayerRef], meta: ImageMeta) -> None:
        """Note disks under a tag, in place of those that it had; files from elsewhere are copied.

        Args:
            tag: What they are called.
            layers: The disks, base first. Where `meta.runtime_rootfs_path` is the path of a disk
                of this store, a machine attaches that one, and these are the canonical ones.
            meta: What is noted about them.

        Raises:
            StoreSaveError: There are none, one has no digest, or the record could not be kept.
            LayerFSError: A filesystem is not known.
            ImageNotFoundError: A disk is not there.
        """
        layers = tuple(layers)
        check_layers(tag, layers)
        with self.leased(f"disks of {tag}") as lease:
            for each in layers:
                self._take(tag, each, lease)
            runtime = self._runtime(tag, meta.runtime_rootfs_path, lease)
            if runtime is not None:
                shown = tuple(diff_id for each in layers for diff_id in each.diff_ids)
                runtime = replace(runtime, diff_ids=shown)
            self.put(tag, layers, runtime, meta, lease)

    def put(
        self,
        tag: str,
        canonical: tuple[LayerRef, ...],
        runtime: LayerRef | None,
        meta: ImageMeta,
        lease: Lease,
        *,
        key: str = "",
        items: tuple[tuple[Kind, str], ...] = (),
    ) -> BuildResult:
        """Note disks that are in this store under a tag; raises as `save`.

        Args:
            tag: What they are called.
            canonical: The disks, base first.
            runtime: The one that shows everything, where there is one.
            meta: What is noted about them; size and time are filled in where they are missing.
            lease: What keeps them until then.
            key: How they were asked for, by which they are found as well.
            items: What else of the store is kept as long as they are.
        """
        kept = self._with_paths(canonical)
        if kept is None:
            raise ImageNotFoundError(f"{tag}: a disk is not there")
        size = meta.size or sum(allocated(each.path) for each in kept)
        created = meta.created_at if meta.created_at.timestamp() else datetime.now(UTC)
        record = DiskRecord(
            meta=replace(meta, tag=tag, size=size, created_at=created),
            layers=kept if runtime is None else (runtime,),
            canonical_layers=kept,
        )
        self._records.put(tag, record, lease, key=key, items=items)
        found = self._result_of(record)
        assert found is not None
        return replace(found, cached=False)

    def get(self, tag: str) -> BuildResult:
        """The disks under a tag.

        Raises:
            ImageNotFoundError: There are none, or one of them is lost.
            MetadataError: The record is broken.
            LayerFSError: A disk has a filesystem that is not known.
            StoreReadError: The records cannot be read.
        """
        found = self.find(tag)
        if found is None:
            raise ImageNotFoundError(f"there are no disks of {tag}", hint="build them")
        return found

    def find(self, tag: str, *, key: str | None = None, whole: bool = False) -> BuildResult | None:
        """The disks under a tag; None where there are none, or one is lost.

        Args:
            tag: What they are called.
            key: How they were asked for; of several ways the last one where None.
            whole: Whether all of them have to be there: those that a machine attaches, and the
                canonical ones.
        """
        record = self._records.get(tag, key=key)
        return None if record is None else self._result_of(record, whole=whole)

    def list(self) -> list[ImageInfo]:
        """All images under tags, the newest first; those of which a disk is lost are left out.

        Raises:
            MetadataError: A record is broken.
            LayerFSError: A disk has a filesystem that is not known.
            StoreReadError: The records cannot be read.
        """
        pairs = ((record, self._result_of(record)) for record in self._records.all())
        return [
            ImageInfo(tag=record.meta.tag, rootfs_path=found.rootfs_path, meta=record.meta)
            for record, found in pairs
            if found is not None
        ]

    def remove(self, tag: str) -> None:
        """Forget the disks under a tag, and free those that nobody else needs.

        Raises:
            ImageNotFoundError: There are none.
            StoreSaveError: The record could not be removed.
            OSError: A file could not be removed.
        """
        if not self._records.remove(tag):
            raise ImageNotFoundError(
                f"there are no disks of {tag}", hint="`list` tells what there is"
            )
        self.gc()

    def gc(self) -> int:
        """Free the disks that no tag needs, with all else in the store that nothing needs.

        Returns:
            How many disks went.

        Raises:
            OSError: A file could not be removed.
        """
        before = self.blobs.count()
        collect(self._storage)
        return max(0, before - self.blobs.count())

    def _take(self, tag: str, ref: LayerRef, lease: Lease) -> None:
        try:
            lease.hold("form", ref.digest)
            found = self.blobs.find(ref.digest, ref.fs_type)
            if found is None and (ref.path is None or not ref.path.is_file()):
                raise ImageNotFoundError(f"{tag}: there is no disk {ref.digest}")
            self.blobs.take(ref if found is None else found, lease)
        except DiskError:
            raise
        except (OSError, OrlopError) as error:
            raise StoreSaveError(
                f"{tag}: disk {ref.digest}: {error}", hint=hint_of(error)
            ) from error

    def _runtime(self, tag: str, path: Path | None, lease: Lease) -> LayerRef | None:
        """The disk of this store that a path means; None where it means none."""
        if path is None:
            return None
        name, _, fs = path.name.partition(".")
        if name != "disk" or fs not in FILESYSTEMS:
            return None
        try:
            digest = Digest(f"{path.parent.parent.name}:{path.parent.name}")
        except InvalidDigestError:
            return None
        if os.path.abspath(path) != os.path.abspath(self.blobs.path(digest, fs)):
            return None
        lease.hold("form", digest)
        found = self.blobs.find(digest, fs)
        if found is None:
            raise ImageNotFoundError(f"{tag}: there is no disk {path}")
        return found

    def _result_of(self, record: DiskRecord, *, whole: bool = False) -> BuildResult | None:
        """What a record says, with paths; None where a disk is lost.

        Of what is attached and what is canonical one is enough, as long as it is whole.
        """
        layers, canonical = map(self._with_paths, (record.layers, record.canonical_layers))
        if (layers is None and canonical is None) or (whole and None in (layers, canonical)):
            return None
        layers = layers if layers is not None else canonical or ()
        return BuildResult(
            layers=layers,
            canonical_layers=canonical if canonical is not None else layers,
            digest=record.meta.digest,
            cached=True,
            oci=record.meta.oci,
            source=record.meta.source,
        )

    def _with_paths(self, refs: tuple[LayerRef, ...]) -> tuple[LayerRef, ...] | None:
        try:
            found = [self.blobs.find(each.digest, each.fs_type) for each in refs]
        except (OSError, OrlopError) as error:
            raise StoreReadError(f"a disk cannot be looked up: {error}") from error
        if not found or not all(found):
            return None
        return tuple(
            replace(each, path=self.blobs.path(each.digest, each.fs_type)) for each in refs
        )

    @contextmanager
    def leased(self, purpose: str) -> Iterator[Lease]:
        """A lease for what is under way.

        Raises:
            StoreSaveError: It could not be recorded.
        """
        try:
            lease = Lease(self._storage.database, purpose)
        except (OSError, OrlopError) as error:
            raise StoreSaveError(f"{purpose}: {error}", hint=hint_of(error)) from error
        with lease:
            yield lease


def open_storage(root: str | PathLike[str] | None, run: str | PathLike[str] | None) -> Storage:
    """Open the store that disks are kept in, and make it where there is none.

    Raises:
        CreateDirError: It cannot be made or opened.
    """
    try:
        places = find_places(root, run)
        return Storage.open(Places(places.root, places.run))
    except (OSError, OrlopError) as error:
        where = root or "the store"
        raise CreateDirError(
            f"{where} cannot be made or opened: {error}", hint=hint_of(error)
        ) from error


def check_layers(tag: str, layers: Sequence[LayerRef]) -> None:
    """Succeed if a record can be made of these disks.

    Raises:
        StoreSaveError: There are none, or one has no digest.
        LayerFSError: A filesystem is not known.
    """
    if not layers:
        raise StoreSaveError(f"{tag}: there are no disks to save")
    for each in layers:
        try:
            Digest(each.digest)
        except InvalidDigestError as error:
            raise StoreSaveError(f"{tag}: a disk has no digest: {error}") from None
        require_fs(each.fs_type)


def require_fs(fs_type: str) -> None:
    """Succeed if a filesystem is known.

    Raises:
        LayerFSError: It is not.
    """
    if fs_type not in FILESYSTEMS:
        known = ", ".join(FILESYSTEMS)
        raise LayerFSError(f"{fs_type[:40]!r} is no filesystem of disks: {known} are")


def allocated(path: Path | None) -> int:
    """Bytes that a file occupies, holes left out."""
    return 0 if path is None else path.stat().st_blocks * 512
