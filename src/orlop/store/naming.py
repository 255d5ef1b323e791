"""Giving names to images, and taking them away."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from orlop.errors import AmbiguousError, InvalidReferenceError, NotFoundError
from orlop.metadata import Images
from orlop.reference import Reference
from orlop.store.lookup import find_image, find_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.metadata import ImageRow
    from orlop.storage.storage import Storage


def name_of(tag: str) -> str:
    """The name that an image gets when somebody chooses it.

    Raises:
        InvalidReferenceError: It is no reference, or has a digest.
    """
    reference = Reference.parse(tag).with_default_tag()
    if reference.digest is not None:
        raise InvalidReferenceError(
            f"{tag!r} has a digest, which the image may not have", hint="give a name and a tag"
        )
    return str(reference)


def add_names(storage: Storage, name_or_id: str, names: Sequence[str]) -> list[ImageRow]:
    """Give an image more names, all or none; one that is taken moves here.

    Raises:
        InvalidReferenceError: A name is no reference, or has a digest.
        NotFoundError: There is no such image.
        AmbiguousError: A prefix fits several images.
    """
    wanted = [name_of(name) for name in names]
    now = time.time_ns()
    with storage.database.write() as tx:
        meant = find_image(tx, name_or_id)[0]
        for name in wanted:
            Images(tx).put(replace(meant, name=name, created_at_ns=now, updated_at_ns=now))
        rows = [Images(tx).get(name) for name in wanted]
    return [row for row in rows if row is not None]


def remove_names(storage: Storage, name_or_id: str, *, force: bool) -> list[str]:
    """Take the name of an image away, or by force all the names of an ID, and say which went.

    Raises:
        NotFoundError: There is no such image.
        AmbiguousError: An ID has several names; or a prefix fits several IDs.
    """
    with storage.database.write() as tx:
        rows = find_image(tx, name_or_id)
        if len(rows) > 1 and not force:
            raise AmbiguousError(
                f"{name_or_id} has several names",
                candidates=[row.name for row in rows],
                hint="remove the names one by one, or all of them by --force",
            )
        for row in rows:
            Images(tx).delete(row.name)
    return [row.name for row in rows]


def remove_name(storage: Storage, name: str) -> str:
    """Take one name away, whatever else the image is called, and say it in full.

    Raises:
        NotFoundError: No image is called that; an ID is no name.
    """
    with storage.database.write() as tx:
        row = find_name(tx, name)
        if row is None:
            raise NotFoundError(
                f"no image is called {name!r}", hint="`orlop images` lists the names there are"
            )
        Images(tx).delete(row.name)
    return row.name


def remove_unchanged(storage: Storage, row: ImageRow) -> None:
    """Take the name of an image away, if it still means that image.

    Raises:
        NotFoundError: It does not.
    """
    with storage.database.write() as tx:
        if not Images(tx).delete(row.name, target_digest=row.target_digest):
            raise NotFoundError(f"{row.name} is gone, or another image by now")
