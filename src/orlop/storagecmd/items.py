"""Verbs for big data, and for the directories of images and containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import InvalidError, NotFoundError
from orlop.storagecmd.forms import quoted
from orlop.storagecmd.session import reading, writing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.metadata.objects import BigDatum
    from orlop.storage.big_data import BigDataStore
    from orlop.storagecmd.options import Call
    from orlop.storagecmd.session import Kind, Session


def list_layer_data(session: Session, call: Call) -> int:
    """`list-layer-data`."""
    return _list(session, call, "layer")


def list_image_data(session: Session, call: Call) -> int:
    """`list-image-data`."""
    return _list(session, call, "image")


def list_container_data(session: Session, call: Call) -> int:
    """`list-container-data`."""
    return _list(session, call, "container")


def get_layer_data(session: Session, call: Call) -> int:
    """`get-layer-data`."""
    return _get(session, call, "layer")


def get_image_data(session: Session, call: Call) -> int:
    """`get-image-data`."""
    return _get(session, call, "image")


def get_container_data(session: Session, call: Call) -> int:
    """`get-container-data`."""
    return _get(session, call, "container")


def set_layer_data(session: Session, call: Call) -> int:
    """`set-layer-data`."""
    return _set(session, call, "layer")


def set_image_data(session: Session, call: Call) -> int:
    """`set-image-data`."""
    return _set(session, call, "image")


def set_container_data(session: Session, call: Call) -> int:
    """`set-container-data`."""
    return _set(session, call, "container")


def get_image_data_size(session: Session, call: Call) -> int:
    """`get-image-data-size`."""
    return _tell_size(session, call, "image")


def get_container_data_size(session: Session, call: Call) -> int:
    """`get-container-data-size`."""
    return _tell_size(session, call, "container")


def get_image_data_digest(session: Session, call: Call) -> int:
    """`get-image-data-digest`."""
    return _tell_digest(session, call, "image")


def get_container_data_digest(session: Session, call: Call) -> int:
    """`get-container-data-digest`."""
    return _tell_digest(session, call, "container")


def get_image_dir(session: Session, call: Call) -> int:
    """`get-image-dir`."""
    storage, image = session.find_image(call.arguments[0])
    session.line(str(storage.images.directory(image.id)))
    return 0


def get_image_run_dir(session: Session, call: Call) -> int:
    """`get-image-run-dir`."""
    storage, image = session.find_image(call.arguments[0])
    session.line(str(storage.images.run_directory(image.id)))
    return 0


def get_container_dir(session: Session, call: Call) -> int:
    """`get-container-dir`."""
    container = session.container(call.arguments[0])
    session.line(str(session.storage.containers.directory(container.id)))
    return 0


def get_container_run_dir(session: Session, call: Call) -> int:
    """`get-container-run-dir`."""
    container = session.container(call.arguments[0])
    session.line(str(session.storage.containers.run_directory(container.id)))
    return 0


def _data_of(session: Session, kind: Kind, key: str) -> tuple[BigDataStore, str]:
    """The big data of an object, and its ID."""
    if kind == "layer":
        storage, layer = session.find_layer(key)
        return storage.layers.data, layer.id
    if kind == "image":
        storage, image = session.find_image(key)
        return storage.images.data, image.id
    return session.storage.containers.data, session.container(key).id


def _list(session: Session, call: Call, kind: Kind) -> int:
    data, id = _data_of(session, kind, call.arguments[0])  # noqa: A001
    names = [datum.name for datum in data.list(id)]
    if call.flag("json"):
        session.json(names or None)
    else:
        session.lines(names)
    return 0


def _get(session: Session, call: Call, kind: Kind) -> int:
    from shutil import copyfileobj

    data, id = _data_of(session, kind, call.arguments[0])  # noqa: A001
    name = call.arguments[1]
    if _find(data.list(id), name) is None:
        raise NotFoundError(
            f"locating item named {quoted(name)} for {kind} with ID {quoted(id)}:"
            " file does not exist"
        )
    with data.open(id, name) as source, writing(call.text("file"), session.streams.out) as target:
        copyfileobj(source, target)
    return 0


def _set(session: Session, call: Call, kind: Kind) -> int:
    data, id = _data_of(session, kind, call.arguments[0])  # noqa: A001
    name = call.arguments[1]
    if not name:
        raise InvalidError(f"{kind}: not a valid name for a big data item")
    with reading(call.text("file"), session.streams.stdin) as stream:
        data.put(id, name, stream)
    return 0


def _tell_size(session: Session, call: Call, kind: Kind) -> int:
    data, id = _data_of(session, kind, call.arguments[0])  # noqa: A001
    found = _find(data.list(id), call.arguments[1])
    if found is None:
        raise NotFoundError("size is not known")
    session.line(str(found.size))
    return 0


def _tell_digest(session: Session, call: Call, kind: Kind) -> int:
    data, id = _data_of(session, kind, call.arguments[0])  # noqa: A001
    found = _find(data.list(id), call.arguments[1])
    if found is None:
        raise NotFoundError("could not compute digest of item")
    session.line(str(found.digest))
    return 0


def _find(items: Iterable[BigDatum], name: str) -> BigDatum | None:
    return next((item for item in items if item.name == name), None)
