"""Documents read from a place: bounded, and verified where a descriptor says what they are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from orlop.digest import Digest
from orlop.errors import (
    DigestMismatchError,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    SizeMismatchError,
    UnsupportedError,
)
from orlop.layout.files import read_all
from orlop.spec.json import MAX_DOCUMENT_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.layout.files import Extent, Files
    from orlop.layout.place import Place
    from orlop.spec.descriptor import Descriptor

_FORMS: Final = {
    "oci": "OCI layout",
    "oci-archive": "archive of an OCI layout",
    "docker-archive": "docker-archive",
    "dir": "dir: of skopeo",
}
# The file that tells each form from the others.
_MARKS: Final = {
    "oci": "oci-layout",
    "oci-archive": "oci-layout",
    "docker-archive": "manifest.json",
    "dir": "version",
}

MAX_DOCUMENTS_SIZE: Final = 64 << 20
"""Most bytes of all configs and manifests that are read to list an archive."""


class Budget:
    """How many bytes of documents may yet be read, of those that others have listed.

    A list of a few bytes can name one document of megabytes a thousand times.
    """

    def __init__(self, size: int = MAX_DOCUMENTS_SIZE) -> None:
        self._size = size
        self._left = size

    def spend(self, size: int) -> None:
        """Take `size` bytes.

        Raises:
            LimitExceededError: So many are not left.
        """
        self._left -= size
        if self._left < 0:
            raise LimitExceededError(
                "the documents of the archive are too large",
                limit="MAX_DOCUMENTS_SIZE",
                value=self._size,
            )


def read_file(
    place: Place,
    files: Files,
    name: str,
    *,
    limit: str = "MAX_DOCUMENT_SIZE",
    most: int = MAX_DOCUMENT_SIZE,
) -> bytes:
    """The content of a file that the place must have.

    Args:
        place: Where the files are, for messages.
        files: The place's files.
        name: Of the file.
        limit: The name of the limit to its length.
        most: The limit's value, in bytes.

    Raises:
        InvalidDocumentError: There is no such file.
        LimitExceededError: It has more than `most` bytes.
    """
    try:
        extent = files.open(name)
    except NotFoundError:
        raise InvalidDocumentError(
            f"{place.path} is no {_FORMS[place.transport]}: it has no {name}",
            hint=_other_form(place, files),
        ) from None
    with extent:
        if extent.size > most:
            raise LimitExceededError(
                f"{place.path}/{name} has {extent.size} bytes", limit=limit, value=most
            )
        return read_all(extent)


def _other_form(place: Place, files: Files) -> str | None:
    in_archive = place.transport.endswith("-archive")
    for transport, mark in _MARKS.items():
        fits = transport != place.transport and transport.endswith("-archive") == in_archive
        if fits and files.size(mark) is not None:
            return f"write {transport}:{place.path}"
    return None


@contextmanager
def decoding(place: Place, name: str) -> Iterator[None]:
    """Let errors of a document say which file of the place it is."""
    try:
        yield
    except InvalidDocumentError as error:
        where = f"{place.path}/{name}"
        raise InvalidDocumentError(str(error), where=where, hint=error.hint) from error
    except UnsupportedError as error:
        raise UnsupportedError(f"{place.path}/{name}: {error}", hint=error.hint) from error


def read_document(extent: Extent, descriptor: Descriptor) -> bytes:
    """The whole content of a document that is what its descriptor says.

    Raises:
        LimitExceededError: It is larger than a document may be; it is not read.
        SizeMismatchError: It has another length.
        DigestMismatchError: It has other content.
        UnsupportedError: Its digest cannot be computed here.
    """
    digest = descriptor.digest
    if extent.size > MAX_DOCUMENT_SIZE:
        raise LimitExceededError(
            f"document {digest} has {extent.size} bytes",
            limit="MAX_DOCUMENT_SIZE",
            value=MAX_DOCUMENT_SIZE,
        )
    data = read_all(extent)
    if len(data) != descriptor.size:
        raise SizeMismatchError(f"size of {digest}", expected=descriptor.size, actual=len(data))
    actual = Digest.of(data, digest.algorithm)
    if actual != digest:
        raise DigestMismatchError(
            f"content of {descriptor.media_type}", expected=digest, actual=actual
        )
    return data
