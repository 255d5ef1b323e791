"""What layers, images and containers are built on; each part is loaded when it is asked for."""

from __future__ import annotations

import errno
import os
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

from orlop.metadata import Database
from orlop.storage.places import check_format, check_records, prepare
from orlop.storage.reserve import keep_reserve, with_reserve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop._sys.userns import UserNamespaces
    from orlop.content import LocalContent
    from orlop.storage.chains import ChainStore
    from orlop.storage.forms import FormStore
    from orlop.storage.holds import StackHolds
    from orlop.storage.mountable import Mountables, StorageDriver
    from orlop.storage.mounts import MountTable
    from orlop.storage.places import Places

STORAGE_DRIVERS: Final = ("erofs", "overlay", "vfs")
"""What layers can be mounted and written to by; see `orlop.storage.mountable`."""


class StorageCore:
    """What all in a store is built on: blobs, records, what is derived and what is mounted.

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
        additional: tuple[StorageCore, ...] = (),
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
        from orlop.storage.holds import StackHolds

        with self._lock:
            if self._holds is None:
                self._holds = StackHolds(self.mounts)
            return self._holds

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
