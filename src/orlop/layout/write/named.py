"""Images that are to be written, and what a layout's index calls them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Final

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
    return naming.entries.index(index), naming.notes


class _Naming:
    """The entries of an index, to which images are added."""

    def __init__(self, index: Index, images: Sequence[NamedImage]) -> None:
        self.entries = _Entries(index.manifests)
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
        if not self.entries.digests[plain.digest]:
            self.entries.put(plain)

    def _put_name(self, plain: Descriptor, name: str) -> None:
        ref_name = Reference.parse(name).tag or name
        if self._belongs_to_another(ref_name, plain, name):
            self.notes.append(f"the ref.name of {name} is all of it: its tag is another image's")
            ref_name = name
        self.entries.drop(name)
        self.entries.put(_called(plain, {CONTAINERD_NAME: name, REF_NAME: ref_name}))

    def _put_tag(self, plain: Descriptor, tag: str) -> None:
        if self._tags[tag] == plain.digest:
            self.entries.put(_called(plain, {REF_NAME: tag}))
        else:
            self.notes.append(f"{plain.digest} is not called {tag}: another of these images is")

    def _belongs_to_another(self, tag: str, plain: Descriptor, name: str) -> bool:
        if self._tags.get(tag, plain.digest) != plain.digest:
            return True
        return any(
            not same_name(found.annotations.get(CONTAINERD_NAME, name), name)
            for found in self.entries.called(tag)
        )


class _Entries:
    """The descriptors of an index in their order, each found by its ref.name at once.

    An image can have as many names as an index has entries: none is looked for among all.

    Attributes:
        digests: How many entries there are of each digest.
    """

    def __init__(self, manifests: Sequence[Descriptor]) -> None:
        self.digests: Counter[Digest] = Counter()
        self._entries: dict[int, Descriptor] = {}
        self._places: dict[str, list[int]] = {}
        self._numbers = count()
        self._before = manifests
        for each in manifests:
            self._append(each)

    def called(self, ref_name: str) -> list[Descriptor]:
        """Those of a ref.name."""
        return [self._entries[at] for at in self._places.get(ref_name, ())]

    def drop(self, ref_name: str) -> None:
        """Take those of a ref.name away."""
        for at in self._places.pop(ref_name, ()):
            self.digests[self._entries.pop(at).digest] -= 1

    def put(self, descriptor: Descriptor) -> None:
        """Append a descriptor, to which its ref.name moves."""
        if name := descriptor.annotations.get(REF_NAME):
            self.drop(name)
        self._append(descriptor)

    def index(self, before: Index) -> Index:
        """The index with these entries; itself where nothing has changed."""
        manifests = tuple(self._entries.values())
        return before if manifests == self._before else replace(before, manifests=manifests)

    def _append(self, descriptor: Descriptor) -> None:
        at = next(self._numbers)
        self._entries[at] = descriptor
        self._places.setdefault(descriptor.annotations.get(REF_NAME, ""), []).append(at)
        self.digests[descriptor.digest] += 1


def _without_names(descriptor: Descriptor) -> Descriptor:
    kept = {key: value for key, value in descriptor.annotations.items() if key not in _NAMES}
    return replace(descriptor, annotations=kept)


def _called(descriptor: Descriptor, names: dict[str, str]) -> Descriptor:
    return replace(descriptor, annotations={**descriptor.annotations, **names})
