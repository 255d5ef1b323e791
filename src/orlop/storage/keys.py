"""What a key means: an ID, a name or a unique prefix of an ID, of a layer, image or container.

In a store the exact ID comes first, then the name, then the prefix. The store itself comes first,
then its additional ones, one after the other. Containers are the store's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.digest import Digest
from orlop.errors import AmbiguousError, InvalidDigestError, NotFoundError
from orlop.metadata import Containers, Layers, Names, StoredImages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.metadata import ObjectKind, Transaction
    from orlop.storage.core import StorageCore

KINDS: Final[tuple[ObjectKind, ...]] = ("layer", "image", "container")
_MAX_CANDIDATES: Final = 10


def find_object(storage: StorageCore, kind: ObjectKind, key: str) -> tuple[StorageCore, str]:
    """The store that something lies in, and its ID.

    Raises:
        NotFoundError: Nothing of this kind is called that.
        AmbiguousError: A prefix fits several.
    """
    for store in (storage,) if kind == "container" else (storage, *storage.additional):
        with store.database.read() as tx:
            found = find_id(tx, kind, key)
        if found is not None:
            return store, found
    raise nothing_called(kind, key)


def nothing_called(kind: ObjectKind, key: str) -> NotFoundError:
    """The error for a key that means nothing."""
    return NotFoundError(f"no {kind} is called {key!r}", hint=f"`orlop {kind} ls` lists them")


def find_any(storage: StorageCore, key: str) -> list[tuple[ObjectKind, str]]:
    """Whatever a key means, by kind and ID; nothing where it means nothing.

    Raises:
        AmbiguousError: A prefix fits several of one kind.
    """
    found: list[tuple[ObjectKind, str]] = []
    for kind in KINDS:
        try:
            found.append((kind, find_object(storage, kind, key)[1]))
        except NotFoundError:
            continue
    return found


def find_id(tx: Transaction, kind: ObjectKind, key: str) -> str | None:
    """The ID of what a key means in one store; None where it means nothing.

    Raises:
        AmbiguousError: A prefix fits several.
    """
    if not key.isprintable() or not key:
        return None
    if _exists(tx, kind, key):
        return key
    named = Names(tx).find(kind, key)
    if named is not None:
        return named
    if kind == "image":
        return _pulled_image(tx, key)
    return _only(kind, key, _with_prefix(tx, kind, key))


def _exists(tx: Transaction, kind: ObjectKind, id: str) -> bool:  # noqa: A002
    if kind == "layer":
        return Layers(tx).get(id) is not None
    if kind == "container":
        return Containers(tx).get(id) is not None
    row = StoredImages(tx).get(id)
    return row is not None and row.made


def _with_prefix(tx: Transaction, kind: ObjectKind, prefix: str) -> Sequence[str]:
    limit = _MAX_CANDIDATES + 1
    if kind == "layer":
        return Layers(tx).with_prefix(prefix, limit=limit)
    if kind == "container":
        return Containers(tx).with_prefix(prefix, limit=limit)
    return StoredImages(tx).with_prefix(prefix, limit=limit)


def _pulled_image(tx: Transaction, key: str) -> str | None:
    """The ID of an image by its name as a reference, or by a prefix of its ID."""
    from orlop.storage.lookup import find_rows

    made = _with_prefix(tx, "image", key)
    rows = find_rows(tx, key)
    if not rows:
        return _only("image", key, made)
    pulled = rows[0].image_id.encoded
    if key in {row.name for row in rows} or not pulled.startswith(key):
        return pulled
    return _only("image", key, [*made, pulled])


def _only(kind: ObjectKind, key: str, found: Sequence[str]) -> str | None:
    if len(found) > 1:
        raise AmbiguousError(
            f"{key!r} fits {len(found)} {kind}s",
            candidates=[each[:19] for each in found[:_MAX_CANDIDATES]],
            hint="give more of the ID",
        )
    return found[0] if found else None


def digests_of(id: str) -> Iterator[Digest]:  # noqa: A002
    """The digests that an image's ID may be the digits of."""
    for algorithm in ("sha256", "sha512"):
        try:
            yield Digest(f"{algorithm}:{id}")
        except InvalidDigestError:
            continue
