"""Verbs that show what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from orlop.errors import InvalidDigestError, InvalidError, NotFoundError, OrlopError
from orlop.storagecmd.session import KINDS, error_text, existing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orlop.metadata.objects import BigDatum
    from orlop.storage.layers.record import Layer
    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import Container, StoredImage
    from orlop.storagecmd.listing import Around
    from orlop.storagecmd.options import Call
    from orlop.storagecmd.session import Session

    T = TypeVar("T", Layer, StoredImage, Container)


def exists(session: Session, call: Call) -> int:
    """`exists`."""
    found = {key: _exists(session, call, key) for key in call.arguments}
    if call.flag("json"):
        session.json(dict(sorted(found.items())))
    elif not call.flag("quiet"):
        session.lines(f"{key}: {str(there).lower()}" for key, there in found.items())
    return int(not all(found.values()))


def _exists(session: Session, call: Call, key: str) -> bool:
    asked = [kind for kind in KINDS if call.flag(kind)]
    if asked:
        return all(session.find_id(kind, key) is not None for kind in asked)
    return any(session.find_id(kind, key) is not None for kind in KINDS)


def layers(session: Session, call: Call) -> int:
    """`layers`."""
    from orlop.storagecmd import listing

    found = all_layers(session)
    if call.flag("json"):
        session.json([_layer_json(session, layer) for layer in found])
        return 0
    if call.flag("quick"):
        session.lines(layer.id for layer in found)
        return 0
    around = _around(session)
    if call.flag("tree"):
        session.lines(listing.tree_lines(found, around))
    else:
        for layer in found:
            session.lines(listing.layer_lines(layer, around))
    return 0


def storage_layers(session: Session, call: Call) -> int:
    """`storage-layers`."""
    found = [layer.id for layer in all_layers(session) if not layer.additional]
    found += unrecorded(session.storage)
    if call.flag("json"):
        session.json(found)
    else:
        session.lines(found)
    return 0


def layer(session: Session, call: Call) -> int:
    """`layer`."""
    from orlop.storagecmd import listing

    found = existing(session.layer, call.arguments)
    if call.flag("json"):
        session.json([_layer_json(session, each) for each in found])
    else:
        for each in found:
            session.lines(listing.layer_page(each))
    return int(len(found) != len(call.arguments))


def _layer_json(session: Session, layer: Layer) -> dict[str, object]:
    from orlop.storagecmd.records import layer_json, owners_of

    return layer_json(layer, _layer_data(session, layer), owners_of(session.storage, layer))


def images(session: Session, call: Call) -> int:
    """`images`."""
    return _say_images(session, call, all_images(session), empty=None)


def images_by_digest(session: Session, call: Call) -> int:
    """`images-by-digest`."""
    from orlop.digest import Digest

    text = call.arguments[0]
    try:
        digest = Digest(text)
    except InvalidDigestError:
        raise InvalidError(f"{text}: invalid checksum digest format") from None
    found: dict[str, StoredImage] = {}
    for storage in session.storages:
        for each in storage.images.by_digest(digest):
            found.setdefault(each.id, each)
    return _say_images(session, call, _by_age(found.values()), empty=[])


def _say_images(
    session: Session, call: Call, found: list[StoredImage], *, empty: list[object] | None
) -> int:
    from orlop.storagecmd import listing

    if call.flag("json"):
        from orlop.storagecmd.records import image_json

        session.json([image_json(each, _image_data(session, each)) for each in found] or empty)
    elif call.flag("quiet"):
        session.lines(each.id for each in found)
    else:
        for each in found:
            session.lines(listing.image_lines(each, _image_data(session, each)))
    return 0


def image(session: Session, call: Call) -> int:
    """`image`."""
    from orlop.storagecmd import listing
    from orlop.storagecmd.sizes import image_size

    found = existing(session.image, call.arguments)
    if call.flag("json"):
        from orlop.storagecmd.records import image_json

        session.json([image_json(each, _image_data(session, each)) for each in found])
    else:
        for each in found:
            storage, _ = session.find_image(each.id)
            size = _size_line(image_size, storage, each)
            session.lines(listing.image_page(each, _image_data(session, each), size))
    return int(len(found) != len(call.arguments))


def containers(session: Session, call: Call) -> int:
    """`containers`."""
    from orlop.storagecmd import listing

    found = _by_age(session.storage.containers.list())
    data = session.storage.containers.data
    if call.flag("json"):
        from orlop.storagecmd.records import container_json

        session.json([container_json(each, data.list(each.id)) for each in found])
    else:
        for each in found:
            session.lines(listing.container_lines(each, data.list(each.id)))
    return 0


def container(session: Session, call: Call) -> int:
    """`container`."""
    from orlop.storagecmd import listing
    from orlop.storagecmd.sizes import container_size

    found = existing(session.container, call.arguments)
    data = session.storage.containers.data
    if call.flag("json"):
        from orlop.storagecmd.records import container_json

        session.json([container_json(each, data.list(each.id)) for each in found])
    else:
        for each in found:
            size = _size_line(container_size, session.storage, each)
            names = _image_names(session, each)
            session.lines(listing.container_page(each, names, data.list(each.id), size))
    return int(len(found) != len(call.arguments))


def all_layers(session: Session) -> list[Layer]:
    """The layers of all stores, the oldest first, but for those that wait to be collected."""
    found = _each_once(storage.layers.list() for storage in session.storages)
    if not any(each.pulled for each in found):
        return _by_age(found)
    parents = {each.id: each.parent for each in found}
    pending = [each.id for each in found if not each.pulled]
    pending += [each.layer for each in all_images(session) if each.layer is not None]
    needed: set[str | None] = {None}
    for layer in pending:
        at: str | None = layer
        while at not in needed:
            needed.add(at)
            at = parents.get(at or "")
    return _by_age(each for each in found if each.id in needed)


def all_images(session: Session) -> list[StoredImage]:
    """The images of all stores, the oldest first."""
    return _by_age(_each_once(storage.images.list() for storage in session.storages))


def _each_once(lists: Iterable[Iterable[T]]) -> list[T]:
    found: dict[str, T] = {}
    for each in (item for items in lists for item in items):
        if each.id not in found or not getattr(each, "additional", False):
            found[each.id] = each
    return list(found.values())


def _by_age(found: Iterable[T]) -> list[T]:
    return sorted(found, key=lambda each: each.created_at_ns)


def _around(session: Session) -> Around:
    from orlop.storagecmd.listing import Around

    tops: dict[str, list[StoredImage]] = {}
    for each in all_images(session):
        if each.layer is not None:
            tops.setdefault(each.layer, []).append(each)
    owners = {each.layer: each for each in session.storage.containers.list()}
    return Around(images=tops, containers=owners, mounts=mounted_layers(session.storage))


def unrecorded(storage: Storage) -> list[str]:
    """The IDs of the directories of layers that no record names."""
    from orlop.storage.leftovers import iter_leftovers

    folder = storage.places.root / "layers"
    return sorted(path.name for path in iter_leftovers(storage) if path.parent == folder)


def mounted_layers(storage: Storage) -> dict[str, str]:
    """Where layers are mounted, by their ID."""
    return {
        record.layer: record.target
        for record, _ in storage.mounts.present()
        if record.layer is not None
    }


def _layer_data(session: Session, layer: Layer) -> Sequence[BigDatum]:
    storage, found = session.find_layer(layer.id)
    return storage.layers.data.list(found.id)


def _image_data(session: Session, image: StoredImage) -> Sequence[BigDatum]:
    storage, found = session.find_image(image.id)
    return storage.images.data.list(found.id)


def _image_names(session: Session, container: Container) -> tuple[str, ...]:
    if not container.image:
        return ()
    try:
        return session.image(container.image).names
    except NotFoundError:
        return ()


def _size_line(size: Callable[[Storage, T], int], storage: Storage, each: T) -> str:
    try:
        return f"Size: {size(storage, each)}"
    except (OrlopError, OSError) as error:
        return f"Size unknown: {error_text(error)}"
