"""What a copy asks of the place that images go to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from orlop.layout.write.named import NamedImage
    from orlop.layout.write.pieces import Stream
    from orlop.spec.descriptor import Descriptor


class BlobTarget(Protocol):
    """Where content goes; several threads may write to it at once, unless it says otherwise."""

    @property
    def ordered(self) -> bool:
        """Whether it takes all documents first, then blobs one by one in the order of digests."""

    def has(self, descriptor: Descriptor) -> bool:
        """Whether content of this digest and size is there, so that it need not be copied."""

    def put_document(self, descriptor: Descriptor, raw: bytes) -> None:
        """Store a manifest or an index, whose bytes are what the descriptor says.

        Raises:
            OSError: It could not be stored.
        """

    def put_blob(self, descriptor: Descriptor, stream: Stream) -> None:
        """Store the bytes of a stream, verified; durable when `finish` names what needs them.

        Raises:
            SizeMismatchError: There are more or fewer bytes; nothing of them is kept.
            DigestMismatchError: They are others; nothing of them is kept.
            OSError: They could not be stored.
        """


class ImageTarget(BlobTarget, Protocol):
    """A place that images go to; a context manager.

    Leaving it without `finish` abandons what was written: no image of it is ever seen.
    """

    def begin(self, images: Sequence[NamedImage]) -> None:
        """Get ready for these images; called first.

        Raises:
            AlreadyExistsError: Something that may not be replaced is in the place.
            UnsupportedError: The place cannot hold such images, or so many.
        """

    def finish(self) -> Sequence[str]:
        """Name the images, all in one step, now that everything below them is there; called last.

        Returns:
            Notes on what the place could not keep of their names.

        Raises:
            OSError: They could not be named; the place is as it was.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
