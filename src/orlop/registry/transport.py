"""HTTP as it is: one request, one answer; no retries, redirects, cookies or decoding.

urllib3 is loaded with the first request, and its errors are translated here and nowhere else.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidError, TransportError
from orlop.registry.origin import Origin
from orlop.registry.proxy import Proxy, choose_proxy
from orlop.registry.response import Response
from orlop.registry.text import shown

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    import urllib3

    from orlop.registry.options import RegistryOptions


_MAX_CAUSES: Final = 8


class Transport:
    """Connections to any number of hosts; safe to use from several threads.

    Args:
        options: Timeouts, trust, proxies, connections.
    """

    def __init__(self, options: RegistryOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._pools: dict[tuple[Proxy | None, bool, bool], urllib3.PoolManager] = {}

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: bytes | None = None,
        show_client_cert: bool = False,
    ) -> Response:
        """The answer to one request, its body unread.

        Args:
            method: HTTP method.
            url: Absolute URL.
            headers: Sent as they are, beside `User-Agent` and `Accept-Encoding: identity`.
            body: Bytes to send.
            show_client_cert: Whether the host may ask for the client certificate.

        Raises:
            TransportError: No answer came.
        """
        origin = Origin.of(url)
        with translated(origin):
            raw = self._pool(origin, show_client_cert).request(
                method,
                url,
                body=body,
                headers={
                    "User-Agent": self._options.user_agent,
                    "Accept-Encoding": "identity",
                    **headers,
                },
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
        values: dict[str, list[str]] = {}
        for name, value in raw.headers.iteritems():
            values.setdefault(name.lower(), []).append(value)
        return Response(url=url, status=raw.status, headers=values, body=_Body(raw, origin))

    def close(self) -> None:
        """Close all idle connections; bodies being read stay usable."""
        with self._lock:
            managers = list(self._pools.values())
            self._pools.clear()
        for manager in managers:
            # To clear the manager would leave its pools to the garbage collector.
            for key in manager.pools.keys():  # noqa: SIM118  it cannot be iterated
                if (pool := manager.pools.get(key)) is not None:
                    pool.close()
            manager.clear()

    def _pool(self, origin: Origin, show_client_cert: bool) -> urllib3.PoolManager:
        proxy = choose_proxy(self._options.environ, origin)
        show_client_cert = show_client_cert and self._options.client_cert is not None
        key = (proxy, origin.secure, show_client_cert)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                # Loading the system's certificates takes a while, so plain http does without.
                needs_tls = origin.secure or (proxy is not None and proxy.secure)
                context = _tls_context(self._options, show_client_cert) if needs_tls else None
                pool = self._pools[key] = self._new_pool(proxy, context)
            return pool

    def _new_pool(self, proxy: Proxy | None, context: ssl.SSLContext | None) -> urllib3.PoolManager:
        import urllib3

        from orlop.registry.connection import pool_classes

        options = self._options
        timeout = urllib3.Timeout(connect=options.connect_timeout, read=options.read_timeout)
        if options.insecure:  # as its user knows
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        if proxy is None:
            pool = urllib3.PoolManager(
                maxsize=options.max_connections, timeout=timeout, ssl_context=context
            )
        else:
            pool = urllib3.ProxyManager(
                proxy.url,
                proxy_headers=urllib3.make_headers(proxy_basic_auth=proxy.authority),
                maxsize=options.max_connections,
                timeout=timeout,
                ssl_context=context,
            )
        pool.pool_classes_by_scheme = pool_classes(options.document_timeout)
        return pool


class _Body:
    """The bytes of a urllib3 response."""

    __slots__ = ("_origin", "_raw")

    def __init__(self, raw: urllib3.BaseHTTPResponse, origin: Origin) -> None:
        self._raw = raw
        self._origin = origin

    def read(self, size: int) -> bytes:
        with translated(self._origin):
            return self._raw.read1(size) or b""

    def fill(self, size: int) -> bytes:
        with translated(self._origin):
            return self._raw.read(size) or b""

    def abort(self) -> None:
        from orlop.registry.connection import hang_up

        hang_up(self._raw.connection)

    def close(self) -> None:
        # A response that was read to its end has given its connection back already; any other
        # connection still carries bytes that nobody wants.
        self._raw.close()


def _tls_context(options: RegistryOptions, show_client_cert: bool) -> ssl.SSLContext:
    import ssl

    for path in (options.ca_file, options.client_cert, options.client_key):
        if path is not None:
            path.stat()  # whose error names the path, unlike that of the ssl module
    context = ssl.create_default_context()
    try:
        if options.ca_file is not None:
            context.load_verify_locations(cafile=options.ca_file)
        if options.client_cert is not None and show_client_cert:
            # An empty password keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(options.client_cert, options.client_key, password="")
    except ssl.SSLError as error:
        raise InvalidError(f"a certificate or key file cannot be used: {error}") from error
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def translated(origin: Origin) -> Iterator[None]:
    """Turn every error of urllib3 into a `TransportError` that names the host."""
    from urllib3 import exceptions

    try:
        yield
    except exceptions.SSLError as error:
        raise _tls_error(origin, error) from error
    except exceptions.ProxyError as error:
        raise TransportError(
            f"the proxy to {origin} failed: {_reason(error)}", retryable=True
        ) from error
    except exceptions.NameResolutionError as error:
        raise TransportError(
            f"the name {shown(origin.host)} is not known",
            retryable=True,
            hint="check the registry's name and the network",
        ) from error
    except exceptions.NewConnectionError as error:
        raise TransportError(
            f"{origin} cannot be reached: {_reason(error)}",
            retryable=True,
            hint="check that a registry listens there",
        ) from error
    except exceptions.TimeoutError as error:
        raise TransportError(f"{origin} took too long to answer", retryable=True) from error
    except exceptions.LocationValueError as error:
        raise TransportError(f"{origin} cannot be asked: {_reason(error)}") from error
    except exceptions.HTTPError as error:
        raise TransportError(
            f"the connection to {origin} broke: {_reason(error)}", retryable=True
        ) from error


def _tls_error(origin: Origin, error: Exception) -> TransportError:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        hint = "trust its certificate with --ca-file, or any certificate with --insecure"
    elif "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        hint = "the registry may speak plain http only: --plain-http"
    elif "EOF" in text or "BAD_RECORD_MAC" in text:
        return TransportError(f"the connection to {origin} broke", retryable=True)
    else:
        hint = "check the certificates and keys on both sides"
    return TransportError(f"no TLS with {origin}: {_reason(error)}", hint=hint)


def _reason(error: BaseException) -> str:
    """The operating system's words for an error, or the innermost ones there are."""
    seen = error
    for _ in range(_MAX_CAUSES):
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = next((arg for arg in seen.args if isinstance(arg, Exception)), seen.__cause__)
        if inner is None:
            break
        seen = inner
    return shown(str(seen) or type(seen).__name__)
