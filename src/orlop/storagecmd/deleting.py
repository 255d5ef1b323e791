"""Verbs that delete; what still needs a thing is said in the words that scripts look for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import InUseError, NotFoundError, OrlopError
from orlop.storagecmd.session import error_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import StoredImage
    from orlop.storagecmd.options import Call
    from orlop.storagecmd.session import Session


def delete(session: Session, call: Call) -> int:
    """`delete`; the layers of an image stay."""

    def one(key: str) -> None:
        kind, id = session.find(key)  # noqa: A001
        storage = session.storage_of(kind, id)
        if kind == "container":
            storage.containers.delete(id, force=True)
        elif kind == "image":
            storage.images.delete(id, keep_layers=True)
        else:
            delete_layer_alone(storage, id)

    return _all(session, call, one)


def delete_layer(session: Session, call: Call) -> int:
    """`delete-layer`."""

    def one(key: str) -> None:
        try:
            storage, layer = session.find_layer(key)
        except NotFoundError:
            raise NotFoundError("identifier is not a layer") from None
        delete_layer_alone(storage, layer.id)

    return _all(session, call, one)


def delete_container(session: Session, call: Call) -> int:
    """`delete-container`."""

    def one(key: str) -> None:
        try:
            container = session.container(key)
        except NotFoundError:
            raise NotFoundError("identifier is not a container") from None
        session.storage.containers.delete(container.id, force=True)

    return _all(session, call, one)


def delete_image(session: Session, call: Call) -> int:
    """`delete-image`."""
    done: dict[str, tuple[list[str], str]] = {}
    for key in call.arguments:
        try:
            done[key] = _delete_image(session, key, dry_run=call.flag("test")), ""
        except (OrlopError, OSError) as error:
            done[key] = [], error_text(error)
    if call.flag("json"):
        session.json({key: _image_json(*done[key]) for key in sorted(done)})
    else:
        for key, (layers, why) in done.items():
            for line in [why] if why else layers:
                session.complain(f"{key}: {line}")
    return int(any(why for _, why in done.values()))


def _image_json(layers: list[str], why: str) -> dict[str, object]:
    members = {"deleted-layers": layers, "error": why}
    return {key: value for key, value in members.items() if value}


def _delete_image(session: Session, key: str, *, dry_run: bool) -> list[str]:
    try:
        storage, image = session.find_image(key)
    except NotFoundError:
        raise NotFoundError("identifier is not an image") from None
    try:
        if not dry_run:
            _unmount_alone(storage, image)
        return list(storage.images.delete(image.id, dry_run=dry_run))
    except InUseError as error:
        container = _first(error, "container")
        if container is None:
            raise
        raise InUseError(f"image used by {container}: image is in use by a container") from None


def _unmount_alone(storage: Storage, image: StoredImage) -> None:
    """Take mounts away that would keep the layers that only this image needs."""
    above: tuple[str, ...] = ()
    layer = image.layer
    while layer is not None and not image.additional:
        users = storage.layers.users(layer)
        if users.containers or users.layers != above or set(users.images) - {image.id}:
            return
        if users.mounts:
            storage.layers.unmount(layer, force=True)
        above, layer = (layer,), storage.layers.get(layer).parent


def delete_layer_alone(storage: Storage, id: str) -> None:  # noqa: A002
    """Delete a layer; mounts that outlive their makers go with it."""
    users = storage.layers.users(id)
    if users.layers:
        raise InUseError(f"used by layer {users.layers[0]}: layer has children")
    if users.images:
        raise InUseError(f"layer {id} used by image {users.images[0]}: layer is in use by an image")
    if users.containers:
        owner = users.containers[0]
        raise InUseError(f"layer {id} used by container {owner}: layer is in use by a container")
    if users.mounts:
        storage.layers.unmount(id, force=True)
    storage.layers.delete(id)


def _first(error: InUseError, kind: str) -> str | None:
    """The first of a kind that still needs something."""
    users = (user.partition(" ") for user in error.users)
    return next((each for what, _, each in users if what == kind), None)


def _all(session: Session, call: Call, one: Callable[[str], None]) -> int:
    """Delete each thing, whatever became of the others, and say what did not go."""
    done: dict[str, str] = {}
    for key in call.arguments:
        try:
            one(key)
            done.setdefault(key, "")
        except (OrlopError, OSError) as error:
            done[key] = error_text(error)
    if call.flag("json"):
        session.json(dict(sorted(done.items())))
    else:
        for key, why in done.items():
            if why:
                session.complain(f"{key}: {why}")
    return int(any(done.values()))
