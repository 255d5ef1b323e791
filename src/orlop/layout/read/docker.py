"""Archives that `docker save`, podman, skopeo, crane and containerd write.

    manifest.json                    the images: see `saved`
    repositories                     names, from the days before; a last resort
    oci-layout, index.json, blobs/   the images as an OCI layout, since Docker 25: see `original`

A name that an image has in either is its name. Its original manifest is used where everything
below it was saved; otherwise one is made: see `classic`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orlop.digest import Digest
from orlop.layout.names import unique
from orlop.layout.place import position_of
from orlop.layout.read.choose import ListedImage, ambiguous, at_position, not_found, selectors_of
from orlop.layout.read.classic import make_manifest
from orlop.layout.read.documents import Budget
from orlop.layout.read.oci import blob_path, open_all_oci
from orlop.layout.read.original import Original, read_originals
from orlop.layout.read.saved import read_saved
from orlop.layout.read.source import LocalSource
from orlop.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orlop.layout.files import Files
    from orlop.layout.place import Place
    from orlop.layout.read.saved import SavedImage
    from orlop.spec.descriptor import Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """An image of the archive, with what the layout inside says of it."""

    image_id: Digest
    saved: SavedImage
    originals: Sequence[Original]
    names: tuple[str, ...]
    tags: tuple[str, ...]


def open_docker(place: Place, files: Files) -> LocalSource:
    """Find the image of an archive that the place's selector means: `@N`, or one of its names.

    Raises:
        InvalidDocumentError: The archive lacks a document, or one is broken.
        InvalidArchiveError: It lacks a layer.
        InvalidReferenceError: The selector is no reference.
        NotFoundError: It holds no such image.
        AmbiguousError: It holds several.
        UnsupportedError: It is of a form from before `manifest.json`.
        VerificationError: A config or manifest is not what its name says.
    """
    return _source(place, files, _choose(place, _read_offers(place, files)))


def open_all_docker(place: Place, files: Files) -> list[LocalSource]:
    """Every image of an archive, those of one digest once, in the order of `manifest.json`.

    After them come those that only the layout inside names. Of these some may be listed and not be
    there: Docker lists what it has not saved. So each has one image at least that is whole;
    artifacts that are no images are left out.

    Raises:
        OrlopError: As `open_docker`.
    """
    offers, originals = _read(place, files)
    known = {original.top.digest for offer in offers for original in offer.originals}
    others = {original.top.digest for original in originals if original.is_image} - known
    sources = _sources(place, files, offers)
    if others:
        listed = open_all_oci(place, files)
        sources += [source for source in listed if source.resolve().digest in others]
    return sources


def _sources(place: Place, files: Files, offers: Sequence[_Offer]) -> list[LocalSource]:
    found: dict[Digest, list[_Offer]] = {}
    for offer in offers:
        found.setdefault(_identity(offer), []).append(offer)
    return [_source(place, files, _joined(same)) for same in found.values()]


def _source(place: Place, files: Files, offer: _Offer) -> LocalSource:
    original = _original_of(offer)
    if original is not None:
        return LocalSource(
            files=files, target=original, names=offer.names, tags=offer.tags, locate=blob_path
        )
    made = make_manifest(place, files, offer.saved)
    return LocalSource(
        files=files,
        target=made.target,
        names=offer.names,
        tags=offer.tags,
        locate=lambda descriptor: made.members.get(descriptor.digest, blob_path(descriptor)),
        documents={made.target.digest: made.raw},
    )


def list_docker(place: Place, files: Files) -> list[ListedImage]:
    """The images of an archive, in the order of `manifest.json`; raises as `open_docker` does."""
    return _listed(_read_offers(place, files))


def _read_offers(place: Place, files: Files) -> list[_Offer]:
    return _read(place, files)[0]


def _read(place: Place, files: Files) -> tuple[list[_Offer], list[Original]]:
    """What `manifest.json` lists, and all manifests of the layout inside."""
    budget = Budget()
    originals = read_originals(place, files, budget)
    by_config: dict[Digest, list[Original]] = {}
    for original in originals:
        by_config.setdefault(original.image_id, []).append(original)
    saved = read_saved(place, files, budget)
    elements = frozenset(image.layers for image in saved)
    return [_offer(image, by_config, elements) for image in saved], originals


def _offer(
    image: SavedImage,
    originals: Mapping[Digest, list[Original]],
    elements: frozenset[tuple[str, ...]],
) -> _Offer:
    image_id = Digest.of(image.config)
    algorithms = {each.algorithm for each in originals if each.computable}
    same = [Digest.of(image.config, algorithm) for algorithm in sorted(algorithms)]
    fitting = [original for each in same for original in originals.get(each, ())]
    others = elements - {image.layers}  # Images of the same config, compressed in another way.
    fitting = [original for original in fitting if original.layers not in others]
    named = (name for original in fitting for name in original.names)
    names = unique((*named, *image.names))
    tags = () if names else unique(tag for original in fitting for tag in original.tags)
    return _Offer(image_id=image_id, saved=image, originals=fitting, names=names, tags=tags)


def _joined(offers: Sequence[_Offer]) -> _Offer:
    """What several elements of `manifest.json` say of one image."""
    names = unique(name for offer in offers for name in offer.names)
    return replace(offers[0], names=names, tags=() if names else offers[0].tags)


def _choose(place: Place, offers: Sequence[_Offer]) -> _Offer:
    chosen = _matches(place, offers)
    if not chosen:
        raise not_found(place, _listed(offers))
    if len({_identity(offers[number]) for number in chosen}) > 1:
        listed = _listed(offers)
        raise ambiguous(place, [listed[number] for number in chosen])
    return replace(offers[chosen[0]], names=_names(place, [offers[number] for number in chosen]))


def _names(place: Place, chosen: Sequence[_Offer]) -> tuple[str, ...]:
    """The name that was asked for, or all where none was."""
    if place.selector is None or position_of(place.selector) is not None:
        return unique(name for offer in chosen for name in offer.names)
    return (_wanted(place.selector),)


def _matches(place: Place, offers: Sequence[_Offer]) -> list[int]:
    """The positions of the images that the selector fits."""
    position = at_position(place, len(offers))
    if position is not None:
        return [position]
    if place.selector is None:
        return list(range(len(offers)))
    wanted = _wanted(place.selector)
    return [number for number, offer in enumerate(offers) if wanted in offer.names]


def _wanted(selector: str) -> str:
    return str(Reference.parse(selector).with_default_tag())


def _listed(offers: Sequence[_Offer]) -> list[ListedImage]:
    selectors = selectors_of([offer.names for offer in offers])
    return [
        ListedImage(selector=selector, names=offer.names, descriptor=_original_of(offer))
        for selector, offer in zip(selectors, offers, strict=True)
    ]


def _identity(offer: _Offer) -> Digest:
    """What tells an image from the others of the archive."""
    original = _original_of(offer)
    return offer.image_id if original is None else original.digest


def _original_of(offer: _Offer) -> Descriptor | None:
    """The original manifest, or the index with it if that is whole; best one that has the name."""
    layers = len(offer.saved.diff_ids)
    fitting = [original for original in offer.originals if len(original.layers) == layers]
    if not fitting:
        return None
    names = set(offer.names)
    best = min(fitting, key=lambda original: names.isdisjoint(original.names))
    return best.top if best.whole else best.descriptor
