"""OCI image layouts, in whatever files hold them.

    oci-layout                  {"imageLayoutVersion": "1.0.0"}
    index.json                  an index; its descriptors are the images
    blobs/<algorithm>/<hex>     content by digest

Spec: image-spec v1.1, image-layout.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.layout.driver.path import INDEX_FILE, LAYOUT_FILE
from orlop.layout.index import decode_index
from orlop.layout.names import full_name, names_of, ref_name_of, same_name, unique
from orlop.layout.read.choose import ListedImage, ambiguous, at_position, not_found, selectors_of
from orlop.layout.read.documents import decoding, read_file
from orlop.layout.read.source import LocalSource
from orlop.reference import Reference
from orlop.spec.layout import (
    CONTAINERD_NAME,
    MAX_INDEX_SIZE,
    MAX_LAYOUT_SIZE,
    REF_NAME,
    ImageLayout,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.digest import Digest
    from orlop.layout.files import Files
    from orlop.layout.place import Place
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.index import Index


def open_oci(place: Place, files: Files) -> LocalSource:
    """Find the image of a layout that the place's selector means.

    A selector is `@N`, or else the first of these that fits: a ref.name, containerd's image name,
    the tag of a ref.name that is a full reference.

    Raises:
        InvalidDocumentError: This is no layout, or its index is broken.
        NotFoundError: The layout holds no such image.
        AmbiguousError: It holds several.
    """
    return _source(files, _choose(place, read_index(place, files).manifests))


def open_all_oci(place: Place, files: Files) -> list[LocalSource]:
    """Every image of a layout, in the order of its index; those of one digest are one.

    Raises:
        InvalidDocumentError: This is no layout, or its index is broken.
    """
    found: dict[Digest, list[Descriptor]] = {}
    for image in read_index(place, files).manifests:
        found.setdefault(image.digest, []).append(image)
    return [_source(files, images) for images in found.values()]


def list_oci(place: Place, files: Files) -> list[ListedImage]:
    """The images of a layout, in the order of its index.

    Raises:
        InvalidDocumentError: This is no layout, or its index is broken.
    """
    return _listed(read_index(place, files).manifests)


def read_index(place: Place, files: Files) -> Index:
    """The layout's index, after a look at its version.

    Raises:
        InvalidDocumentError: A file of the two is missing or broken.
        UnsupportedError: The layout is of another version.
        LimitExceededError: A file is larger than it may be.
    """
    layout = read_file(place, files, LAYOUT_FILE, limit="MAX_LAYOUT_SIZE", most=MAX_LAYOUT_SIZE)
    with decoding(place, LAYOUT_FILE):
        ImageLayout.decode(layout)
    index = read_file(place, files, INDEX_FILE, limit="MAX_INDEX_SIZE", most=MAX_INDEX_SIZE)
    with decoding(place, INDEX_FILE):
        return decode_index(index)


def blob_path(descriptor: Descriptor) -> str:
    """Where a layout keeps the content of a descriptor."""
    return f"blobs/{descriptor.digest.algorithm}/{descriptor.digest.encoded}"


def _source(files: Files, images: Sequence[Descriptor]) -> LocalSource:
    """The image that these descriptors of one digest mean, under all of their names."""
    names = unique(name for image in images for name in names_of(image))
    tags = unique(tag for image in images if not names_of(image) and (tag := ref_name_of(image)))
    return LocalSource(files=files, target=images[0], names=names, tags=tags, locate=blob_path)


def _choose(place: Place, manifests: Sequence[Descriptor]) -> list[Descriptor]:
    """The descriptors that the selector means: one, or several of the same digest."""
    chosen = _matches(place, manifests)
    if not chosen:
        raise not_found(place, _listed(manifests))
    if len({manifests[number].digest for number in chosen}) > 1:
        listed = _listed(manifests)
        raise ambiguous(place, [listed[number] for number in chosen])
    return [manifests[number] for number in chosen]


def _matches(place: Place, manifests: Sequence[Descriptor]) -> list[int]:
    """The positions of the descriptors that the selector fits."""
    position = at_position(place, len(manifests))
    if position is not None:
        return [position]
    if place.selector is None:
        return list(range(len(manifests)))
    for fits in (_has_ref_name, _has_containerd_name, _has_tag):
        if chosen := [at for at, image in enumerate(manifests) if fits(image, place.selector)]:
            return chosen
    return []


def _has_ref_name(image: Descriptor, selector: str) -> bool:
    return image.annotations.get(REF_NAME) == selector


def _has_containerd_name(image: Descriptor, selector: str) -> bool:
    name = image.annotations.get(CONTAINERD_NAME)
    return name is not None and same_name(name, selector)


def _has_tag(image: Descriptor, selector: str) -> bool:
    name = full_name(image.annotations.get(REF_NAME, ""))
    return name is not None and Reference.parse(name).tag == selector


def _listed(manifests: Sequence[Descriptor]) -> list[ListedImage]:
    """What chooses each descriptor: its ref.name, its containerd name, or its position."""
    names = [names_of(image) for image in manifests]
    selectors = selectors_of(list(map(_selectors, manifests, names)))
    return [
        ListedImage(selector=selector, names=found, descriptor=image)
        for selector, found, image in zip(selectors, names, manifests, strict=True)
    ]


def _selectors(image: Descriptor, names: tuple[str, ...]) -> tuple[str, ...]:
    ref_name = ref_name_of(image)
    return (ref_name, *names) if ref_name else names
