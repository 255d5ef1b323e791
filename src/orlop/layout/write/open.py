"""From a place on this machine to what images are written to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop.errors import InvalidReferenceError
from orlop.layout.driver.directory import DirectoryDriver
from orlop.layout.place import is_stream, position_of
from orlop.layout.write.archive import ArchiveTarget
from orlop.layout.write.dir import DirTarget
from orlop.layout.write.oci import LayoutTarget, OciArchiveTarget

if TYPE_CHECKING:
    from typing import BinaryIO, TypeAlias

    from orlop.layout.place import Place
    from orlop.platform import Platform

    Target: TypeAlias = LayoutTarget | OciArchiveTarget | ArchiveTarget | DirTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """How archives are written.

    Attributes:
        platform: That of the images that Docker loads out of several.
        output: Where the path `-` writes to.
        mtime: The time of everything in them, in seconds since 1970.
        replace: Whether an archive that is there is replaced; else images are added to one that
            is an OCI layout, and any other is left alone.
    """

    platform: Platform
    output: BinaryIO | None = None
    mtime: int = 0
    replace: bool = False


def open_target(place: Place, options: TargetOptions) -> Target:
    """What writes images into a place; nothing of the place is touched until it begins.

    Raises:
        InvalidReferenceError: The place's selector is no name to write, or the path is `-`, and
            there is no output.
    """
    if place.selector is not None and position_of(place.selector) is not None:
        raise InvalidReferenceError(
            f"{place} is no place to write to: a position names no image",
            hint="write a tag in its stead",
        )
    if place.transport == "oci":
        return LayoutTarget(DirectoryDriver(place.path))
    if place.transport == "dir":
        return DirTarget(place.path)
    docker = options.platform if place.transport == "docker-archive" else None
    path = str(place.path)
    if is_stream(place):
        if options.output is None:
            raise InvalidReferenceError(
                f"{place} means a stream, and there is none",
                hint="give the full path of a file of this name",
            )
        return ArchiveTarget(options.output, mtime=options.mtime, docker=docker)
    if docker is None and not options.replace:
        return OciArchiveTarget(path, mtime=options.mtime)
    return ArchiveTarget(path, mtime=options.mtime, docker=docker, replace=options.replace)
