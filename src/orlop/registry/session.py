"""One request after all: authorised, led through redirects, tried again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from orlop.errors import OrlopError, TransportError
from orlop.registry import redirect
from orlop.registry.auth import Authenticator
from orlop.registry.challenge import parse_challenges
from orlop.registry.failure import RefusedError, refusal
from orlop.registry.origin import Origin
from orlop.registry.retry import RetryBudget
from orlop.registry.tokenserver import TokenServer
from orlop.registry.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orlop.registry.credential import CredentialStore
    from orlop.registry.endpoint import Endpoint
    from orlop.registry.options import RegistryOptions
    from orlop.registry.response import Response

T = TypeVar("T")

OK: Final = 200
PARTIAL: Final = 206
UNSATISFIABLE: Final = 416
_UNAUTHORIZED: Final = 401


class Abortable(Protocol):
    """What may be reading when a session is closed."""

    def abort(self) -> None:
        """Make a read fail that another thread waits in."""


class Session:
    """Requests to registries; safe to use from several threads.

    Args:
        options: How to behave.
        credentials: Where credentials are looked up, None to ask as anybody.
    """

    def __init__(self, options: RegistryOptions, credentials: CredentialStore | None) -> None:
        self.options = options
        self._transport = Transport(options)
        self._auth = Authenticator(credentials, TokenServer(self._transport, options).fetch)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._streams: set[Abortable] = set()

    def budget(self) -> RetryBudget:
        """The retries of one request or one download."""
        return RetryBudget(self.options.retries, self.options.sleep or self._wait)

    def request(
        self,
        endpoint: Endpoint,
        url: str,
        what: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        accept: frozenset[int] = frozenset({OK}),
    ) -> Response:
        """An answer with one of the statuses in `accept`, its body unread; asked for once.

        Args:
            endpoint: Whose credentials go along.
            url: What to ask for.
            what: What that is, for messages.
            method: GET or HEAD.
            headers: Beside those for credentials.
            accept: Statuses that are a success.

        Raises:
            RefusedError: The registry or its token server answered something else.
            TransportError: No answer came.
        """
        if self._closed.is_set():
            raise TransportError("the registry client was closed")
        response = self._authorized(endpoint, url, method, headers or {})
        if response.status in accept:
            return response
        raise refusal(
            response,
            what,
            seconds=self.options.document_timeout,
            hint=self._auth.hint(endpoint) if _is_home(endpoint, response) else None,
        )

    def retrying(self, budget: RetryBudget, action: Callable[[], T]) -> T:
        """What `action` returns, tried again within the budget.

        Raises:
            OrlopError: The last failure.
        """
        while True:
            error: OrlopError
            wait = None
            try:
                return action()
            except RefusedError as refused:
                error, wait = refused.error, refused.retry_after
            except TransportError as broken:
                error = broken
            try:
                budget.spend(error, wait)
            finally:
                del error  # or its traceback would keep this frame, and all it holds, alive

    def add(self, stream: Abortable) -> None:
        """Have a stream broken off when this is closed, until it is removed."""
        with self._lock:
            self._streams.add(stream)
        if self._closed.is_set():
            stream.abort()

    def remove(self, stream: Abortable) -> None:
        """Leave a stream alone from now on; idempotent."""
        with self._lock:
            self._streams.discard(stream)

    def close(self) -> None:
        """Close idle connections, break off open streams and end all waiting for retries."""
        self._closed.set()
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.abort()
        self._transport.close()

    def _wait(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise TransportError("the registry client was closed")

    def _authorized(
        self, endpoint: Endpoint, url: str, method: str, headers: Mapping[str, str]
    ) -> Response:
        """Ask, answer one challenge, and a second one only when it wants another scope."""
        header = self._auth.header(endpoint)
        response = self._send(endpoint, url, method, headers, header)
        for first in (True, False):
            if response.status != _UNAUTHORIZED or not _is_home(endpoint, response):
                break
            challenges = parse_challenges(response.headers.get("www-authenticate", ()))
            if not first and not self._auth.widens(endpoint, challenges):
                break
            response.discard()
            header = self._auth.answer(endpoint, challenges, header)
            response = self._send(endpoint, url, method, headers, header)
        return response

    def _send(
        self,
        endpoint: Endpoint,
        url: str,
        method: str,
        headers: Mapping[str, str],
        authorization: str | None,
    ) -> Response:
        assert Origin.of(url) == endpoint.origin
        return redirect.get(
            self._transport,
            method,
            url,
            headers,
            authorization=authorization,
            show_client_cert=True,
        )


def _is_home(endpoint: Endpoint, response: Response) -> bool:
    """Whether the registry itself gave the answer, and no host that it redirects to."""
    return Origin.of(response.url) == endpoint.origin
