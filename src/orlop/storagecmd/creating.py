"""Verbs that make layers, images and containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import AlreadyExistsError, InvalidDigestError, InvalidError, NotFoundError
from orlop.storagecmd.forms import quoted
from orlop.storagecmd.listing import made_lines
from orlop.storagecmd.session import reading, tar_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.digest import Digest
    from orlop.idmap import IdMapping
    from orlop.storage.layers.record import Layer
    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import Container, StoredImage
    from orlop.storagecmd.options import Call
    from orlop.storagecmd.session import Kind, Session


def create_layer(session: Session, call: Call) -> int:
    """`create-layer`."""
    mapping = mapping_of(call)
    parent = _parent(session, call)
    if parent is not None:
        rest_parent(session, parent)
    with _Taken(session, "layer", call):
        layer = _storage_of(session, call).layers.create(
            parent,
            id=call.text("id") or None,
            names=call.texts("name"),
            read_only=call.flag("readonly"),
            mount_label=call.text("label"),
            id_mapping=mapping,
        )
    return _say_layer(session, call, layer)


def import_layer(session: Session, call: Call) -> int:
    """`import-layer`."""
    with reading(call.text("file"), session.streams.stdin) as stream:
        mapping = mapping_of(call)
        parent = _parent(session, call)
        with tar_errors(), _Taken(session, "layer", call):
            layer = _storage_of(session, call).layers.put(
                stream,
                parent,
                id=call.text("id") or None,
                names=call.texts("name"),
                read_only=call.flag("readonly"),
                mount_label=call.text("label"),
                id_mapping=mapping,
            )
    return _say_layer(session, call, layer)


def create_storage_layer(session: Session, call: Call) -> int:
    """`create-storage-layer`."""
    from orlop.storage.naming import check_id, new_id

    mapping_of(call)
    id = check_id(call.text("id")) if call.text("id") else new_id()  # noqa: A001
    session.storage.places.layer(id).mkdir(mode=0o700)
    if call.flag("json"):
        session.json(id)
    else:
        session.line(id)
    return 0


def create_image(session: Session, call: Call) -> int:
    """`create-image`."""
    metadata = metadata_of(call)
    layer = _parent(session, call)
    with _Taken(session, "image", call):
        image = session.image_storage.images.create(
            layer,
            id=call.text("id") or None,
            names=call.texts("name"),
            metadata=metadata,
            digest=_digest_of(call.text("digest")),
        )
    if call.flag("json"):
        from orlop.storagecmd.records import image_json

        session.json(image_json(image, ()))
    else:
        session.lines(made_lines(image.id, image.names))
    return 0


def create_container(session: Session, call: Call) -> int:
    """`create-container`."""
    metadata = metadata_of(call)
    mapping = mapping_of(call)
    key = call.arguments[0]
    if key:
        image = session.image(key)
        key = image.id
        if image.layer is not None:
            rest_parent(session, image.layer)
    volatile = call.flag("volatile") or session.settings.transient
    with _Taken(session, "container", call):
        container = session.storage.containers.create(
            key or None,
            id=call.text("id") or None,
            names=call.texts("name"),
            metadata=metadata,
            id_mapping=mapping,
            volatile=volatile,
        )
    if call.flag("json"):
        from orlop.storagecmd.records import container_json

        session.json(container_json(container, ()))
    else:
        session.lines(made_lines(container.id, container.names))
    return 0


def metadata_of(call: Call) -> str:
    """The metadata that options give, by themselves or in a file."""
    path = call.text("metadata-file")
    if not path:
        return call.text("metadata")
    from orlop.storage.naming import MAX_METADATA_SIZE

    with open(path, "rb") as file:
        return file.read(MAX_METADATA_SIZE + 1).decode(errors="surrogateescape")


def mapping_of(call: Call) -> IdMapping | None:
    """The ID mapping that options give; None for that of the host.

    Raises:
        InvalidError: They contradict each other, or are none.
        NotFoundError: A user or group has no subordinate IDs.
    """
    for what in ("uid", "gid"):
        if call.flag(f"host{what}map") and (call.text(f"{what}map") or call.text(f"sub{what}map")):
            raise InvalidError(f"host {what} map specified along with {what.upper()} mapping")
    uids, gids = _triples(call, "uid"), _triples(call, "gid")
    user = call.text("subuidmap") or call.text("subgidmap")
    group = call.text("subgidmap") or call.text("subuidmap")
    if user:
        from orlop.storagecmd.mappings import subordinate

        more_uids, more_gids = subordinate(user, group)
        uids, gids = [*more_uids, *uids], [*more_gids, *gids]
    if not uids and not gids:
        return None
    from orlop.idmap import IdMapping

    return IdMapping.parse(uids or gids, gids or uids)


def _triples(call: Call, what: str) -> list[str]:
    text = call.text(f"{what}map")
    if not text:
        return []
    numbers = text.split(":")
    if len(numbers) % 3 or not all(number.isdecimal() for number in numbers):
        raise InvalidError(
            f"initializing ID mappings: {what} setting is malformed"
            f' expected ["uint32:uint32:uint32"]: [{quoted(text)}]'
        )
    return [":".join(numbers[at : at + 3]) for at in range(0, len(numbers), 3)]


def _parent(session: Session, call: Call) -> str | None:
    key = call.arguments[0] if call.arguments else ""
    return session.layer(key).id if key else None


def rest_parent(session: Session, key: str) -> None:
    """Let a layer that is to be a parent take no more writes where it is mounted.

    Its mounts stay, and are counted as before, but are read-only from now on.

    Raises:
        InUseError: Somebody is just writing to it.
    """
    storage, layer = session.find_layer(key)
    layers, records = storage.layers, storage.mounts.present()
    if not any(record.layer == layer.id and record.writable for record, _ in records):
        return
    holds = layers.mounted(layer.id)
    while layers.mounted(layer.id):
        layers.unmount(layer.id)
    for _ in range(holds):
        layers.mount(layer.id, read_only=True, keep=True)


def _storage_of(session: Session, call: Call) -> Storage:
    return session.image_storage if call.flag("readonly") else session.storage


def _digest_of(text: str) -> Digest | None:
    if not text:
        return None
    from orlop.digest import Digest

    try:
        return Digest(text)
    except InvalidDigestError:
        raise InvalidError(f"image digest {quoted(text)}: invalid checksum digest format") from None


def _say_layer(session: Session, call: Call, layer: Layer) -> int:
    if call.flag("json"):
        from orlop.storagecmd.records import layer_json, owners_of

        session.json(layer_json(layer, (), owners_of(session.storage, layer)))
    else:
        session.lines(made_lines(layer.id, layer.names))
    return 0


class _Taken:
    """Says of an ID or a name that is taken which of them it is, in the words scripts look for."""

    def __init__(self, session: Session, kind: Kind, call: Call) -> None:
        self._session = session
        self._kind = kind
        self._call = call

    def __enter__(self) -> None:
        return

    def __exit__(self, _: object, error: object, __: object) -> None:
        if not isinstance(error, AlreadyExistsError):
            return
        get = getattr(self._session, self._kind)
        id = self._call.text("id")  # noqa: A001
        if id and _id_of(get, id) == id:
            raise AlreadyExistsError("that ID is already in use") from None
        for name in self._call.texts("name"):
            owner = _id_of(get, name)
            if owner is not None:
                raise AlreadyExistsError(
                    f"{self._kind} name {quoted(name)} is that of {owner}:"
                    " that name is already in use"
                ) from None


def _id_of(get: Callable[[str], Layer | StoredImage | Container], key: str) -> str | None:
    try:
        return get(key).id
    except NotFoundError:
        return None
