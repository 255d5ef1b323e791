"""What is wrong with the objects of a store, in the words that scripts look for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from orlop.storagecmd.forms import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.digest import Digest
    from orlop.metadata.objects import BigDatum
    from orlop.storage.big_data import BigDataStore
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.record import Layer
    from orlop.storage.stored.record import StoredImage
    from orlop.storagecmd.session import Session

Findings: TypeAlias = "dict[str, list[str]]"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found, by the ID of what is wrong; the topmost layers first."""

    layers: Findings = field(default_factory=dict)
    read_only_layers: Findings = field(default_factory=dict)
    images: Findings = field(default_factory=dict)
    read_only_images: Findings = field(default_factory=dict)
    containers: Findings = field(default_factory=dict)
    store: list[str] = field(default_factory=list)
    """What is wrong with what several of them share, such as blobs."""

    def __bool__(self) -> bool:
        return any(self.members().values()) or bool(self.store)

    def members(self) -> dict[str, Findings]:
        """The findings by what they are of, as JSON has them."""
        return {
            "Layers": self.layers,
            "ROLayers": self.read_only_layers,
            "Images": self.images,
            "ROImages": self.read_only_images,
            "Containers": self.containers,
        }

    def lines(self) -> Iterator[str]:
        """The findings as text, each below what it is of."""
        titles = ("layer", "read-only layer", "image", "read-only image", "container")
        for title, found in zip(titles, self.members().values(), strict=True):
            for id, reasons in found.items():  # noqa: A001
                yield f"{title} {id}:"
                yield from (f" {reason}" for reason in reasons)
        if self.store:
            yield "store:"
            yield from (f" {reason}" for reason in self.store)

    def add(self, kind: str, id: str, reason: str, *, additional: bool = False) -> None:  # noqa: A002
        """Note what is wrong with something."""
        places = {
            ("layer", False): self.layers,
            ("layer", True): self.read_only_layers,
            ("image", False): self.images,
            ("image", True): self.read_only_images,
            ("container", False): self.containers,
        }
        reasons = places[kind, additional].setdefault(id, [])
        if reason not in reasons:
            reasons.append(reason)


def look(session: Session, *, before_ns: int, quick: bool) -> Report:
    """Look for damage, and for what nobody needs.

    Args:
        session: The store.
        before_ns: Layers that nothing needs are told if they are older.
        quick: Do not read the tars of layers.
    """
    return _Look(session, before_ns, quick=quick).run()


