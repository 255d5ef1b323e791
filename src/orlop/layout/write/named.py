"""Images that are to be written, and what a layout's index calls them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from orlop.layout.index import with_descriptor, without_ref_name
from orlop.layout.names import full_name, same_name, unique
from orlop.reference import Reference
from orlop.spec.layout import CONTAINERD_NAME, REF_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.digest import Digest
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


def with_images(index: Index, images: Sequence[NamedImage]) -> tuple[Index, list[str]]:
    """The index with images under all of their names, and notes on what they could not be called.

    A full reference is written as containerd and Docker do: whole in an annotation of containerd's,
    and its tag alone as ref.name, which skopeo and umoci choose images by. A tag that belongs to
    another repository's image, or to another one of these, is left to it; the ref.name is then the
    whole reference. What else is taken moves.

    Spec: image-spec v1.1, annotations.md, "org.opencontainers.image.ref.name".
    """
    naming = _Naming(index, images)
    for image in images:
        naming.add(image)
    return naming.index, naming.notes


class _Naming:
    """An index to which images are added."""

    def __init__(self, index: Index, images: Sequence[NamedImage]) -> None:
        self.index = index
        self.notes: list[str] = []
        self._tags: dict[str, Digest] = {}
        for image in images:
            for tag in image.tags:
                self._tags.setdefault(tag, image.target.digest)

    def add(self, image: NamedImage) -> None:
        """Add an image under all names that it can have."""
        plain = _without_names(image.target)
        for name in image.names:
            self._put_name(plain, name)
        for tag in image.tags:
            self._put_tag(plain, tag)
        if all(found.digest != plain.digest for found in self.index.manifests):
            self.index = with_descriptor(self.index, plain)

    def _put_name(self, plain: Descriptor, name: str) -> None:
        ref_name = Reference.parse(name).tag or name
        if self._belongs_to_another(ref_name, plain, name):
            self.notes.append(f"the ref.name of {name} is all of it: its tag is another image's")
            ref_name = name
        self.index = without_ref_name(self.index, name)
        named = _called(plain, {CONTAINERD_NAME: name, REF_NAME: ref_name})
        self.index = with_descriptor(self.index, named)

    def _put_tag(self, plain: Descriptor, tag: str) -> None:
        if self._tags[tag] == plain.digest:
            self.index = with_descriptor(self.index, _called(plain, {REF_NAME: tag}))
        else:
            self.notes.append(f"{plain.digest} is not called {tag}: another of these images is")

    def _belongs_to_another(self, tag: str, plain: Descriptor, name: str) -> bool:
        if self._tags.get(tag, plain.digest) != plain.digest:
            return True
        return any(
            found.annotations.get(REF_NAME) == tag
            and not same_name(found.annotations.get(CONTAINERD_NAME, name), name)
            for found in self.index.manifests
        )


def _without_names(descriptor: Descriptor) -> Descriptor:
    kept = {key: value for key, value in descriptor.annotations.items() if key not in _NAMES}
    return replace(descriptor, annotations=kept)


def _called(descriptor: Descriptor, names: dict[str, str]) -> Descriptor:
    return replace(descriptor, annotations={**descriptor.annotations, **names})
