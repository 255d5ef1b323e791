"""Redirects, followed by hand so that no secret follows along.

Spec: RFC 9110, section 15.4; distribution-spec v1.1, "API".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urldefrag, urljoin

from orlop.errors import InvalidError, RegistryError
from orlop.registry.origin import Origin
from orlop.registry.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.registry.response import Response
    from orlop.registry.transport import Transport

MAX_REDIRECTS: Final = 8
"""How many redirects one request may lead through."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


def get(
    transport: Transport,
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    authorization: str | None = None,
    show_client_cert: bool = False,
) -> Response:
    """The answer at the end of all redirects.

    `Authorization` and the client certificate are for the first URL's origin; after the first
    redirect that leaves it, both stay behind, even when a later one leads back.

    Args:
        transport: Connections.
        method: GET or HEAD.
        url: Where to begin.
        headers: Sent to every host on the way.
        authorization: The `Authorization` header.
        show_client_cert: Whether the origin may ask for the client certificate.

    Raises:
        TransportError: No answer came.
        RegistryError: A redirect leads where no request may go, or there are too many.
    """
    home = Origin.of(url)
    at_home = True
    for _ in range(MAX_REDIRECTS + 1):
        secret = {"Authorization": authorization} if authorization and at_home else {}
        response = transport.send(
            method, url, {**headers, **secret}, show_client_cert=show_client_cert and at_home
        )
        location = response.header("location")
        if response.status not in _REDIRECTS or location is None:
            return response
        response.discard()
        url = _target(url, location)
        at_home = at_home and Origin.of(url) == home
    raise RegistryError(f"{home} redirects more than {MAX_REDIRECTS} times")


def _target(url: str, location: str) -> str:
    """The URL that a redirect leads to.

    Raises:
        RegistryError: It is no URL, leaves https, or leads from elsewhere to this machine.
    """
    source = Origin.of(url)
    try:
        target = urldefrag(urljoin(url, location)).url
        origin = Origin.of(target)
    except (InvalidError, ValueError) as error:
        raise RegistryError(f"{source} redirects to what is no URL: {shown(location)}") from error
    if source.secure and not origin.secure:
        raise RegistryError(f"{source} redirects away from https, to {origin}")
    if origin.loopback and not source.loopback:
        raise RegistryError(f"{source} redirects to this machine, {origin}")
    return target
