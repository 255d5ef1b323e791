"""The bytes of a blob on their way: as many as its descriptor says, and hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from orlop.digest import digest_of
from orlop.errors import DigestMismatchError, SizeMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orlop.spec.descriptor import Descriptor

CHUNK_SIZE: Final = 256 << 10
"""Bytes that are taken at a time: they are hashed and written while the cache still has them."""


class Stream(Protocol):
    """Bytes in order, not verified."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


def iter_pieces(descriptor: Descriptor, stream: Stream) -> Iterator[bytes]:
    """The pieces of a stream, which together have the descriptor's size.

    Raises:
        SizeMismatchError: There are more or fewer bytes; no more than the size were given out.
    """
    done = 0
    while piece := stream.read(CHUNK_SIZE):
        done += len(piece)
        if done > descriptor.size:
            raise _size_mismatch(descriptor, done)
        yield piece
    if done != descriptor.size:
        raise _size_mismatch(descriptor, done)


def copy_verified(descriptor: Descriptor, stream: Stream, write: Callable[[bytes], object]) -> None:
    """Hand all bytes of a stream on, and return when they were what the descriptor says.

    Raises:
        SizeMismatchError: There are more or fewer bytes.
        DigestMismatchError: They are others.
        UnsupportedError: The digest cannot be computed here.
    """
    state = descriptor.digest.hasher()
    for piece in iter_pieces(descriptor, stream):
        write(piece)
        state.update(piece)
    actual = digest_of(state)
    if actual != descriptor.digest:
        raise DigestMismatchError("content", expected=descriptor.digest, actual=actual)


def _size_mismatch(descriptor: Descriptor, found: int) -> SizeMismatchError:
    actual = f"{found} or more" if found > descriptor.size else found
    return SizeMismatchError(
        f"size of {descriptor.digest}", expected=descriptor.size, actual=actual
    )
