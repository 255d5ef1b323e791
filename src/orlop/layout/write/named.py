"""Images that are to be written, and what a layout's index calls them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from orlop.layout.index import with_descriptor
from orlop.layout.names import full_name, same_name, unique
from orlop.reference import Reference
from orlop.spec.layout import CONTAINERD_NAME, REF_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.spec.descriptor import Descriptor
    from orlop.spec.index import Index

_NAMES: Final = frozenset({CONTAINERD_NAME, REF_NAME})


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedImage:
    """An image that is to be written, and what it is called.

    Attributes:
        target: Its top-level manifest or index.
        names: Its full references.
        tags: What else it is called in a layout: words that are no full references.
        fallback: A full reference made up of where it came from, for a form that needs one.
    """

    target: Descriptor
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    fallback: str | None = None

    @property
    def full_names(self) -> tuple[str, ...]:
        """Full references, for a form without plain tags: made up where there are only those."""
        if self.names or not self.tags or self.fallback is None:
            return self.names
        repository = self.fallback.rpartition(":")[0]
        made = (full_name(f"{repository}:{tag}") for tag in self.tags)
        return unique(name for name in made if name) or (self.fallback,)


def with_image(index: Index, image: NamedImage) -> tuple[Index, list[str]]:
    """The index with an image under all of its names, and notes on what it could not be called.

    A full reference is written as containerd and Docker do: whole in an annotation of containerd's,
    and its tag alone as ref.name, which skopeo and umoci choose images by. A tag that belongs to
    another repository's image is left to it; the ref.name is then the whole reference.

    Spec: image-spec v1.1, annotations.md, "org.opencontainers.image.ref.name".
    """
    notes = []
    plain = _without_names(image.target)
    for name in image.names:
        ref_name = ref_name_for(index, name)
        if ref_name == name:
            notes.append(f"{name} has this ref.name in full: its tag belongs to another image")
        index = with_descriptor(index, _called(plain, {CONTAINERD_NAME: name, REF_NAME: ref_name}))
    for tag in image.tags:
        index = with_descriptor(index, _called(plain, {REF_NAME: tag}))
    if not image.names and not image.tags:
        index = _with_nameless(index, plain)
    return index, notes


def with_images(index: Index, images: Sequence[NamedImage]) -> tuple[Index, list[str]]:
    """The index with several images; see `with_image`."""
    notes = []
    for image in images:
        index, more = with_image(index, image)
        notes += more
    return index, notes


def ref_name_for(index: Index, name: str) -> str:
    """The ref.name for a full reference: its tag, unless that means another repository's image."""
    tag = Reference.parse(name).tag or name
    for owner in _owners_of(index, tag):
        if not same_name(owner, name):
            return name
    return tag


def _owners_of(index: Index, ref_name: str) -> Iterator[str]:
    for found in index.manifests:
        if found.annotations.get(REF_NAME) == ref_name and CONTAINERD_NAME in found.annotations:
            yield found.annotations[CONTAINERD_NAME]


def _without_names(descriptor: Descriptor) -> Descriptor:
    kept = {key: value for key, value in descriptor.annotations.items() if key not in _NAMES}
    return replace(descriptor, annotations=kept)


def _called(descriptor: Descriptor, names: dict[str, str]) -> Descriptor:
    return replace(descriptor, annotations={**descriptor.annotations, **names})


def _with_nameless(index: Index, descriptor: Descriptor) -> Index:
    """The index with a descriptor that has no name, once."""
    if any(found.digest == descriptor.digest for found in index.manifests):
        return index
    return with_descriptor(index, descriptor)
