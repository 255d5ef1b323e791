"""From a place on this machine to what images are written to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop.errors import InvalidReferenceError, UnsupportedError
from orlop.layout.driver.directory import DirectoryDriver
from orlop.layout.place import position_of
from orlop.layout.write.oci import LayoutTarget

if TYPE_CHECKING:
    from typing import BinaryIO, TypeAlias

    from orlop.layout.place import Place

    Target: TypeAlias = LayoutTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """How archives are written.

    Attributes:
        output: Where the path `-` writes to.
        timestamp: The time of everything in them, in seconds since 1970.
        replace: Whether one that is there may be replaced.
    """

    output: BinaryIO | None = None
    timestamp: int = 0
    replace: bool = False


def open_target(place: Place, options: TargetOptions = TargetOptions()) -> Target:
    """What writes images into a place; nothing of the place is touched until it begins.

    Raises:
        InvalidReferenceError: The place's selector is no name to write.
    """
    if place.selector is not None and position_of(place.selector) is not None:
        raise InvalidReferenceError(
            f"{place} is no place to write to: a position names no image",
            hint="write a tag in its stead",
        )
    if place.transport != "oci" or options.output is not None:
        raise UnsupportedError(f"{place} cannot be written to")
    return LayoutTarget(DirectoryDriver(place.path))
