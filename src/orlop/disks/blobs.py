"""Disks that a store keeps: forms under names of their own.

    forms/<algorithm>/<hex>/disk.<fs>     by what it shows, and how it was asked for

A disk is recorded with the digest of its bytes, as any form; it is kept by the leases that list it,
verified by `check`, counted by `df`, and collected when no lease lists it any more. It is recorded
under the lease of who builds it before it gets its name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import file_digest
from typing import TYPE_CHECKING

from orlop._sys.lock import FileLock
from orlop._sys.process import boot_id
from orlop._sys.reflink import copy_range
from orlop.digest import Digest
from orlop.disks.make import DiskMaker, DiskProgress
from orlop.disks.result import LayerRef
from orlop.metadata.derived import DerivedRecord, Forms
from orlop.storage.forms import WRITER_VERSION, is_whole
from orlop.storage.staging import publish, staging_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orlop.disks.options import DiskOptions, Filesystem
    from orlop.disks.trees import Slice
    from orlop.metadata import Lease
    from orlop.storage.chains import Stack
    from orlop.storage.storage import Storage


@dataclass(frozen=True, slots=True)
class Wanted:
    """A disk that is asked for.

    Attributes:
        digest: What identifies it.
        fs: Its filesystem.
        slice: What it shows.
    """

    digest: Digest
    fs: Filesystem
    slice: Slice

    @classmethod
    def of(cls, shown: Slice, options: DiskOptions) -> Wanted:
        """The disk that shows these layers."""
        # Of one layer, too, `layers` is in overlay's form, and `merged` as it is.
        text = f"orlop disk {options.layout} {shown.key} {options.key()}"
        return cls(Digest.of(text.encode()), options.fs, shown)


class DiskBlobs:
    """The disks of a store.

    Args:
        storage: The store.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def path(self, digest: Digest, fs: Filesystem) -> Path:
        """Where a disk is, or would be."""
        return self._storage.places.form(digest) / _kind(fs)

    def find(self, digest: Digest, fs: Filesystem) -> LayerRef | None:
        """A disk that may be used now; None where it must be built."""
        with self._storage.database.read() as tx:
            record = Forms(tx).get(digest, _kind(fs))
        path = self.path(digest, fs)
        if record is None or not record.durable or not is_whole(path, record):
            return None
        return LayerRef(digest=digest, fs_type=fs, size=record.size, path=path)

    def obtain(
        self,
        stack: Stack,
        options: DiskOptions,
        lease: Lease,
        progress: Callable[[DiskProgress], object] | None = None,
    ) -> tuple[tuple[LayerRef, ...], bool]:
        """The disks of a stack, built as far as they are not here, and whether all were.

        Raises:
            OrlopError: As `DiskMaker.make`.
            OSError: Something could not be read or written.
        """
        maker = DiskMaker(self._storage, stack, options, progress, read_again=True)
        wanted = [Wanted.of(each, options) for each in maker.slices]
        lease.hold("form", *(each.digest for each in wanted))
        found = [self.find(each.digest, each.fs) for each in wanted]
        cached = all(found)
        if not cached:
            # One lock for all of an image's disks: who waits for it finds them then.
            with FileLock(self._storage.places.disk_lock(wanted[-1].digest)):
                found = [self.find(each.digest, each.fs) for each in wanted]
                self._build(maker, wanted, found, lease)
            found = [self.find(each.digest, each.fs) for each in wanted]
        refs = tuple(
            LayerRef(
                digest=each.digest,
                fs_type=each.fs,
                size=ref.size if ref is not None else 0,
                path=self.path(each.digest, each.fs),
                diff_ids=each.slice.diff_ids,
            )
            for each, ref in zip(wanted, found, strict=True)
        )
        return refs, cached

    def _build(
        self,
        maker: DiskMaker,
        wanted: list[Wanted],
        found: list[LayerRef | None],
        lease: Lease,
    ) -> None:
        if all(found):
            return
        with staging_directory(self._storage.places, lease.id) as staging:
            paths = [
                None if ref is not None else staging / f"{at}.{each.fs}"
                for at, (each, ref) in enumerate(zip(wanted, found, strict=True))
            ]
            maker.make(paths, lease)
            for each, path in zip(wanted, paths, strict=True):
                if path is not None:
                    self._publish(each.digest, each.fs, path, lease)

    def take(self, ref: LayerRef, lease: Lease) -> None:
        """Keep a copy of a disk that lies elsewhere; nothing happens where it is here.

        Raises:
            OSError: It could not be read, or not be written.
        """
        assert ref.path is not None
        target = self.path(ref.digest, ref.fs_type)
        lease.hold("form", ref.digest)
        if ref.path == target or self.find(ref.digest, ref.fs_type) is not None:
            return
        with staging_directory(self._storage.places, lease.id) as staging:
            path = staging / "disk"
            with open(ref.path, "rb") as source, open(path, "xb") as copy:
                size = os.fstat(source.fileno()).st_size
                copy_range(source.fileno(), copy.fileno(), offset=0, size=size, at=0)
                os.fsync(copy.fileno())
            self._publish(ref.digest, ref.fs_type, path, lease)

    def _publish(self, digest: Digest, fs: Filesystem, built: Path, lease: Lease) -> None:
        with open(built, "rb") as file:
            content = file_digest(file, "sha256").hexdigest()
        record = DerivedRecord(
            source=digest,
            kind=_kind(fs),
            size=built.stat().st_size,
            digest=Digest(f"sha256:{content}"),
            boot_id=boot_id(),
            durable=True,
            writer_version=WRITER_VERSION,
        )
        with self._storage.database.write() as tx:
            lease.hold_in(tx, "form", digest)
            Forms(tx).put(record)
        publish(built, self.path(digest, fs))

    def count(self) -> int:
        """How many disks the store has."""
        with self._storage.database.read() as tx:
            return int(tx.rows("SELECT count(*) FROM forms WHERE kind GLOB 'disk.*'")[0][0])


def _kind(fs: Filesystem) -> str:
    return f"disk.{fs}"
