"""The parts of one store, opened together, and each loaded when it is first asked for."""

from __future__ import annotations

import errno
import os
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from orlop.metadata import Database
from orlop.storage.places import Places, check_format, check_records, prepare, resolved
from orlop.storage.reserve import keep_reserve, with_reserve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from orlop._sys.userns import UserNamespaces
    from orlop.content import LocalContent
    from orlop.storage.chains import ChainStore
    from orlop.storage.check import BlobFetcher, Repaired, Report
    from orlop.storage.forms import FormStore
    from orlop.storage.layers.holds import StackHolds
    from orlop.storage.layers.store import LayerStore
    from orlop.storage.mountable import Mountables, StorageDriver
    from orlop.storage.mounts import MountTable
    from orlop.storage.stored.containers import ContainerStore
    from orlop.storage.stored.images import StoredImageStore


STORAGE_DRIVERS: Final = ("erofs", "overlay", "vfs")
"""What layers can be mounted and written to by; see `orlop.storage.mountable`."""


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


class Storage:
    """Blobs, records and what is derived from them, in one place; made by `open`.

    Attributes:
        places: Where everything lies.
        database: The records.
        additional: Stores that are looked through after this one, and never written to.
    """

    def __init__(
        self,
        places: Places,
        database: Database,
        *,
        driver: StorageDriver | None = None,
        additional: tuple[Storage, ...] = (),
    ) -> None:
        self.places = places
        self.database = database
        self.additional = additional
        self._driver = driver
        self._lock = threading.Lock()
        self._holds: StackHolds | None = None

    @classmethod
    def open(
        cls,
        places: Places,
        *,
        read_only: bool = False,
        driver: StorageDriver | None = None,
        additional: Sequence[Places] = (),
    ) -> Self:
        """Open a store, and make it where there is none.

        Args:
            places: Where it is.
            read_only: Write nothing; the store exists, and was closed clean if its filesystem is
                read-only.
            driver: How layers are mounted and written to; what suits the machine where None.
            additional: Stores to look through after this one, which are only read.

        Raises:
            NotFoundError: There is no store, and nothing may be written.
            UnsupportedError: Another version of orlop made it.
            InvalidError: It is damaged.
            OSError: It cannot be opened or made.
            ValueError: There is no such driver.
        """
        if driver not in {None, *STORAGE_DRIVERS}:
            raise ValueError(f"{driver!r} is none of {', '.join(STORAGE_DRIVERS)}")
        others = tuple(cls.open(each, read_only=True) for each in additional)
        if read_only:
            check_format(places)
            check_records(places)
            database = Database.open(places.database, read_only=True)
        else:
            with_reserve(places, lambda: prepare(places))
            database = with_reserve(places, lambda: Database.open(places.database))
            keep_reserve(places)
        return cls(places, database, driver=driver, additional=others)

    @cached_property
    def driver(self) -> StorageDriver:
        """How layers are mounted and written to: as was said, or as suits the machine."""
        return self._driver or self.mountables.best_storage_driver()

    @cached_property
    def content(self) -> LocalContent:
        """The blobs."""
        from orlop.content import LocalContent

        return LocalContent(self.places.root)

    @property
    def copies(self) -> bool:
        """Whether layers are written to as whole copies; which overlay else, takes a trial."""
        return self.mountables.copies if self._driver is None else self._driver == "vfs"

    @cached_property
    def forms(self) -> FormStore:
        """What is derived from layers."""
        from orlop.storage.forms import FormStore

        return FormStore(
            self.places, self.database, others=tuple(each.forms for each in self.additional)
        )

    @cached_property
    def chains(self) -> ChainStore:
        """What is derived from stacks of layers."""
        from orlop.storage.chains import ChainStore

        return ChainStore(
            self.places,
            self.database,
            self.forms,
            others=tuple(each.chains for each in self.additional),
        )

    @cached_property
    def mountables(self) -> Mountables:
        """What stacks are mounted from."""
        from orlop.storage.mountable import Mountables

        return Mountables(self.places, self.forms, self.chains)

    @cached_property
    def mounts(self) -> MountTable:
        """What is mounted."""
        from orlop.storage.mounts import MountTable

        return MountTable(self.places, self.database)

    @cached_property
    def namespaces(self) -> UserNamespaces:
        """The user namespaces of ID mappings that are in use."""
        from orlop._sys.userns import UserNamespaces

        return UserNamespaces()

    @property
    def holds(self) -> StackHolds:
        """The mounts of stacks that are held for the next container."""
        from orlop.storage.layers.holds import StackHolds

        with self._lock:
            if self._holds is None:
                self._holds = StackHolds(self.mounts)
            return self._holds

    @cached_property
    def layers(self) -> LayerStore:
        """The layers."""
        from orlop.storage.layers.store import LayerStore

        return LayerStore(self)

    @cached_property
    def images(self) -> StoredImageStore:
        """The images: top layers, with what belongs to them."""
        from orlop.storage.stored.images import StoredImageStore

        return StoredImageStore(self)

    @cached_property
    def containers(self) -> ContainerStore:
        """The containers."""
        from orlop.storage.stored.containers import ContainerStore

        return ContainerStore(self)

    def require_writable(self) -> None:
        """Succeed unless the store was opened to be read only.

        Raises:
            OSError: It was (EROFS).
        """
        if self.database.read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self.places.root))

    def let_go(self) -> None:
        """Hold no mount any more that is only held for the next container."""
        if self._holds is not None:
            self._holds.release()

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
        from orlop.storage.check import repair

        return repair(self, quick=quick, max_age=max_age, fetcher=fetcher, force=force)

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

    def close(self) -> None:
        """Let go of the database, and of those of additional stores."""
        self.let_go()
        for part in (self.__dict__.pop("namespaces", None), *self.additional):
            if part is not None:
                part.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
