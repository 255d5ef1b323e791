"""A store as a whole: its layers, images and containers, and what is done to all of it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orlop.storage.core import STORAGE_DRIVERS, StorageCore
from orlop.storage.places import Places, resolved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from orlop.storage.check import BlobFetcher, Repaired, Report
    from orlop.storage.layers.store import LayerStore
    from orlop.storage.mountable import StorageDriver
    from orlop.storage.stored.containers import ContainerStore
    from orlop.storage.stored.images import StoredImageStore

__all__ = ["STORAGE_DRIVERS", "Storage", "open_storage"]


def open_storage(
    root: str | PathLike[str],
    run: str | PathLike[str],
    *,
    read_only: bool = False,
    driver: StorageDriver | None = None,
    additional: Sequence[str | PathLike[str]] = (),
) -> Storage:
    """Open a store, and make it where there is none.

    Args:
        root: Where it is.
        run: Its mount points.
        read_only: Write nothing.
        driver: How layers are mounted and written to: `erofs`, `overlay` or `vfs`; what suits the
            machine where None.
        additional: Other stores, to be looked through after it; they are only read.

    Raises:
        NotFoundError: There is none, and nothing may be written.
        UnsupportedError: Another version of orlop made it.
        InvalidError: It is damaged.
        OSError: It cannot be opened or made.
    """
    places = Places(Path(root).absolute(), resolved(run))
    others = [Places(Path(each).absolute(), places.run) for each in additional]
    return Storage.open(places, read_only=read_only, driver=driver, additional=others)


class Storage(StorageCore):
    """Layers, images and containers in one place, with all that they are built on."""

    @cached_property
    def layers(self) -> LayerStore:
        """The layers."""
        from orlop.storage.layers.store import LayerStore

        return LayerStore(self)

    @cached_property
    def images(self) -> StoredImageStore:
        """The images: top layers, with what belongs to them."""
        from orlop.storage.stored.images import StoredImageStore

        return StoredImageStore(self, self.layers)

    @cached_property
    def containers(self) -> ContainerStore:
        """The containers."""
        from orlop.storage.stored.containers import ContainerStore

        return ContainerStore(self, self.layers)

    def check(self, *, quick: bool = False, max_age: float = 24 * 3600) -> Report:
        """Hold everything in the store against everything else, and say what is wrong.

        Others may go on working: nothing is locked, and what they make or remove meanwhile is
        never told.

        Args:
            quick: Compare lengths, and read no bytes but documents.
            max_age: Seconds for which a file of big data that no record names may be somebody's
                work.

        Raises:
            OSError: The records cannot be read.
        """
        from orlop.storage.check import check

        return check(self, quick=quick, max_age=max_age)

    def repair(
        self,
        *,
        quick: bool = False,
        max_age: float = 24 * 3600,
        fetcher: BlobFetcher | None = None,
        force: bool = False,
    ) -> Repaired:
        """Check the store, mend what can be mended, and say what is left.

        What is derived is built again from blobs; what was fetched is fetched again; what nothing
        needs is removed. It may be killed at any time and run beside others.

        Args:
            quick: As for `check`.
            max_age: As for `check`.
            fetcher: What fetches blobs; None where nothing is to be fetched.
            force: Also remove the records of what is lost: layers, with what stands on them,
                images, containers, and items of big data.

        Raises:
            OSError: The records cannot be read or written.
        """
        from orlop.storage.check import Objects, repair

        objects = Objects(layers=self.layers, images=self.images, containers=self.containers)
        return repair(self, objects, quick=quick, max_age=max_age, fetcher=fetcher, force=force)

    def dedup(self) -> int:
        """Let files of the same content in layers' directories share their blocks on the disk.

        Nothing is changed that anybody sees, times included, and others may go on writing; a layer
        is not removed in the moment in which a file of it is read. Only the own store is looked
        at. Files that are removed meanwhile, or that this user cannot open, are left out.

        Returns:
            The bytes that share blocks with others, those that did before counted too.

        Raises:
            UnsupportedError: There are equal files, and the filesystem cannot (XFS and btrfs can).
            LimitExceededError: A directory has too many names.
            OSError: Something cannot be read, or sharing failed.
        """
        from orlop.storage.dedup import dedup

        return dedup(self)

    def shutdown(self, *, force: bool = False) -> tuple[str, ...]:
        """Take away all mounts of the store, and say which: layers, containers and images.

        Only those of this boot and mount namespace can be; those of others stay.

        Args:
            force: Also those that are in use, or that processes hold.

        Raises:
            InUseError: Some are in use, or held; `users` says which, and those stay.
            OSError: Unmounting failed.
        """
        from orlop.storage.wipe import shutdown

        return shutdown(self, force=force)

    def wipe(self, *, force: bool = False) -> None:
        """Remove everything: mounts, containers, images, layers and blobs; the store stays.

        Leases that others have on content stay, and what they keep.

        Args:
            force: Also take away mounts that are in use, or that processes hold.

        Raises:
            InUseError: Mounts are in use or held, and nothing was removed.
            OSError: Something could not be removed.
        """
        from orlop.storage.wipe import wipe

        wipe(self, force=force)
