"""The layout that `orlop layout` works on, and what is in it by its names."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orlop.errors import (
    AmbiguousError,
    InvalidReferenceError,
    NotFoundError,
)
from orlop.layout import DirectoryDriver, ImageDriver
from orlop.layout.driver.archive import ArchiveDriver, ArchiveReader
from orlop.layout.place import TRANSPORTS, is_selector
from orlop.spec import REF_NAME

if TYPE_CHECKING:
    from orlop.spec import Descriptor, Index

EDITORS_TIMEOUT: Final = 60
"""Seconds to wait for another who edits the same archive."""

_DIRECTORY: Final = "oci"
_ARCHIVE: Final = "oci-archive"
_COMPRESSED: Final = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")
_MAX_HINTED: Final = 10


def open_to_read(place: str) -> AbstractContextManager[ImageDriver]:
    """The layout at a place, which is only read.

    Raises:
        NotFoundError: There is nothing of this name.
        InvalidReferenceError: The place is none of a layout.
    """
    transport, path = _parse(place)
    if (transport or _form(path)) == _ARCHIVE:
        return ArchiveReader(path)
    return nullcontext(DirectoryDriver(path))


def open_to_write(place: str, *, new: bool = False) -> AbstractContextManager[ImageDriver]:
    """The layout at a place; what is changed is there when the context is left without an error.

    Args:
        place: A directory or an archive.
        new: It is to be made: its form is that of its prefix, or of the suffix `.tar`.

    Raises:
        NotFoundError: There is nothing of this name.
        InUseError: Somebody else is editing the archive.
        InvalidReferenceError: The place is none of a layout.
    """
    transport, path = _parse(place)
    if new and not transport and path.name.endswith(_COMPRESSED):
        raise InvalidReferenceError(
            f"{place!r} would be compressed, and could not be edited",
            hint=f"write one that ends in .tar, or {_DIRECTORY}:{place} for a directory",
        )
    by_name = _ARCHIVE if path.suffix == ".tar" else _DIRECTORY
    form = transport or (by_name if new else None) or _form(path)
    if form == _ARCHIVE:
        if not new:
            _form(path)
        return ArchiveDriver(path, timeout=EDITORS_TIMEOUT)
    return nullcontext(DirectoryDriver(path))


def find(index: Index, name: str, place: str) -> Descriptor:
    """The descriptor that a reference name, or a digest, means in an index.

    Raises:
        NotFoundError: There is none.
        AmbiguousError: Several of the same name are of different content.
    """
    manifests = index.manifests
    found = [each for each in manifests if each.annotations.get(REF_NAME) == name] or [
        each for each in manifests if each.digest == name
    ]
    if not found:
        raise not_found(index, name, place)
    digests = {each.digest: each for each in found}
    if len(digests) > 1:
        raise AmbiguousError(f"{place} has several {name!r}", candidates=tuple(digests))
    return found[0]


def not_found(index: Index, name: str, place: str) -> NotFoundError:
    """The error of a name that is not in an index, which says some that are."""
    names = [each.annotations[REF_NAME] for each in index.manifests if REF_NAME in each.annotations]
    some = ", ".join(names[:_MAX_HINTED]) + (" …" if len(names) > _MAX_HINTED else "")
    return NotFoundError(f"{place} has no {name!r}", hint=f"it has {some}" if names else None)


def check_ref_name(name: str) -> str:
    """The name, which chooses one of a layout's images and is no path.

    Raises:
        InvalidReferenceError: It could not be chosen again.

    Spec: image-spec v1.1, annotations.md, "org.opencontainers.image.ref.name".
    """
    if not is_selector(name):
        raise InvalidReferenceError(
            f"{name!r} is no name for an image in a layout",
            hint="write letters and digits, with one of -._:@+/ between them",
        )
    return name


def _parse(place: str) -> tuple[str | None, Path]:
    """The transport that a place names, or None, and its path."""
    transport, colon, rest = place.partition(":")
    if not colon or transport not in TRANSPORTS:
        return None, Path(place)
    if transport not in {_DIRECTORY, _ARCHIVE}:
        raise InvalidReferenceError(
            f"{place!r} is no OCI layout", hint=f"write PATH, {_DIRECTORY}:PATH or {_ARCHIVE}:PATH"
        )
    if not rest:
        raise InvalidReferenceError(f"{place!r} names no path")
    return transport, Path(rest)


def _form(path: Path) -> str:
    """Whether there is a directory or an archive."""
    if path.is_dir():
        return _DIRECTORY
    if not path.exists():
        hint = "a layout is made by `orlop layout init`"
        raise NotFoundError(f"there is no {path}", hint=hint)
    return _ARCHIVE
