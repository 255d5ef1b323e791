"""What the options that all commands share say: which store."""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.storage.places import Places
    from orlop.store import Store

DriverName: TypeAlias = Literal["erofs", "overlay", "vfs"]
"""What `orlop.storage.mountable.StorageDriver` is, without loading that."""

ROOT: Final = "ORLOP_ROOT"
RUN: Final = "ORLOP_RUN"
DRIVER: Final = "ORLOP_DRIVER"
ADDITIONAL_STORES: Final = "ORLOP_ADDITIONAL_STORES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Which store a command works on.

    Attributes:
        root: Where it is; where this user's store is by default where None.
        run: Its mount points; likewise.
        driver: How its layers are mounted and written to; what suits the machine where None.
        additional: Stores that are looked through after it.
    """

    root: Path | None = None
    run: Path | None = None
    driver: DriverName | None = None
    additional: tuple[Path, ...] = ()

    @classmethod
    def of(
        cls,
        root: str | None,
        run: str | None,
        driver: DriverName | None = None,
        additional: Sequence[str] = (),
    ) -> Settings:
        """The settings of the options, else of the environment.

        Raises:
            UsageError: `ORLOP_DRIVER` is none.
        """
        others = additional or os.environ.get(ADDITIONAL_STORES, "").split(os.pathsep)
        return cls(
            root=_path(root, ROOT),
            run=_path(run, RUN),
            driver=driver or _driver(),
            additional=tuple(Path(each) for each in others if each),
        )


current: ContextVar[Settings] = ContextVar("settings", default=Settings())  # noqa: B039


def refuse_empty(_: object, value: str | tuple[str, ...] | None) -> None:
    """Refuse what an unset variable of a shell leaves: it would mean the working directory."""
    if value is not None and "" in (value if isinstance(value, tuple) else (value,)):
        raise ValueError("it is empty")


def open_store(*, read_only: bool = False) -> Store:
    """The store that the command works on.

    Args:
        read_only: The command only reads: a store that cannot be written is good enough.
    """
    from orlop.store import open_store as open_at

    settings = current.get()
    return open_at(
        settings.root,
        settings.run,
        read_only=read_only,
        driver=settings.driver,
        additional=settings.additional,
    )


def open_existing() -> Store:
    """The store that the command works on, which is not made where there is none.

    Raises:
        NotFoundError: There is none.
    """
    from orlop.storage.places import check_format

    check_format(find_places())
    return open_store()


def store_exists() -> bool:
    """Whether there is a store at all, or something in its place: an empty list is no error."""
    try:
        with os.scandir(find_places().root) as entries:
            return any(True for _ in entries)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def open_for_reading() -> Store:
    """The store, for a command that need not write: read-only where it cannot be written."""
    places = find_places()
    writable = os.access(places.root, os.W_OK) and os.access(places.database, os.W_OK)
    return open_store(read_only=not writable)


def become_root() -> None:
    """Enter a user namespace where this user is root, unless it has the right to mount.

    Raises:
        UnsupportedError: There may be none.
    """
    from orlop._sys.process import CAP_SYS_ADMIN, has_capability

    if has_capability(CAP_SYS_ADMIN):
        return
    from orlop._sys.enter import enter_user_namespace

    places = find_places()
    enter_user_namespace()
    current.set(replace(current.get(), root=places.root, run=places.run))


def become_owner() -> None:
    """Enter a user namespace where the store has files that belong to IDs of one.

    A user's containers wrote them: there alone they are read, and removed. Nothing is done where
    there can be no namespace.
    """
    from orlop._sys.process import CAP_SYS_ADMIN, has_capability
    from orlop.errors import OrlopError

    if has_capability(CAP_SYS_ADMIN) or not store_exists():
        return
    try:
        with open_for_reading() as store:
            forms = {layer.form for layer in store.layers.list()}
            needed = "user-diff" in forms or any(store.storage.places.trash.iterdir())
        if needed:
            become_root()
    except (OrlopError, OSError):
        return  # Whoever opens the store next says what is wrong.


def find_places() -> Places:
    """Where the store is that the command works on, or would be."""
    from orlop.store import find_places as find

    settings = current.get()
    return find(settings.root, settings.run)


def _driver() -> DriverName | None:
    name = os.environ.get(DRIVER)
    if not name:
        return None
    if name in get_args(DriverName):
        return cast("DriverName", name)
    from orlop.cli.failure import UsageError

    raise UsageError(f"{DRIVER} is no driver: {name[:40]!r}", hint="erofs, overlay or vfs")


def _path(option: str | None, variable: str) -> Path | None:
    value = option or os.environ.get(variable)
    return Path(value) if value else None
