"""Images out of local places, whatever the transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.layout.dir import list_dir, open_dir
from orlop.layout.directory import DirectoryFiles
from orlop.layout.oci import list_oci, open_oci

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.layout.choose import ListedImage
    from orlop.layout.place import Place
    from orlop.layout.source import LocalSource

_OPENERS = {"oci": open_oci, "dir": open_dir}
_LISTERS = {"oci": list_oci, "dir": list_dir}


def open_source(place: Place, *, spool: Path | None = None) -> LocalSource:
    """Open the image that a place's selector means, or the only one that is there.

    Raises:
        NotFoundError: There is no such place, or no such image in it.
        AmbiguousError: Several images fit; `candidates` are places of one each.
        InvalidError: The place is not of its transport's form.
        UnsafePathError: A name or link leads out of the place.
        LimitExceededError: A document is too large.
        OSError: The place cannot be read (EACCES, EIO).
    """
    files = DirectoryFiles(place.path)
    try:
        return _OPENERS[place.transport](place, files)
    except BaseException:
        files.close()
        raise


def list_images(place: Place, *, spool: Path | None = None) -> list[ListedImage]:
    """The images of a place in its order, whatever its selector; raises as `open_source` does."""
    files = DirectoryFiles(place.path)
    try:
        return _LISTERS[place.transport](place, files)
    finally:
        files.close()
