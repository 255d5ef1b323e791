"""The directories that belong to images and containers: one that stays, and one for this boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.metadata import ObjectKind
    from orlop.storage.core import StorageCore


def make_directory(storage: StorageCore, kind: ObjectKind, id: str) -> Path:  # noqa: A002
    """The directory of something for whatever its user wants to keep, made now.

    Raises:
        OSError: It could not be made.
    """
    storage.require_writable()
    return _made(storage.places.object(kind, id) / "userdata")


def make_run_directory(storage: StorageCore, kind: ObjectKind, id: str) -> Path:  # noqa: A002
    """The same, for what goes with this boot of the machine.

    Raises:
        OSError: It could not be made.
    """
    storage.require_writable()
    path = storage.places.run_directory(kind, id)
    storage.places.make_below_run(path.parent)
    return _made(path)


def remove_directories(
    storage: StorageCore,
    kind: ObjectKind,
    id: str,  # noqa: A002
    *,
    layer: str | None = None,
) -> None:
    """Remove what belonged to something that is no more, and to a layer that was its own.

    Raises:
        OSError: It could not be removed.
    """
    from orlop.storage.leftovers import remove_leftovers

    places = storage.places
    found = [] if layer is None else [places.layer(layer)]
    found += [places.object(kind, id), places.run_directory(kind, id)]
    remove_leftovers(storage, [path for path in found if path.exists()])


def _made(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
