"""Origins: the unit to which credentials are bound.

Spec: RFC 6454, section 4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from orlop.errors import InvalidError
from orlop.registry.text import shown

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\U0010ffff\\]")
MAX_URL_LENGTH: Final = 16 << 10
"""The longest URL (characters) that a server may send; signed ones take a few thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host and port of a URL; two URLs share secrets only when all three are equal.

    Args:
        scheme: `http` or `https`.
        host: Lowercase host name or address, without brackets.
        port: TCP port.
    """

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of an absolute http or https URL.

        Raises:
            InvalidError: The URL has no usable origin, carries user information, or holds
                characters that no URL may hold.
        """
        if len(url) > MAX_URL_LENGTH or _UNSAFE.search(url):
            raise InvalidError(f"{shown(url)} is no URL")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise InvalidError(f"{shown(url)} is no URL") from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise InvalidError(f"{shown(url)} is no http or https URL")
        if "@" in parts.netloc:
            raise InvalidError(f"the URL of {shown(parts.hostname)} carries user information")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname.rstrip("."),
            port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        )

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine by name or by address."""
        return is_loopback(self.host)

    @property
    def secure(self) -> bool:
        """Whether what is sent there is encrypted."""
        return self.scheme == "https"

    def __str__(self) -> str:
        """The origin as the beginning of a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool(address.is_loopback or (mapped is not None and mapped.is_loopback))