class _Look:
    def __init__(self, session: Session, before_ns: int, *, quick: bool) -> None:
        from orlop.storagecmd.examining import all_images, all_layers

        self.session = session
        self.before_ns = before_ns
        self.quick = quick
        self.report = Report()
        self.layers = {each.id: each for each in all_layers(session)}
        self.images = {each.id: each for each in all_images(session)}

    def run(self) -> Report:
        for storage in self.session.storages:
            self._contents(storage, additional=False)
        own = {storage.places.root for storage in self.session.storages}
        for other in self.session.storage.additional:
            if other.places.root not in own:
                self._contents(other, additional=True)
        for layer in topmost_first(self.layers.values()):
            self._layer(layer)
        for image in self.images.values():
            self._image(image)
        self._containers()
        self._nobodys()
        return self.report

    def _layer(self, layer: Layer) -> None:
        storage, _ = self.session.find_layer(layer.id)
        reasons = list(_data_damage(storage.layers.data, "layer", layer.id))
        if layer.parent is not None and layer.parent not in self.layers:
            reasons.append("parent of layer not known")
        for reason in reasons:
            self._tell("layer", layer.id, reason, additional=layer.additional)

    def _contents(self, storage: StorageCore, *, additional: bool) -> None:
        """What is wrong with what layers are kept as, and with the records."""
        from orlop.storage.check import check

        by_diff_id: dict[str, list[str]] = {}
        for each in self.layers.values():
            by_diff_id.setdefault(str(each.diff_id), []).append(each.id)
        for found in check(storage, quick=self.quick).damaged:
            if found.subject in ("data", "name", "mount"):
                continue  # Of data more is said below; a mount is no damage of what is kept.
            if found.subject in ("layer", "image", "container"):
                self.report.add(found.subject, found.id, found.what, additional=additional)
                continue
            layers = [
                layer
                for diff_id in by_diff_id
                if diff_id in found.id
                for layer in by_diff_id[diff_id]
            ]
            for layer in layers if found.damage in ("digest", "size", "mismatch") else ():
                self._tell("layer", layer, "layer content incorrect digest", additional=additional)
            if not layers:
                self.report.store.append(found.what)

    def _image(self, image: StoredImage) -> None:
        storage, _ = self.session.find_image(image.id)
        for reason in _data_damage(storage.images.data, "image", image.id):
            self._tell("image", image.id, reason, additional=image.additional)
        for layer in self._stack(image.layer):
            if layer not in self.layers:
                reason = f"layer {layer}: image layer is missing"
            elif layer in self.report.layers or layer in self.report.read_only_layers:
                reason = f"layer {layer}: it is damaged"
            else:
                continue
            self._tell("image", image.id, reason, additional=image.additional)

    def _containers(self) -> None:
        containers = self.session.storage.containers
        for container in containers.list():
            for reason in _data_damage(containers.data, "container", container.id):
                self._tell("container", container.id, reason)
            image = container.image
            if image and image not in self.images:
                self._tell("container", container.id, f"image {image}: image missing")
            elif image in self.report.images or image in self.report.read_only_images:
                self._tell("container", container.id, f"image {image}: it is damaged")
            if container.layer not in self.layers:
                self._tell("container", container.id, f"layer {container.layer}: layer is missing")

    def _nobodys(self) -> None:
        from orlop.storagecmd.examining import unrecorded

        tops = [image.layer for image in self.images.values()]
        tops += [each.layer for each in self.session.storage.containers.list()]
        needed = {layer for top in tops for layer in self._stack(top)}
        for layer in topmost_first(self.layers.values()):
            is_old = layer.created_at_ns <= self.before_ns
            if is_old and layer.id not in needed and not layer.additional:
                self._tell("layer", layer.id, "layer not referenced by any images or containers")
        for id in unrecorded(self.session.storage):  # noqa: A001
            self._tell("layer", id, "layer in lower level storage driver not accounted for")

    def _stack(self, top: str | None) -> Iterator[str]:
        """A layer and all below it, until one is missing."""
        while top is not None:
            yield top
            top = self.layers[top].parent if top in self.layers else None

    def _tell(self, kind: str, id: str, reason: str, *, additional: bool = False) -> None:  # noqa: A002
        self.report.add(kind, id, f"{kind} {id}: {reason}", additional=additional)


def topmost_first(layers: Iterable[Layer]) -> list[Layer]:
    """Layers in an order in which each comes before what it stands on."""
    parents = {layer.id: layer.parent for layer in layers}
    depths: dict[str | None, int] = {None: 0}

    def depth(id: str) -> int:  # noqa: A002
        path: list[str] = []
        at: str | None = id
        while at not in depths:
            path.append(at or "")
            at = parents.get(at or "")
        for each in reversed(path):
            depths[each] = depths[at] + 1
            at = each
        return depths[id]

    return sorted(layers, key=lambda layer: depth(layer.id), reverse=True)


def _data_damage(data: BigDataStore, kind: str, id: str) -> Iterator[str]:  # noqa: A002
    for datum in data.list(id):
        reason = _datum_damage(data, id, datum)
        if reason:
            yield f"data item {quoted(datum.name)}: {kind} data item {reason}"


def _datum_damage(data: BigDataStore, id: str, datum: BigDatum) -> str:  # noqa: A002
    try:
        with data.open(id, datum.name) as stream:
            if os.fstat(stream.fileno()).st_size != datum.size:
                return "has incorrect size"
            return "" if _has_digest(stream, datum.digest) else "has incorrect digest"
    except FileNotFoundError:
        return "is missing"


def _has_digest(stream: BinaryIO, digest: Digest) -> bool:
    from orlop.digest import digest_of, new_hash

    hashed = new_hash(digest.algorithm)
    while piece := stream.read(_CHUNK):
        hashed.update(piece)
    return digest_of(hashed) == digest
