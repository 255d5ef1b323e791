"""Verbs that mount and unmount."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import NotFoundError, OrlopError
from orlop.storagecmd.session import NO_LAYER, error_text, existing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orlop.storage.layers.record import Layer
    from orlop.storage.storage import Storage
    from orlop.storagecmd.options import Call
    from orlop.storagecmd.session import Session


def mount(session: Session, call: Call) -> int:
    """`mount`."""
    done = []
    for key in call.arguments:
        try:
            path, why = _mount(session, call, key), ""
        except (OrlopError, OSError) as error:
            path, why = "", error_text(error)
        done.append({"id": key, "mountpoint": path, "error": why})
    if call.flag("json"):
        session.json(done)
    else:
        for each in done:
            if each["error"]:
                session.complain(f"{each['error']} while mounting {each['id']}")
            session.line(each["mountpoint"])
    return int(any(each["error"] for each in done))


def unmount(session: Session, call: Call) -> int:
    """`unmount`."""
    force = call.flag("force")
    return _each(session, call, lambda key: _unmount(session, key, force=force), "while unmounting")


def mounted(session: Session, call: Call) -> int:
    """`mounted`."""

    def one(key: str) -> str:
        storage, layer, _ = _mountable(session, key)
        return f"{key} mounted" if storage.layers.mounted(layer) else ""

    return _each(session, call, one, "checking if {} is mounted")


def layer_parent_owners(session: Session, call: Call) -> int:
    """`layer-parent-owners`."""
    found = existing(session.layer, call.arguments)
    for layer in found:
        _say_owners(session, call, layer.id, layer, sparing=True)
    return int(len(found) != len(call.arguments))


def container_parent_owners(session: Session, call: Call) -> int:
    """`container-parent-owners`."""
    found = existing(session.container, call.arguments)
    for container in found:
        _say_owners(session, call, container.id, session.layer(container.layer), sparing=False)
    return int(len(found) != len(call.arguments))


def _mount(session: Session, call: Call, key: str) -> str:
    if call.flag("read-only"):
        storage, image = session.find_image(key)
        return str(storage.images.mount(image.id, keep=True).path)
    storage, layer, trusted = _mountable(session, key)
    flags = session.settings.mount_flags
    found = storage.layers.mount(
        layer,
        keep=True,
        nodev=not trusted or "nodev" in flags,
        nosuid=not trusted or "nosuid" in flags,
    )
    return str(found.path)


def _mountable(session: Session, key: str) -> tuple[Storage, str, bool]:
    """The layer of a container, else a layer, and whether device nodes in it are to work."""
    try:
        return session.storage, session.container(key).layer, True
    except NotFoundError:
        storage, layer = session.find_layer(key)
        return storage, layer.id, False


def _unmount(session: Session, key: str, *, force: bool) -> str:
    """Give a mount up; what is said of it: of images nothing."""
    try:
        storage, layer, _ = _mountable(session, key)
        said = f"{key} mountpoint unmounted"
    except NotFoundError:
        try:
            storage, image = session.find_image(key)
        except NotFoundError:
            raise NotFoundError(NO_LAYER) from None
        if image.layer is None:
            return ""
        layer, said = image.layer, ""
    layers = storage.layers
    left = layers.unmount(layer, force=force) if layers.mounted(layer) else 0
    return "" if left else said


def _each(session: Session, call: Call, one: Callable[[str], str], doing: str) -> int:
    done = []
    for key in call.arguments:
        try:
            said, why = one(key), ""
        except (OrlopError, OSError) as error:
            said, why = "", error_text(error)
        if said:
            session.line(said)
        done.append({"id": key, "error": why})
    if call.flag("json"):
        session.json(done)
    else:
        for each in done:
            if each["error"]:
                what = doing.format(each["id"]) if "{}" in doing else f"{doing} {each['id']}"
                session.complain(f"{each['error']} {what}")
    return int(any(each["error"] for each in done))


def _say_owners(
    session: Session,
    call: Call,
    id: str,  # noqa: A002
    layer: Layer,
    *,
    sparing: bool,
) -> None:
    """Write whose the directories above a mount are; of layers nothing where they are nobody's."""
    uids, gids = _owners(session, layer)
    if call.flag("json"):
        session.json({"ID": id, "UIDs": list(uids) or None, "GIDs": list(gids) or None})
        return
    session.line(f"ID: {id}")
    for kind, ids in (("UIDs", uids), ("GIDs", gids)):
        if ids or not sparing:
            session.line(f"{kind}: [{' '.join(map(str, ids))}]")


def _owners(session: Session, layer: Layer) -> tuple[Sequence[int], Sequence[int]]:
    if layer.id_mapping is None:
        return (), ()
    storage, _ = session.find_layer(layer.id)
    try:
        return storage.layers.parent_owners(layer.id)
    except NotFoundError:
        raise NotFoundError("layer is not mounted") from None
