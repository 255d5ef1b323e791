"""Which of a place's images is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop.errors import AmbiguousError, NotFoundError
from orlop.layout.place import position_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.layout.place import Place
    from orlop.spec.descriptor import Descriptor


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
        raise NotFoundError(
            f"{place}: the last image is @{count - 1}" if count else f"{place} holds no image"
        )
    return position


def not_found(place: Place, listed: Sequence[ListedImage]) -> NotFoundError:
    """The error of a selector that fits no image, or of a place without any."""
    if not listed:
        return NotFoundError(f"{place} holds no image")
    return NotFoundError(
        f"{place.transport}:{place.path} holds no {place.selector}",
        hint=f"it holds {_list(listed)}",
    )


def ambiguous(place: Place, listed: Sequence[ListedImage]) -> AmbiguousError:
    """The error of a selector, or of none, that fits several images."""
    base = f"{place.transport}:{place.path}"
    return AmbiguousError(
        f"{place} may mean any of {len(listed)} images",
        candidates=[f"{base}:{image.selector}" for image in listed],
        hint=f"write {base}: and one of {_list(listed)}",
    )


_SHOWN = 10


def _list(listed: Sequence[ListedImage]) -> str:
    shown = ", ".join(image.selector for image in listed[:_SHOWN])
    return f"{shown} and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else shown
