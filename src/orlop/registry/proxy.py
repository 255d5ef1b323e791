"""Which proxy leads to a host."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from orlop.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.registry.origin import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy.

    Args:
        url: Where it is, without user information.
        authority: `user:password`, or None.
    """

    url: str
    authority: str | None = field(default=None, repr=False)

    @property
    def secure(self) -> bool:
        """Whether the proxy itself is reached by https."""
        return self.url.startswith("https:")

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """The proxy that a URL, or `host:port` alone, describes.

        Raises:
            InvalidError: The text is no http or https URL. It is not repeated in the message,
                because it may hold a password.
        """
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            port = parts.port
        except ValueError:
            raise InvalidError("the proxy's URL cannot be read") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidError("the proxy's URL is no http or https URL")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        authority = None
        if parts.username is not None:
            authority = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        suffix = "" if port is None else f":{port}"
        return cls(url=f"{parts.scheme}://{host}{suffix}", authority=authority)


def choose_proxy(environ: Mapping[str, str], origin: Origin) -> Proxy | None:
    """The proxy that the environment names for an origin, None to go there directly.

    The lowercase variable wins, and an empty one switches the proxy off. Loopback is never
    reached through a proxy, so that a name of this machine is not told to another one.

    Raises:
        InvalidError: The variable holds no URL.
    """
    if origin.loopback or _excluded(_variable(environ, "no_proxy"), origin):
        return None
    text = _variable(environ, f"{origin.scheme}_proxy")
    return Proxy.parse(text) if text else None


def _variable(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    return (environ.get(name.upper(), "") if value is None else value).strip()


def _excluded(no_proxy: str, origin: Origin) -> bool:
    return any(_matches(entry.strip().lower(), origin) for entry in no_proxy.split(","))


def _matches(entry: str, origin: Origin) -> bool:
    """Whether one entry of NO_PROXY (host, .domain, address, network, any with :port) fits."""
    if entry in {"", "*"}:
        return entry == "*"
    if "/" in entry:
        return _in_network(entry, origin.host)
    host, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.startswith("[")):
        if int(port[:6]) != origin.port:
            return False
        entry = host
    entry = entry.strip("[]").removeprefix("*").lstrip(".")
    return bool(entry) and (origin.host == entry or origin.host.endswith(f".{entry}"))


def _in_network(entry: str, host: str) -> bool:
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return False
