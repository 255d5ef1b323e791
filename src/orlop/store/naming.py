"""Giving names to images, and taking them away."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from orlop.errors import AmbiguousError, InUseError, InvalidReferenceError, NotFoundError, some_of
from orlop.filters import check_labels
from orlop.metadata import Containers, Images, Labels, StoredImages
from orlop.reference import Reference
from orlop.storage.lookup import find_image, find_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orlop.metadata import ImageRow, Transaction
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
            named = replace(meant, name=name, labels={}, created_at_ns=now, updated_at_ns=now)
            Images(tx).put(named)
        rows = [Images(tx).get(name) for name in wanted]
    return [row for row in rows if row is not None]


def set_labels(storage: Storage, name_or_id: str, labels: Mapping[str, str]) -> ImageRow:
    """Set labels of an image's name, all or none; an empty value takes one away.

    Raises:
        NotFoundError: There is no such image.
        AmbiguousError: An ID has several names; or a prefix fits several IDs.
        InvalidError: A label is none, or one for the collector that it could not obey.
    """
    check_labels(labels)
    with storage.database.write() as tx:
        row = _only(find_image(tx, name_or_id), name_or_id, "label them one by one")
        for key, value in labels.items():
            Labels(tx).set("image", row.name, key, value)
        now = replace(row, labels=Labels(tx).get("image", row.name), updated_at_ns=time.time_ns())
        Images(tx).update(now)
    return now


def remove_names(storage: Storage, name_or_id: str, *, force: bool) -> list[str]:
    """Take the name of an image away, or by force all the names of an ID, and say which went.

    Raises:
        NotFoundError: There is no such image.
        AmbiguousError: An ID has several names; or a prefix fits several IDs.
        InUseError: It is the last name, and containers were made from the image; not by force.
    """
    with storage.database.write() as tx:
        rows = find_image(tx, name_or_id)
        if not force:
            _only(rows, name_or_id, "remove the names one by one, or all of them by --force")
            _require_unused(tx, rows[0])
        for row in rows:
            Images(tx).delete(row.name)
    return [row.name for row in rows]


def remove_name(storage: Storage, name: str) -> str:
    """Take one name away, whatever else the image is called, and say it in full.

    Raises:
        NotFoundError: No image is called that; an ID is no name.
        InUseError: It is the last name, and containers were made from the image.
    """
    with storage.database.write() as tx:
        row = find_name(tx, name)
        if row is None:
            raise NotFoundError(
                f"no image is called {name!r}", hint="`orlop images` lists the names there are"
            )
        _require_unused(tx, row)
        Images(tx).delete(row.name)
    return row.name


def remove_unchanged(storage: Storage, row: ImageRow) -> None:
    """Take the name of an image away, if it still means that image.

    Raises:
        NotFoundError: It does not.
        InUseError: It is the last name, and containers were made from the image.
    """
    with storage.database.write() as tx:
        _require_unused(tx, row)
        if not Images(tx).delete(row.name, target_digest=row.target_digest):
            raise NotFoundError(f"{row.name} is gone, or another image by now")


def _require_unused(tx: Transaction, row: ImageRow) -> None:
    """Succeed if an image keeps another name, or no container was made from it.

    A container keeps all that it needs of its image, and could do without the name; but nobody
    would find out any more what the image was.
    """
    image = row.image_id.encoded
    own = StoredImages(tx).get(image)
    if (own is not None and own.made) or any(
        other.name != row.name for other in Images(tx).with_id(row.image_id)
    ):
        return
    users = [f"container {each.id}" for each in Containers(tx).with_image(image)]
    if users:
        raise InUseError(
            f"{row.name} is the last name of its image, which is needed by {some_of(users)}",
            users=users,
            hint="remove those first, or take the name away by `orlop rm --force`",
        )


def _only(rows: Sequence[ImageRow], name_or_id: str, hint: str) -> ImageRow:
    if len(rows) > 1:
        names = [row.name for row in rows]
        raise AmbiguousError(f"{name_or_id} has several names", candidates=names, hint=hint)
    return rows[0]
