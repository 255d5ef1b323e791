"""The parts of one store, opened together, and each loaded when it is first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from orlop.metadata import Database
from orlop.storage.places import check_format, check_records, prepare
from orlop.storage.reserve import keep_reserve, with_reserve

if TYPE_CHECKING:
    from orlop.content import LocalContent
    from orlop.storage.chains import ChainStore
    from orlop.storage.forms import FormStore
    from orlop.storage.mountable import Mountables
    from orlop.storage.mounts import MountTable
    from orlop.storage.places import Places


class Storage:
    """Blobs, records and what is derived from them, in one place; made by `open`.

    Attributes:
        places: Where everything lies.
        database: The records.
    """

    def __init__(self, places: Places, database: Database) -> None:
        self.places = places
        self.database = database

    @classmethod
    def open(cls, places: Places, *, read_only: bool = False) -> Self:
        """Open a store, and make it where there is none.

        Args:
            places: Where it is.
            read_only: Write nothing; the store exists, and was closed clean if its filesystem is
                read-only.

        Raises:
            NotFoundError: There is no store, and nothing may be written.
            UnsupportedError: Another version of orlop made it.
            InvalidError: It is damaged.
            OSError: It cannot be opened or made.
        """
        if read_only:
            check_format(places)
            check_records(places)
            return cls(places, Database.open(places.database, read_only=True))
        with_reserve(places, lambda: prepare(places))
        database = with_reserve(places, lambda: Database.open(places.database))
        keep_reserve(places)
        return cls(places, database)

    @cached_property
    def content(self) -> LocalContent:
        """The blobs."""
        from orlop.content import LocalContent

        return LocalContent(self.places.root)

    @cached_property
    def forms(self) -> FormStore:
        """What is derived from layers."""
        from orlop.storage.forms import FormStore

        return FormStore(self.places, self.database)

    @cached_property
    def chains(self) -> ChainStore:
        """What is derived from stacks of layers."""
        from orlop.storage.chains import ChainStore

        return ChainStore(self.places, self.database, self.forms)

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

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
