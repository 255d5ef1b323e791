"""What a collection has freed, or would."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

ItemKind = Literal[
    "lease", "mount", "container", "image", "blob", "form", "chain", "ingest", "leftover"
]
"""What goes: a lease or a mount that is over, a container that was not finished or was to go, an
image that has expired, a blob, the forms of a layer, what is derived from a stack, an ingest, or
what a killed process left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that goes.

    Attributes:
        kind: What it is.
        key: Its name: of a lease, an image, an ingest or a file; a digest; where it was mounted.
        size: Bytes on the disk that are free without it, and what goes before it.
    """

    kind: ItemKind
    key: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """How much a collection has freed, or would.

    Attributes:
        leases: Leases that were forgotten.
        mounts: Mounts that were forgotten.
        containers: Containers of killed processes: bundles that were not finished, and what was to
            go at its end.
        images: Names of images that had expired.
        blobs: Blobs moved to the trash.
        forms: Layers whose forms were.
        chains: Stacks whose derived files were.
        ingests: Ingests that were dropped.
        leftovers: What killed processes had left behind, in staging and in the trash.
        size: Bytes on the disk of all that.
        items: All of it, one by one.
    """

    leases: int = 0
    mounts: int = 0
    containers: int = 0
    images: int = 0
    blobs: int = 0
    forms: int = 0
    chains: int = 0
    ingests: int = 0
    leftovers: int = 0
    size: int = 0
    items: tuple[Item, ...] = ()

    @classmethod
    def of(cls, items: Iterable[Item]) -> Self:
        """What was freed, counted."""
        items = tuple(items)
        counts = Counter(item.kind for item in items)
        return cls(
            leases=counts["lease"],
            mounts=counts["mount"],
            containers=counts["container"],
            images=counts["image"],
            blobs=counts["blob"],
            forms=counts["form"],
            chains=counts["chain"],
            ingests=counts["ingest"],
            leftovers=counts["leftover"],
            size=sum(item.size for item in items),
            items=items,
        )

    def with_containers(self, ids: Iterable[str]) -> Self:
        """The same, and these containers before it."""
        return self.of([*(Item(kind="container", key=each) for each in ids), *self.items])
