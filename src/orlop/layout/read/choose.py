"""Which of a place's images is meant."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from orlop.errors import AmbiguousError, NotFoundError
from orlop.layout.place import position_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.layout.place import Place
    from orlop.spec.descriptor import Descriptor

MAX_SHOWN: Final = 10
"""Most images that the hint of an error lists; `candidates` has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """One image among those of a place.

    Attributes:
        selector: What chooses it, written after the place: a tag, a name, or `@N`.
        names: The full references that the place gives it; may be empty.
        descriptor: Its manifest or index; None where a docker-archive lists only parts.
    """

    selector: str
    names: tuple[str, ...]
    descriptor: Descriptor | None


def at_position(place: Place, count: int) -> int | None:
    """The position that the place's selector `@N` means; None if it has another or none.

    Raises:
        NotFoundError: There are not so many images.
    """
    position = position_of(place.selector or "")
    if position is not None and position >= count:
        last = f"its last image is @{count - 1}" if count else None
        raise NotFoundError(f"{replace(place, selector=None)} holds no @{position}", hint=last)
    return position


def selectors_of(images: Sequence[Sequence[str]]) -> list[str]:
    """What chooses each image: the first of its texts that no other image has, else `@N`."""
    counts = Counter(text for texts in images for text in set(texts))
    return [
        next((text for text in texts if counts[text] == 1), f"@{number}")
        for number, texts in enumerate(images)
    ]


def not_found(place: Place, listed: Sequence[ListedImage]) -> NotFoundError:
    """The error of a selector that fits no image, or of a place without any."""
    where = replace(place, selector=None)
    if not listed:
        return NotFoundError(f"{where} holds no image")
    selectors = [image.selector for image in listed]
    return NotFoundError(f"{where} holds no {place.selector}", hint=f"it holds {_some(selectors)}")


def ambiguous(place: Place, listed: Sequence[ListedImage]) -> AmbiguousError:
    """The error of a selector, or of none, that fits several images."""
    candidates = [str(replace(place, selector=image.selector)) for image in listed]
    return AmbiguousError(
        f"{place} may mean any of {len(listed)} images",
        candidates=candidates,
        hint=f"choose one of {_some(candidates)}",
    )


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - MAX_SHOWN
    return ", ".join(texts[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")
