"""Verbs for names and metadata."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from orlop.errors import InvalidError, NotFoundError
from orlop.storagecmd.creating import metadata_of
from orlop.storagecmd.session import NOTHING

if TYPE_CHECKING:
    from orlop.storage.layers.store import LayerStore
    from orlop.storage.storage import Storage
    from orlop.storage.stored.containers import ContainerStore
    from orlop.storage.stored.images import StoredImageStore
    from orlop.storage.stored.record import StoredImage
    from orlop.storagecmd.options import Call
    from orlop.storagecmd.session import Session


def get_names(session: Session, call: Call) -> int:
    """`get-names`."""
    objects, id = _objects_of(session, call.arguments[0])  # noqa: A001
    names = objects.get(id).names
    if call.flag("json"):
        session.json(list(names))
    else:
        session.lines(names)
    return 0


def add_names(session: Session, call: Call) -> int:
    """`add-names`."""
    objects, id = _to_be_named(session, call.arguments[0])  # noqa: A001
    return _say(session, call, objects.add_names(id, call.texts("name")).names)


def remove_names(session: Session, call: Call) -> int:
    """`remove-names`."""
    objects, id = _to_be_named(session, call.arguments[0])  # noqa: A001
    return _say(session, call, objects.remove_names(id, call.texts("name")).names)


def set_names(session: Session, call: Call) -> int:
    """`set-names`."""
    objects, id = _to_be_named(session, call.arguments[0])  # noqa: A001
    return _say(session, call, objects.set_names(id, call.texts("name")).names)


def metadata(session: Session, call: Call) -> int:
    """`metadata`."""
    found: dict[str, str] = {}
    for key in call.arguments:
        try:
            objects, id = _objects_of(session, key)  # noqa: A001
        except NotFoundError:
            continue
        found[key] = objects.get(id).metadata.removesuffix("\n")
    if call.flag("json"):
        session.json(dict(sorted(found.items())))
    else:
        for key in call.arguments:
            text = found.get(key, "")
            session.line(text if call.flag("quiet") else f"{key}: {text}")
    return int(not found.keys() >= set(call.arguments))


def set_metadata(session: Session, call: Call) -> int:
    """`set-metadata`."""
    if not call.text("metadata") and not call.text("metadata-file"):
        raise InvalidError("no new metadata provided")
    text = metadata_of(call)
    objects, id = _objects_of(session, call.arguments[0], NOTHING)  # noqa: A001
    objects.set_metadata(id, text)
    return 0


def _objects_of(
    session: Session, key: str, otherwise: str = ""
) -> tuple[LayerStore | StoredImageStore | ContainerStore, str]:
    """What objects of its kind are changed by, and the ID of this one."""
    kind, id = session.find(key, otherwise) if otherwise else session.find(key)  # noqa: A001
    return session.objects_of(kind, id), id


def _to_be_named(
    session: Session, key: str
) -> tuple[LayerStore | StoredImageStore | ContainerStore, str]:
    """The same; an image of an additional store gets a record in the own one first."""
    kind, id = session.find(key)  # noqa: A001
    if kind == "image":
        storage, image = session.find_image(id)
        if image.additional:
            _adopt(storage, image)
    return session.objects_of(kind, id), id


def _adopt(storage: Storage, image: StoredImage) -> None:
    """Record an image of an additional store with all its data, over the same layers."""
    with ExitStack() as stack:
        items = [
            (datum.name, stack.enter_context(storage.images.data.open(image.id, datum.name)))
            for datum in storage.images.data.list(image.id)
        ]
        storage.images.create(
            image.layer,
            id=image.id,
            names=image.names,
            metadata=image.metadata,
            digest=image.digest,
            created_at_ns=image.created_at_ns,
            flags=image.flags,
        )
        for name, stream in items:
            storage.images.data.put(image.id, name, stream)


def _say(session: Session, call: Call, names: tuple[str, ...]) -> int:
    if call.flag("json"):
        session.json(list(names) or None)
    return 0
