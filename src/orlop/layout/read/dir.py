"""One image as plain files, as skopeo's `dir:` keeps it.

version              "Directory Transport Version: 1.1"
manifest.json        the manifest or index, byte for byte
HEX.manifest.json    the manifests of that index
HEX                  configs and layers, by the hexadecimal part of their SHA-256
ALGORITHM-HEX        the same by another algorithm
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidDocumentError
from orlop.layout.read.choose import ListedImage
from orlop.layout.read.documents import decoding, read_file
from orlop.layout.read.source import LocalSource
from orlop.mediatype import is_index, is_manifest
from orlop.spec.descriptor import Descriptor
from orlop.spec.document import decode_document

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.layout.files import Files
    from orlop.layout.place import Place

MAX_VERSION_SIZE: Final = 256
"""Largest `version` file, in bytes."""

_VERSION: Final = re.compile(rb"Directory Transport Version: 1\.[1-9][0-9]*\n?")


def open_dir(place: Place, files: Files) -> LocalSource:
    """Open the image of a directory, which gives it no name.

    Raises:
        InvalidDocumentError: The directory is no such place, or its manifest is broken.
        LimitExceededError: Its manifest is too large.
        UnsupportedError: Its manifest is of Docker's schema 1.
    """
    target, manifest = _read_target(place, files)
    return LocalSource(
        files=files,
        target=target,
        names=(),
        locate=name_in_dir,
        documents={target.digest: manifest},
    )


def open_all_dir(place: Place, files: Files) -> list[LocalSource]:
    """The one image of a directory; raises what `open_dir` raises."""
    return [open_dir(place, files)]


def list_dir(place: Place, files: Files) -> list[ListedImage]:
    """The one image of a directory; raises what `open_dir` raises."""
    return [ListedImage(selector="", names=(), descriptor=_read_target(place, files)[0])]


def _read_target(place: Place, files: Files) -> tuple[Descriptor, bytes]:
    version = read_file(place, files, "version", limit="MAX_VERSION_SIZE", most=MAX_VERSION_SIZE)
    if _VERSION.fullmatch(version) is None:
        raise InvalidDocumentError(
            f"is of no known version: {version[:60]!r}", where=f"{place.path}/version"
        )
    manifest = read_file(place, files, "manifest.json")
    with decoding(place, "manifest.json"):
        media_type = decode_document(manifest).media_type
    return Descriptor.of(media_type, manifest), manifest


def is_dir_place(path: Path) -> bool:
    """Whether a directory is one that an image lies in."""
    try:
        with open(path / "version", "rb") as file:
            return _VERSION.fullmatch(file.read(MAX_VERSION_SIZE)) is not None
    except (FileNotFoundError, IsADirectoryError):
        return False


def name_in_dir(descriptor: Descriptor) -> str:
    """The file of a document, a config or a layer."""
    digest = descriptor.digest
    name = (
        digest.encoded if digest.algorithm == "sha256" else f"{digest.algorithm}-{digest.encoded}"
    )
    is_document = is_manifest(descriptor.media_type) or is_index(descriptor.media_type)
    return f"{name}.manifest.json" if is_document else name
