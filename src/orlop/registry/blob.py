"""A blob on its way from a registry."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from orlop.errors import TransportError
from orlop.registry.ranges import beginning, check_unsatisfied
from orlop.registry.session import OK, PARTIAL, UNSATISFIABLE

if TYPE_CHECKING:
    from typing import Self

    from orlop.registry.endpoint import Endpoint
    from orlop.registry.response import Response
    from orlop.registry.session import Session
    from orlop.spec.descriptor import Descriptor

PIECE_SIZE: Final = 128 << 10
"""Bytes that are read at once, and that must have come before all retries are granted again."""
MIN_WATCH: Final = 0.1
"""Seconds between two looks at a read, at least."""


class BlobStream:
    """The bytes of a blob; a context manager.

    A connection that breaks is made again and goes on where it broke. The bytes are not verified:
    whoever stores them hashes them. At most `descriptor.size` bytes ever come.

    Args:
        session: Requests.
        endpoint: The repository.
        descriptor: The blob.
        offset: Where to begin (bytes).

    Raises:
        ValueError: The offset lies outside the blob.
        NotFoundError: The repository has no such blob.
        RegistryError: The registry refuses it, or cannot be reached.
        SizeMismatchError: The registry's blob has another size.
    """

    offset: int
    """Where the bytes really begin: 0 when the registry cannot begin where it was asked to."""

    def __init__(
        self, session: Session, endpoint: Endpoint, descriptor: Descriptor, offset: int = 0
    ) -> None:
        if not 0 <= offset <= descriptor.size:
            raise ValueError(f"offset {offset} is outside of {descriptor.size} bytes")
        self._session = session
        self._endpoint = endpoint
        self._descriptor = descriptor
        self._budget = session.budget()
        self._response: Response | None = None
        self._position = offset
        self._skip = 0
        self._closed = False
        self._fragile = False
        self._timer: threading.Timer | None = None
        self._reading_since: float | None = None
        self._arrived = 0
        self._waited = 0.0
        if offset < descriptor.size:
            session.retrying(self._budget, self._connect)
            self._position -= self._skip
            self._skip = 0
        self.offset = self._position

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, 128 KiB at most; empty at the end.

        Raises:
            ValueError: The size is not positive, or the stream is closed.
            TransportError: The connection broke more often than is retried, or is too slow.
            RegistryError: The registry refuses to go on.
            SizeMismatchError: The registry's blob is shorter.
        """
        if size <= 0:
            raise ValueError("the size to read is not positive")
        if self._closed:
            raise ValueError("the stream is closed")
        left = self._descriptor.size - self._position
        if left == 0:
            return b""
        piece = self._session.retrying(self._budget, lambda: self._next(min(size, left)))
        self._position += len(piece)
        if self._position == self._descriptor.size:
            self._hang_up()
        return piece

    def close(self) -> None:
        """Give up what was not read."""
        self._closed = True
        self._hang_up()

    def abort(self) -> None:
        """Make a read fail that another thread waits in."""
        response = self._response
        if response is not None:
            response.body.abort()

    def _hang_up(self) -> None:
        self._session.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._response is not None:
            self._response.close()
            self._response = None

    def _next(self, size: int) -> bytes:
        """Some bytes from the open connection, or from a new one."""
        if self._response is None:
            self._connect()
        assert self._response is not None
        try:
            self._skip_known(self._response)
            return self._receive(self._response, size)
        except BaseException:
            self._fragile = True
            self._hang_up()
            raise

    def _skip_known(self, response: Response) -> None:
        """Read again what came before, from a registry that only begins at the beginning."""
        while self._skip:
            self._skip -= len(self._receive(response, self._skip))
            if not self._skip:
                self._arrived = 0

    def _receive(self, response: Response, size: int) -> bytes:
        """A whole piece, or what there is of one where the connection has just broken."""
        read = response.body.read if self._fragile else response.body.fill
        begin = self._reading_since = time.monotonic()
        try:
            piece = read(min(size, PIECE_SIZE))
        finally:
            self._reading_since = None
        if not piece:
            raise TransportError(f"{self._what} ended early", retryable=True)
        self._count(len(piece), time.monotonic() - begin)
        return piece

    def _count(self, size: int, seconds: float) -> None:
        """Grant all retries again after progress.

        Raises:
            TransportError: There was none for too long.
        """
        self._waited += seconds
        self._arrived += size
        if self._arrived >= PIECE_SIZE:
            self._arrived, self._waited = 0, 0.0
            if not self._skip:
                self._fragile = False
                self._budget.refresh()
        if self._waited > self._session.options.idle_timeout:
            raise TransportError(
                f"{self._what} comes too slowly: less than {PIECE_SIZE} bytes "
                f"in {self._session.options.idle_timeout:g} seconds"
            )

    def _watch(self) -> None:
        """Look from another thread, now and then, for a read that does not come back."""
        seconds = self._session.options.idle_timeout

        def look() -> None:
            since = self._reading_since
            response = self._response
            if response is None:
                return
            if since is not None and time.monotonic() - since > seconds:
                response.body.abort()
            else:
                self._watch()

        self._timer = threading.Timer(max(seconds, MIN_WATCH), look)
        self._timer.daemon = True
        self._timer.start()

    def _connect(self) -> None:
        """Open a connection that begins at the position, or `skip` bytes before it."""
        response = self._request(self._position)
        try:
            if response.status == UNSATISFIABLE:
                check_unsatisfied(response, self._descriptor)
                response.close()
                response = self._request(0)
            self._skip = self._position - beginning(
                response, self._descriptor, self._position if response.status == PARTIAL else 0
            )
        except BaseException:
            response.close()
            raise
        self._response = response
        self._watch()
        self._session.add(self)

    def _request(self, position: int) -> Response:
        ranges = {"Range": f"bytes={position}-"} if position else {}
        return self._session.request(
            self._endpoint,
            self._endpoint.blob_url(self._descriptor.digest),
            self._what,
            headers=ranges,
            accept=frozenset({OK, PARTIAL, UNSATISFIABLE}) if position else frozenset({OK}),
        )

    @property
    def _what(self) -> str:
        return f"blob {self._descriptor.digest} in {self._endpoint.repository}"

    def __enter__(self) -> Self:
        """Return the stream itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give up what was not read."""
        self.close()
