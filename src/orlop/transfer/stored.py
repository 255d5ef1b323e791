"""An image of a store, as a source of copies."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self, final

from orlop.errors import NotFoundError, SizeMismatchError
from orlop.images.provider import read_raw

if TYPE_CHECKING:
    from orlop.content import LocalContent
    from orlop.spec.descriptor import Descriptor

_HINT = "pull the image again"


@final
class StoreSource:
    """What a store holds of an image; safe for several threads.

    Args:
        content: The store's blobs; whoever copies keeps them by a lease.
        target: The image's top-level manifest or index.
        names: What it is called.
    """

    def __init__(self, content: LocalContent, target: Descriptor, names: tuple[str, ...]) -> None:
        self.names = names
        self._content = content
        self._target = target

    def resolve(self) -> Descriptor:
        """The image's top-level manifest or index."""
        return self._target

    def read(self, descriptor: Descriptor) -> bytes:
        """A whole document, verified.

        Raises:
            NotFoundError: The store does not hold it.
            VerificationError: It is damaged.
            LimitExceededError: It is larger than a document may be.
        """
        return read_raw(self._content, descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> StoredStream:
        """A stream of a blob from `offset`, which is not verified: its reader hashes it.

        Raises:
            NotFoundError: The store does not hold it.
            SizeMismatchError: It is stored with another length.
        """
        try:
            fd = os.open(self._content.path_of(descriptor.digest), _FLAGS)
        except FileNotFoundError:
            raise NotFoundError(f"content {descriptor.digest} is not stored", hint=_HINT) from None
        stream = StoredStream(fd, offset)
        stored = os.fstat(fd).st_size
        if stored != descriptor.size:
            stream.close()
            raise SizeMismatchError(
                f"size of stored content {descriptor.digest}",
                expected=descriptor.size,
                actual=stored,
                hint=_HINT,
            )
        return stream

    def holds(self, descriptor: Descriptor) -> bool:
        """Whether the content of this digest is stored, whatever its size."""
        return self._content.stat(descriptor.digest) is not None

    def close(self) -> None:
        """Nothing to give back: the store stays open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@final
class StoredStream:
    """The bytes of one stored blob in order; a context manager.

    Attributes:
        offset: Where in the blob the stream began.
    """

    def __init__(self, fd: int, offset: int) -> None:
        self.offset = offset
        self._fd = fd
        self._position = offset

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        data = os.pread(self._fd, size, self._position)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Give the file back; idempotent."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
