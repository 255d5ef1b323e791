"""One HTTP answer, as the rest of the registry client sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from orlop.errors import LimitExceededError, TransportError
from orlop.registry.deadline import deadline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

DISCARD_TIMEOUT: Final = 5.0
"""Seconds that reading a body may take that nobody wants; its connection is worth no more."""
_PIECE: Final = 64 << 10


class Body(Protocol):
    """Where the bytes of an answer come from."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes as they arrive, empty at the end."""
        ...

    def fill(self, size: int) -> bytes:
        """All of `size` bytes, fewer only at the end; what came before a failure is lost."""
        ...

    def abort(self) -> None:
        """Make a read fail that another thread waits in."""
        ...

    def close(self) -> None:
        """Give up what was not read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Status, headers and body of one answer; a context manager that closes the body.

    Args:
        url: What was asked, after redirects.
        status: The HTTP status.
        headers: All values by lowercase name.
        body: The bytes, undecoded.
    """

    url: str
    status: int
    headers: Mapping[str, Sequence[str]]
    body: Body

    def header(self, name: str) -> str | None:
        """The first value of a header, without blanks around it."""
        values = self.headers.get(name.lower())
        return values[0].strip() if values else None

    @property
    def length(self) -> int | None:
        """The `Content-Length` (bytes), None where it is missing or not a number."""
        text = self.header("content-length") or ""
        plain = text.isascii() and text.isdigit() and len(text) < 20
        return int(text) if plain else None

    def read_all(self, limit: int, name: str, *, seconds: float) -> bytes:
        """The whole body, no longer than `limit` bytes.

        Args:
            limit: The most bytes to take.
            name: What the limit is called in messages.
            seconds: How long it may take in all.

        Raises:
            LimitExceededError: There is more.
            TransportError: It did not come whole, or not in time.
        """
        data = bytearray()
        with deadline(seconds, self.body.abort) as late:
            try:
                while piece := self.body.read(min(_PIECE, limit + 1 - len(data))):
                    data += piece
                    if len(data) > limit:
                        raise LimitExceededError("the answer is too long", limit=name, value=limit)
            except TransportError:
                if not late.is_set():
                    raise
        if late.is_set():
            raise TransportError(
                f"the answer did not come within {seconds:g} seconds", retryable=True
            )
        return bytes(data)

    def discard(self) -> None:
        """Close the body, after reading what little there is, so that its connection lives on."""
        try:
            self.read_all(_PIECE, "", seconds=DISCARD_TIMEOUT)
        except (TransportError, LimitExceededError):
            pass
        finally:
            self.body.close()

    def close(self) -> None:
        """Give up what was not read of the body."""
        self.body.close()

    def __enter__(self) -> Self:
        """Return the response itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the body."""
        self.close()
