"""Asking a token server.

Spec: distribution, "Token Authentication Specification" and "Oauth2 Token Authentication".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from orlop.errors import AuthError, LimitExceededError
from orlop.registry import redirect
from orlop.registry.failure import refusal
from orlop.registry.origin import Origin
from orlop.registry.token import MAX_TOKEN_SIZE, Token, TokenRequest

if TYPE_CHECKING:
    from orlop.registry.options import RegistryOptions
    from orlop.registry.response import Response
    from orlop.registry.transport import Transport

_CLIENT_ID: Final = "orlop"
_OK: Final = 200
_ABSENT: Final = frozenset({404, 405})


class TokenServer:
    """Gives tokens, by GET or by OAuth2 POST, whichever the server has.

    An identity token can only be shown by POST. With a password GET comes first, which every
    registry's token server understands; either falls back to the other on 404 and 405.

    Args:
        transport: Connections.
        options: Timeouts.
    """

    __slots__ = ("_options", "_transport")

    def __init__(self, transport: Transport, options: RegistryOptions) -> None:
        self._transport = transport
        self._options = options

    def fetch(self, request: TokenRequest) -> Token:
        """A new token.

        Raises:
            RefusedError: The server gives none; wraps an `AuthError` or a `RegistryError`.
            AuthError: There is no server, or what it gives is no token.
            TransportError: No whole answer came.
        """
        credential = request.credential
        if credential is not None and credential.identity_token:
            response = self._post(request)
            if response.status in _ABSENT and credential.basic:
                response.discard()
                response = self._get(request)
        else:
            response = self._get(request)
            if response.status in _ABSENT and credential is not None and credential.basic:
                response.discard()
                response = self._post(request)
        return self._decode(request, response)

    def _decode(self, request: TokenRequest, response: Response) -> Token:
        seconds = self._options.document_timeout
        if response.status in _ABSENT:
            response.discard()
            raise AuthError(f"there is no token server at {Origin.of(request.realm)}")
        if response.status != _OK:
            what = f"a token from {Origin.of(request.realm)}"
            raise refusal(response, what, seconds=seconds)
        with response:
            try:
                return Token.decode(
                    response.read_all(MAX_TOKEN_SIZE, "MAX_TOKEN_SIZE", seconds=seconds)
                )
            except LimitExceededError as error:
                raise AuthError(f"the token server's answer is too long: {error}") from error

    def _get(self, request: TokenRequest) -> Response:
        query = [("service", request.service)] if request.service else []
        query += [("scope", scope) for scope in sorted(request.scopes)]
        query += [("client_id", _CLIENT_ID)]
        credential = request.credential
        if credential is not None and credential.basic:
            query += [("account", credential.username)]
        parts = urlsplit(request.realm)
        joined = "&".join(filter(None, (parts.query, urlencode(query))))
        return redirect.get(
            self._transport,
            "GET",
            urlunsplit((parts.scheme, parts.netloc, parts.path, joined, "")),
            {},
            authorization=credential.basic if credential is not None else None,
            show_client_cert=_is_registry(request),
        )

    def _post(self, request: TokenRequest) -> Response:
        """POST the secret; a redirect is no answer, since the body would go along."""
        credential = request.credential
        assert credential is not None
        form = {
            "service": request.service,
            "client_id": _CLIENT_ID,
            "scope": " ".join(sorted(request.scopes)),
        }
        if credential.identity_token:
            form |= {"grant_type": "refresh_token", "refresh_token": credential.identity_token}
        else:
            form |= {
                "grant_type": "password",
                "username": credential.username,
                "password": credential.password,
            }
        return self._transport.send(
            "POST",
            request.realm,
            {"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode("ascii"),
            show_client_cert=_is_registry(request),
        )


def _is_registry(request: TokenRequest) -> bool:
    """Whether the registry gives its tokens itself, and may see the client certificate."""
    return Origin.of(request.realm) == request.origin
