"""Images that are copied out of a store, or out of any other place."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidReferenceError, UnsupportedError
from orlop.metadata import Images, Lease
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
        if storage.database.read_only:
            rows = _look_up(storage, names_or_ids)
        else:
            lease = stack.enter_context(Lease(storage.database, "copy"))
            rows = _look_up(storage, names_or_ids, lease)
        yield [_opened(storage, group) for group in _by_target(rows)]


def _look_up(
    storage: Storage, names_or_ids: Sequence[str], lease: Lease | None = None
) -> list[ImageRow]:
    database = storage.database
    with database.read() if lease is None else database.write() as tx:
        rows = [find_image(tx, each)[0] for each in names_or_ids]
        if lease is not None:
            lease.hold_in(tx, "blob", *(row.target_digest for row in rows))
    return rows


def _by_target(rows: Sequence[ImageRow]) -> list[list[ImageRow]]:
    found: dict[str, list[ImageRow]] = {}
    for row in rows:
        found.setdefault(row.target_digest, []).append(row)
    return list(found.values())


def _opened(storage: Storage, rows: Sequence[ImageRow]) -> OpenedImage:
    from orlop.store.image import Image
    from orlop.transfer import OpenedImage, StoreSource

    names = tuple(dict.fromkeys(row.name for row in rows))
    target = Image(storage, rows[0]).target
    return OpenedImage(
        source=StoreSource(storage.content, target, names), names=names, fallback=names[0]
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
