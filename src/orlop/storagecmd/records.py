"""Records as the peer writes them in JSON: its members, in its order, empty ones left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import NotFoundError
from orlop.storagecmd.forms import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orlop.idmap import IdMapping, IdRange
    from orlop.metadata.objects import BigDatum
    from orlop.storage.layers.record import Layer
    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import Container, StoredImage

_COMPRESSIONS: Final = {"": 0, "none": 0, "bzip2": 1, "gzip": 2, "xz": 3, "zstd": 4}
_CONTAINER_FLAGS: Final = {"MountLabel": "", "ProcessLabel": ""}
"""What the peer notes about every container."""


def layer_json(
    layer: Layer, data: Sequence[BigDatum], owners: tuple[list[int], list[int]] = ([], [])
) -> dict[str, object]:
    """A layer, with the owners of its files as `owners_of` gives them."""
    mapping = layer.id_mapping
    users, groups = owners
    return _full(layer.id) | _without_empty(
        {
            "names": list(layer.names),
            "parent": layer.parent,
            "metadata": layer.metadata,
            "mountlabel": layer.mount_label,
            "created": moment(layer.created_at_ns),
            "compressed-diff-digest": layer.compressed_digest,
            "compressed-size": layer.compressed_size,
            "diff-digest": layer.diff_id,
            "diff-size": layer.diff_size,
            "compression": _COMPRESSIONS.get(layer.compression, 0),
            "uidset": users,
            "gidset": groups,
            "flags": _sorted({k: v for k, v in layer.flags.items() if k != "volatile"}),
            "uidmap": _map_json(mapping, "uids"),
            "gidmap": _map_json(mapping, "gids"),
            "big-data-names": [datum.name for datum in data],
        }
    )


def image_json(image: StoredImage, data: Sequence[BigDatum]) -> dict[str, object]:
    """An image."""
    return _full(image.id) | _without_empty(
        {
            "digest": next(iter(image.digests), None),
            "names": list(image.names),
            "names-history": list(image.names_history),
            "layer": image.layer,
            "metadata": image.metadata,
            **_data_json(data),
            "created": moment(image.created_at_ns),
            "flags": _sorted(image.flags),
        }
    )


def container_json(container: Container, data: Sequence[BigDatum]) -> dict[str, object]:
    """A container."""
    mapping = container.id_mapping
    return (
        _full(container.id)
        | _without_empty({"names": list(container.names)})
        | {"image": container.image, "layer": container.layer}
        | _without_empty(
            {
                "metadata": container.metadata,
                **_data_json(data),
                "created": moment(container.created_at_ns),
                "uidmap": _map_json(mapping, "uids"),
                "gidmap": _map_json(mapping, "gids"),
                "flags": _sorted({**_CONTAINER_FLAGS, **_peer_flags(container.flags)}),
            }
        )
    )


def owners_of(storage: Storage, layer: Layer) -> tuple[list[int], list[int]]:
    """Whose the files of a layer are that was made of a tar, as its headers say."""
    if layer.diff_id is None:
        return [], []
    try:
        return storage.forms.changeset(layer.diff_id).owners()
    except NotFoundError:
        return [], []


def _full(id: str) -> dict[str, object]:  # noqa: A002
    return {"id": id}


def _without_empty(members: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in members.items() if value not in (None, "", 0, [], {})}


def _sorted(members: Mapping[str, object]) -> dict[str, object]:
    return dict(sorted(members.items()))


def _peer_flags(flags: Mapping[str, object]) -> dict[str, object]:
    return {"Volatile" if key == "volatile" else key: value for key, value in flags.items()}


def _data_json(data: Iterable[BigDatum]) -> dict[str, object]:
    items = list(data)
    return {
        "big-data-names": [datum.name for datum in items],
        "big-data-sizes": _sorted({datum.name: datum.size for datum in items}),
        "big-data-digests": _sorted({datum.name: str(datum.digest) for datum in items}),
    }


def _map_json(mapping: IdMapping | None, side: str) -> list[dict[str, int]]:
    ranges: tuple[IdRange, ...] = getattr(mapping, side) if mapping is not None else ()
    return [{"container_id": r.container, "host_id": r.host, "size": r.size} for r in ranges]
