"""Fetching: what a descriptor names, from a source into a content store."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, Self

from orlop.errors import AlreadyExistsError, InUseError, SizeMismatchError
from orlop.images.provider import embedded_data
from orlop.parallel import current_cancellation

if TYPE_CHECKING:
    from types import TracebackType

    from orlop.content import Ingest
    from orlop.digest import Digest
    from orlop.images.handlers import Children
    from orlop.images.provider import Sized
    from orlop.spec.descriptor import Descriptor

_CHUNK_SIZE: Final = 1 << 20
_PAUSE: Final = 0.1
"""Seconds between two questions whether to go on waiting for another writer."""


class BlobStream(Protocol):
    """The bytes of one blob in order, not verified."""

    @property
    def offset(self) -> int:
        """Where in the blob the stream begins, in bytes; 0 where a server refuses ranges."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class BlobSource(Protocol):
    """Blobs that can be fetched; several threads may do so at once."""

    def open(self, descriptor: Descriptor, offset: int, /) -> BlobStream:
        """A stream of a blob, from `offset` where the source can."""


class BlobTarget(Protocol):
    """Where blobs go, such as every store of `orlop.content`."""

    def stat(self, digest: Digest, /) -> Sized | None:
        """What is known about a blob, or None where it is not there."""

    def ingest(self, reference: str, /, *, digest: Digest, size: int, wait: float | bool) -> Ingest:
        """The ingest of this name, with what an earlier writer left in it."""


def fetch_handler(source: BlobSource, target: BlobTarget) -> Children:
    """A handler that brings each descriptor's content into a store, and gives nothing.

    In front of `children_handler(target)`, under `dispatch`, it fetches a whole image. It raises
    as `fetch` does.
    """

    def handle(descriptor: Descriptor) -> tuple[Descriptor, ...]:
        fetch(source, target, descriptor)
        return ()

    return handle


def fetch(source: BlobSource, target: BlobTarget, descriptor: Descriptor) -> None:
    """Bring one blob into a store; success means that it is there, verified, whoever stored it.

    What an interrupted fetch has left is gone on with. What the descriptor embeds is not asked of
    the source. While another writer brings the same blob in, this waits.

    Raises:
        SizeMismatchError: The content has another length than the descriptor says, be it stored
            or fetched; nothing of what was fetched is kept.
        DigestMismatchError: The source gave something else; nothing is kept.
        UnsupportedError: The digest cannot be computed.
        CancelledError: The run that this belongs to is to stop; what came is kept.
        OrlopError: Whatever the source raises; what came is kept for the next time.
        OSError: It could not be written; what came is kept for the next time.
    """
    # The ingest first: a store with leases keeps what it names from here on.
    with suppress(AlreadyExistsError), _begin(target, descriptor) as ingest:
        info = target.stat(descriptor.digest)
        if info is not None:
            ingest.abort()
            _require_size(descriptor, info)
            return
        _fill(ingest, source, descriptor)
        ingest.commit()


def _begin(target: BlobTarget, descriptor: Descriptor) -> Ingest:
    digest, size = descriptor.digest, descriptor.size
    while True:
        try:
            return target.ingest(str(digest), digest=digest, size=size, wait=_PAUSE)
        except InUseError:
            current_cancellation().check()


def _require_size(descriptor: Descriptor, info: Sized) -> None:
    if info.size != descriptor.size:
        raise SizeMismatchError(
            f"size of {descriptor.digest} in its descriptor",
            expected=info.size,
            actual=descriptor.size,
        )


def _fill(ingest: Ingest, source: BlobSource, descriptor: Descriptor) -> None:
    embedded = embedded_data(descriptor)
    if embedded is not None:
        ingest.restart()
        ingest.write(embedded)
    elif ingest.offset < descriptor.size:
        with source.open(descriptor, ingest.offset) as stream:
            _copy(stream, ingest)


def _copy(stream: BlobStream, ingest: Ingest) -> None:
    cancellation = current_cancellation()
    surplus = ingest.offset - stream.offset
    while chunk := stream.read(_CHUNK_SIZE):
        cancellation.check()
        ingest.write(chunk[surplus:] if surplus > 0 else chunk)
        surplus -= len(chunk)
