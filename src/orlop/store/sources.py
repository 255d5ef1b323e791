"""Images that are copied out of a store, or out of any other place."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidReferenceError, NotFoundError, UnsupportedError
from orlop.metadata import Images, Lease, Names, StoredImages
from orlop.reference import DEFAULT_TAG, Reference
from orlop.storage.lookup import find_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.metadata import ImageRow
    from orlop.storage.storage import Storage
    from orlop.transfer import CopyOptions, OpenedImage

STORE_PREFIX: Final = "store:"
"""What an image of the store begins with, where any place can be named."""


@contextmanager
def open_copied(
    storage: Storage | None, source: str, options: CopyOptions, *, every: bool
) -> Iterator[Sequence[OpenedImage]]:
    """Open the image that a text means, or every image of the place.

    Args:
        storage: What `store:` means; None where the text does not begin so.
        source: As for `orlop.copy`.
        options: How the place is reached.
        every: Whether all images of it are meant.

    Raises:
        UnsupportedError: All images of a registry are meant.
        OrlopError: As `orlop.copy`.
    """
    from orlop.transfer import is_local, open_image, open_images

    if source.startswith(STORE_PREFIX):
        assert storage is not None, "whoever names a store opens it"
        with open_stored(storage, _names(storage, source, every=every)) as opened:
            yield opened
    elif every:
        if not is_local(source):
            raise UnsupportedError(
                f"{source} is in a registry, of which all images are not copied at once",
                hint="name one image",
            )
        from orlop.layout import parse_place

        with open_images(parse_place(source), options.source) as opened:
            yield opened
    else:
        with open_image(source, options.source) as image:
            yield [image]


@contextmanager
def open_stored(storage: Storage, names_or_ids: Sequence[str]) -> Iterator[list[OpenedImage]]:
    """Open images of a store, and keep all that belongs to them meanwhile.

    Names of the same image are joined.

    Raises:
        NotFoundError: There is no such image.
        AmbiguousError: A prefix fits several images.
    """
    with ExitStack() as stack:
        lease = None
        if not storage.database.read_only:
            lease = stack.enter_context(Lease(storage.database, "copy"))
        rows = [_look_up(storage, each, lease) for each in names_or_ids]
        yield [_opened(storage, group) for group in _by_target(rows)]


def _look_up(storage: Storage, name_or_id: str, lease: Lease | None) -> ImageRow:
    """The record of an image, whose content is kept; one without documents gets some for now."""
    database = storage.database
    if _is_bare(storage, name_or_id):
        return _described(storage, name_or_id, lease)
    try:
        with database.read() if lease is None else database.write() as tx:
            row = find_image(tx, name_or_id)[0]
            if lease is not None:
                lease.hold_in(tx, "blob", row.target_digest)
            return row
    except NotFoundError as missing:
        from orlop.storage.keys import find_object

        try:
            find_object(storage, "image", name_or_id)
        except NotFoundError:
            raise missing from None
    return _described(storage, name_or_id, lease)


def _is_bare(storage: Storage, key: str) -> bool:
    """Whether a text is the very ID or name of an image that was made here, not pulled."""
    from orlop.storage.stored.facts import read_facts

    if not key.isprintable():  # which no such name is
        return False
    with storage.database.read() as tx:
        own = StoredImages(tx).get(key)
        id = key if own is not None and own.made else Names(tx).find("image", key)  # noqa: A001
        facts = None if id is None else read_facts(tx, id)
        return facts is not None and not facts.rows


def _described(storage: Storage, key: str, lease: Lease | None) -> ImageRow:
    """The record that an image without one would have, its documents kept by a lease."""
    from orlop.storage.stored.entry import image_row
    from orlop.storage.stored.images import row_of
    from orlop.storage.stored.publish import describe, find_facts

    store, facts = find_facts(storage, key)
    if facts.pulled and store is storage:  # It has lost its names alone.
        with storage.database.read() if lease is None else storage.database.write() as tx:
            row = facts.rows[0] if facts.rows else row_of(tx, facts)
            if lease is not None:
                lease.hold_in(tx, "blob", row.target_digest)
            return row
    if lease is None:
        raise UnsupportedError(
            f"image {facts.id} has no manifest, and gets none in a store that is only read",
            hint="make one by `orlop image publish` where the store can be written",
        )
    manifest, config = describe(storage, storage.layers.freezer, facts, lease)
    name = key if key in facts.names else next(iter(facts.names), "")
    try:
        name = str(Reference.parse(name).with_default_tag())
    except InvalidReferenceError:
        name = ""
    return replace(image_row(config, manifest), name=name)


def _by_target(rows: Sequence[ImageRow]) -> list[list[ImageRow]]:
    found: dict[str, list[ImageRow]] = {}
    for row in rows:
        found.setdefault(row.target_digest, []).append(row)
    return list(found.values())


def _opened(storage: Storage, rows: Sequence[ImageRow]) -> OpenedImage:
    from orlop.store.image import Image
    from orlop.transfer import OpenedImage, StoreSource

    names = tuple(dict.fromkeys(row.name for row in rows if row.name))
    target = Image(storage, rows[0]).target
    fallback = names[0] if names else f"localhost/{rows[0].image_id.encoded[:12]}:{DEFAULT_TAG}"
    return OpenedImage(
        source=StoreSource(storage.content, target, names), names=names, fallback=fallback
    )


def _names(storage: Storage, source: str, *, every: bool) -> list[str]:
    name = source.removeprefix(STORE_PREFIX)
    if not (every or name):
        raise InvalidReferenceError(
            f"{source} names no image", hint="write store:NAME, or copy all that are there"
        )
    if not every:
        return [name]
    if name:
        raise InvalidReferenceError(
            f"{source} is one image, and all are to be copied", hint="write store: alone"
        )
    with storage.database.read() as tx:
        return [row.name for row in Images(tx).list()]
