"""One blob on its way from a source to a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, final

from orlop.errors import NotFoundError
from orlop.images.provider import embedded_data
from orlop.mediatype import is_nondistributable
from orlop.transfer.plan import note_on_left_out
from orlop.transfer.progress import Stage

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from orlop.layout.write.pieces import Stream
    from orlop.parallel import Cancellation
    from orlop.spec.descriptor import Descriptor
    from orlop.transfer.progress import Reporter
    from orlop.transfer.source import ImageSource
    from orlop.transfer.target import BlobTarget


@final
class BlobCopy:
    """One blob that is to be copied.

    Args:
        source: Where it is.
        descriptor: The blob.
        target: Where it goes.
        report: Told of every step.
    """

    def __init__(
        self, source: ImageSource, descriptor: Descriptor, target: BlobTarget, report: Reporter
    ) -> None:
        self._source = source
        self._descriptor = descriptor
        self._target = target
        self._report = report

    def order(self) -> tuple[str, str]:
        """Where it stands among the files of a layout."""
        return self._descriptor.digest.algorithm, self._descriptor.digest.encoded

    def size(self) -> int:
        """Its length in bytes."""
        return self._descriptor.size

    def run(self, cancellation: Cancellation) -> str | None:
        """Copy it, unless it is there; a note if it was left out.

        Raises:
            NotFoundError: The source lacks it, and it is no layer that may not be distributed.
            VerificationError: It is not what its descriptor says.
            OSError: It could not be read or written.
        """
        descriptor = self._descriptor
        if self._target.has(descriptor):
            self._report(Stage.PRESENT, descriptor.digest, descriptor.size, descriptor.size)
            return None
        try:
            opened = self._open()
        except NotFoundError:
            if is_nondistributable(descriptor.media_type):
                return note_on_left_out(descriptor)
            raise
        with opened as stream:
            watched = _WatchedStream(stream, descriptor, cancellation, self._report)
            self._target.put_blob(descriptor, watched)
        self._report(Stage.DONE, descriptor.digest, descriptor.size, descriptor.size)
        return None

    def _open(self) -> AbstractContextManager[Stream]:
        data = embedded_data(self._descriptor)
        return self._source.open(self._descriptor) if data is None else _Embedded(data)


@final
class _WatchedStream:
    """A stream that tells how far it is, and ends when the copy is to stop."""

    def __init__(
        self,
        stream: Stream,
        descriptor: Descriptor,
        cancellation: Cancellation,
        report: Reporter,
    ) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self._cancellation = cancellation
        self._report = report
        self._done = 0

    def read(self, size: int, /) -> bytes:
        self._cancellation.check()
        piece = self._stream.read(size)
        self._done += len(piece)
        self._report(Stage.COPY, self._descriptor.digest, self._done, self._descriptor.size)
        return piece


@final
class _Embedded:
    """Content that its descriptor brought along."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int, /) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        return piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to give back."""
