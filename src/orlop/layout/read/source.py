"""An image that lies in files: its documents verified, its blobs as streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, final

from orlop.errors import NotFoundError, SizeMismatchError
from orlop.layout.files import MemoryExtent
from orlop.layout.read.documents import read_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orlop.digest import Digest
    from orlop.layout.files import Extent, Files
    from orlop.spec.descriptor import Descriptor


@final
class LocalSource:
    """An image whose manifests, configs and layers are files of a place; a context manager.

    Several threads may read from it at once; a stream is one thread's.

    Args:
        files: The place's files; closed with the source.
        target: The image's top-level manifest or index.
        names: The full references that the place gives the image.
        tags: What else the place calls it: words that are no full references.
        locate: The name of the file that holds a descriptor's content.
        documents: Content that lies in no file of its own.
    """

    def __init__(
        self,
        *,
        files: Files,
        target: Descriptor,
        names: tuple[str, ...],
        tags: tuple[str, ...] = (),
        locate: Callable[[Descriptor], str],
        documents: Mapping[Digest, bytes] | None = None,
    ) -> None:
        self.names = names
        self.tags = tags
        self._files = files
        self._target = target
        self._locate = locate
        self._documents = documents or {}

    def resolve(self) -> Descriptor:
        """The image's top-level manifest or index."""
        return self._target

    def read(self, descriptor: Descriptor) -> bytes:
        """A whole document, verified.

        Raises:
            NotFoundError: The place does not hold it.
            LimitExceededError: It is larger than a document may be.
            SizeMismatchError: The file has another length than the descriptor says.
            DigestMismatchError: The file has other content.
            UnsupportedError: Its digest cannot be computed here.
            UnsafePathError: A link leads out of the place.
        """
        with self._extent(descriptor) as extent:
            return read_document(extent, descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> LocalStream:
        """A stream of a blob from `offset`, which is not verified: its reader hashes it.

        Raises:
            NotFoundError: The place does not hold it.
            SizeMismatchError: The file has another length than the descriptor says.
            UnsafePathError: A link leads out of the place.
            ValueError: The offset lies beyond the blob.
        """
        if not 0 <= offset <= descriptor.size:
            raise ValueError(f"offset {offset} lies outside a blob of {descriptor.size} bytes")
        return LocalStream(self._extent(descriptor), offset)

    def holds(self, descriptor: Descriptor) -> bool:
        """Whether the content of this digest is there, whatever its size."""
        return (
            descriptor.digest in self._documents
            or self._files.size(self._locate(descriptor)) is not None
        )

    def close(self) -> None:
        """Give the place back; streams that are open may be read on. Idempotent."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _extent(self, descriptor: Descriptor) -> Extent:
        document = self._documents.get(descriptor.digest)
        extent = MemoryExtent(document) if document is not None else self._open_file(descriptor)
        if extent.size != descriptor.size:
            extent.close()
            raise SizeMismatchError(
                f"size of {descriptor.digest}", expected=descriptor.size, actual=extent.size
            )
        return extent

    def _open_file(self, descriptor: Descriptor) -> Extent:
        try:
            return self._files.open(self._locate(descriptor))
        except NotFoundError as error:
            raise NotFoundError(f"{error}, the content of {descriptor.digest}") from error


@final
class LocalStream:
    """The bytes of one blob in order; a context manager.

    Attributes:
        offset: Where in the blob the stream began.
    """

    def __init__(self, extent: Extent, offset: int) -> None:
        self.offset = offset
        self._extent = extent
        self._position = offset

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        data = self._extent.read_at(self._position, size)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Give the file back; idempotent."""
        self._extent.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
