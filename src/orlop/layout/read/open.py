"""Images out of local places, whatever the transport."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidArchiveError, InvalidReferenceError
from orlop.layout.files import ArchiveFiles, DirectoryFiles, open_seekable, spool_stream
from orlop.layout.place import Place, is_stream
from orlop.layout.read.dir import list_dir, open_all_dir, open_dir
from orlop.layout.read.docker import list_docker, open_all_docker, open_docker
from orlop.layout.read.oci import list_oci, open_all_oci, open_oci

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from orlop.layout.files import Files
    from orlop.layout.read.choose import ListedImage
    from orlop.layout.read.source import LocalSource

_OPENERS: Final = {
    "oci": open_oci,
    "oci-archive": open_oci,
    "docker-archive": open_docker,
    "dir": open_dir,
}
_ALL_OPENERS: Final = {
    "oci": open_all_oci,
    "oci-archive": open_all_oci,
    "docker-archive": open_all_docker,
    "dir": open_all_dir,
}
_LISTERS: Final = {
    "oci": list_oci,
    "oci-archive": list_oci,
    "docker-archive": list_docker,
    "dir": list_dir,
}
_MARKS_IN_ARCHIVE: Final = {"manifest.json": "docker-archive", "oci-layout": "oci-archive"}
_MARKS_IN_DIRECTORY: Final = {"oci-layout": "oci", "version": "dir"}


def open_source(
    place: Place, *, spool: Path | None = None, stream: BinaryIO | None = None
) -> LocalSource:
    """Open the image that a place's selector means, or the only one that is there.

    Args:
        place: As `parse_place` reads it.
        spool: The directory for a temporary file, as large as the archive without compression;
            used only for an archive that is compressed or no regular file.
        stream: The archive that the path `-` means, read to its end.

    Raises:
        NotFoundError: There is no such place, or no such image in it.
        AmbiguousError: Several images fit; `candidates` are places of one each.
        InvalidError: The place is not of its transport's form.
        InvalidReferenceError: The path is `-`, and there is no stream.
        UnsafePathError: A name or link leads out of the place.
        LimitExceededError: A document is too large.
        OSError: The place cannot be read (EACCES, EIO).
    """
    files = _open_files(place, spool, stream)
    try:
        return _OPENERS[place.transport](place, files)
    except BaseException:
        files.close()
        raise


@contextmanager
def open_all(
    place: Place, *, spool: Path | None = None, stream: BinaryIO | None = None
) -> Iterator[list[LocalSource]]:
    """Every image of a place in its order, whatever its selector, all read from one opening.

    An image that has several names there comes once. Raises as `open_source` does, but that it is
    never ambiguous.
    """
    files = _open_files(place, spool, stream)
    try:
        yield _ALL_OPENERS[place.transport](place, files)
    finally:
        files.close()


@contextmanager
def open_any(
    path: Path, *, spool: Path | None = None, stream: BinaryIO | None = None
) -> Iterator[tuple[Place, list[LocalSource]]]:
    """Every image of an archive or directory, and the place that it turns out to be.

    An archive that is both a docker-archive and a layout has the images of both.

    Raises:
        InvalidArchiveError: It holds images in no form that is known.
        OrlopError: As `open_all`.
    """
    kind = "oci" if path.is_dir() else "oci-archive"
    files = _open_files(Place(transport=kind, path=path), spool, stream)
    try:
        place = Place(transport=_transport_of(files, path), path=path)
        yield place, _ALL_OPENERS[place.transport](place, files)
    finally:
        files.close()


def list_images(
    place: Place, *, spool: Path | None = None, stream: BinaryIO | None = None
) -> list[ListedImage]:
    """The images of a place in its order, whatever its selector; raises as `open_source` does."""
    files = _open_files(place, spool, stream)
    try:
        return _LISTERS[place.transport](place, files)
    finally:
        files.close()


def _open_files(place: Place, spool: Path | None, stream: BinaryIO | None) -> Files:
    if not place.transport.endswith("-archive"):
        return DirectoryFiles(place.path)
    if not is_stream(place):
        return ArchiveFiles(open_seekable(place.path, spool), place.path)
    if stream is None:
        raise InvalidReferenceError(
            f"{place} means a stream, and there is none",
            hint="give the full path of a file of this name",
        )
    return ArchiveFiles(spool_stream(stream, spool), place.path)


def _transport_of(files: Files, path: Path) -> str:
    """Of what form the files are, by the one that each form has."""
    marks = _MARKS_IN_DIRECTORY if isinstance(files, DirectoryFiles) else _MARKS_IN_ARCHIVE
    for mark, transport in marks.items():
        if files.size(mark) is not None:
            return transport
    raise InvalidArchiveError(
        f"holds no images: it has none of {', '.join(marks)}", where=str(path)
    )
