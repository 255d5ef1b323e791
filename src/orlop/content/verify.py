"""Reading that verifies: what was handed out whole has its digest."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final, Protocol, final

from orlop.digest import digest_of
from orlop.errors import DigestMismatchError, LimitExceededError, SizeMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.digest import Digest

CHUNK_SIZE: Final = 1 << 20


class Source(Protocol):
    """An unverified stream of bytes."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes; none at the end."""

    def close(self) -> None:
        """Free what the stream holds."""


@final
class VerifyingReader(io.RawIOBase):
    """A readable stream whose last bytes are handed out only when all of them have the digest.

    Reading exactly `size` bytes is enough to have verified them; a reader that is closed earlier
    has verified nothing.

    Args:
        source: The bytes; closed with this reader.
        digest: Digest that they must have.
        size: Length that they must have, in bytes.

    Raises:
        UnsupportedError: The digest cannot be computed.

    Spec: image-spec v1.1, descriptor.md, "Verification".
    """

    def __init__(self, source: Source, digest: Digest, size: int) -> None:
        super().__init__()
        self._source = source
        self._hash = digest.hasher()
        self._position = 0
        self.digest = digest
        self.size = size

    def readable(self) -> bool:
        """Always true."""
        return True

    def tell(self) -> int:
        """Bytes handed out so far."""
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, all that remain where negative; none at the end.

        Raises:
            SizeMismatchError: The content ended early.
            DigestMismatchError: The content is not what its digest says.
        """
        self._require_open()
        left = self.size - self._position
        data = self._read_all(left) if size < 0 else self._read_some(min(size, left))
        if size != 0:
            self._verify(ended=size < 0 or not data)
        return data

    def readall(self) -> bytes:
        """All bytes that remain, verified."""
        return self.read(-1)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill the buffer from its start; how many bytes were read."""
        target = memoryview(buffer).cast("B")
        data = self.read(len(target))
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the source."""
        if not self.closed:
            self._source.close()
        super().close()

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _read_all(self, left: int) -> bytes:
        pieces = []
        while left:
            piece = self._read_some(min(left, CHUNK_SIZE))
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def _read_some(self, size: int) -> bytes:
        data = self._source.read(size) or b""
        self._hash.update(data)
        self._position += len(data)
        return data

    def _verify(self, *, ended: bool) -> None:
        if self._position == self.size:
            actual = digest_of(self._hash)
            if actual != self.digest:
                raise digest_mismatch(self.digest, actual)
        elif ended:
            raise size_mismatch(self.digest, self.size, self._position)


_HINT: Final = "what is stored is damaged: pull the image again"


def digest_mismatch(expected: Digest, actual: Digest) -> DigestMismatchError:
    """The error for stored content that is other content."""
    return DigestMismatchError("stored content", expected=expected, actual=actual, hint=_HINT)


def size_mismatch(digest: Digest, expected: int, actual: int) -> SizeMismatchError:
    """The error for stored content of another length."""
    return SizeMismatchError(
        f"size of stored content {digest}", expected=expected, actual=actual, hint=_HINT
    )


def read_verified(
    open_reader: Callable[[Digest, int], VerifyingReader], digest: Digest, size: int, limit: int
) -> bytes:
    """The whole of a blob, verified and never larger than the limit.

    Raises:
        LimitExceededError: `size` is over the limit; nothing was opened.
        VerificationError: The content is not what `digest` and `size` say.
    """
    if size > limit:
        raise LimitExceededError(
            f"content {digest} of {size} bytes is too large to be read into memory",
            limit="MAX_READ_SIZE",
            value=limit,
        )
    with open_reader(digest, size) as reader:
        return reader.read()
