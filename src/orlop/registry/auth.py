"""From a challenge to the `Authorization` header that answers it.

Credentials belong to the registry they were configured for. They go to its origin (Basic) and to
the token server that it names (Bearer), which must be reached by https unless the registry
itself is not. A token goes to the origin that it was asked for, and nowhere else.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.errors import AuthError, InvalidError
from orlop.registry.failure import RefusedError
from orlop.registry.origin import Origin
from orlop.registry.text import shown
from orlop.registry.token import Token, TokenCache, TokenRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orlop.registry.challenge import Challenge
    from orlop.registry.credential import Credential, CredentialStore
    from orlop.registry.endpoint import Endpoint


MAX_SCOPES: Final = 32
"""How many scopes a registry may want a token to have."""
_INSUFFICIENT: Final = "insufficient_scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How a repository wants to be asked, and by whom; `realm` is empty for Basic."""

    credential: Credential | None
    realm: str = ""
    service: str = ""
    scopes: frozenset[str] = frozenset()


class Authenticator:
    """What is known about how registries want to be asked; safe for several threads.

    Args:
        credentials: Where credentials are looked up, None to ask as anybody.
        fetch: Asks a token server.
        cache: Where tokens are kept.
    """

    def __init__(
        self,
        credentials: CredentialStore | None,
        fetch: Callable[[TokenRequest], Token],
        cache: TokenCache | None = None,
    ) -> None:
        self._credentials = credentials
        self._fetch = fetch
        self._tokens = cache or TokenCache()
        self._lock = threading.Lock()
        self._plans: dict[tuple[Origin, str], _Plan] = {}

    def header(self, endpoint: Endpoint) -> str | None:
        """The header to begin with: what the registry accepted before, None where unknown.

        Credentials that the token server does not accept any more are forgotten, so that the
        next challenge looks for newer ones.

        Raises:
            RefusedError: The token server gives no token for now.
            TransportError: It gives no answer.
        """
        key = (endpoint.origin, endpoint.repository)
        with self._lock:
            plan = self._plans.get(key)
        try:
            return None if plan is None else self._header(endpoint, plan)
        except RefusedError as refused:
            if not isinstance(refused.error, AuthError):
                raise
            with self._lock:
                self._plans.pop(key, None)
            return None

    def answer(
        self, endpoint: Endpoint, challenges: Sequence[Challenge], refused: str | None
    ) -> str:
        """The header that answers a challenge.

        Args:
            endpoint: Who asks.
            challenges: What it asks for.
            refused: The header that it refused, None where none was sent.

        Raises:
            AuthError: There is nothing, or nothing else, to answer with.
            RefusedError: The token server gives no token.
            TransportError: It gives no answer.
        """
        plan = self._choose(endpoint, challenges)
        with self._lock:
            self._plans[endpoint.origin, endpoint.repository] = plan
        try:
            header = self._header(endpoint, plan, refused)
        except RefusedError as no_token:
            if isinstance(no_token.error, AuthError):
                no_token.error.hint = self.hint(endpoint)
            raise
        if header is None or header == refused:
            raise self._no_answer(endpoint, "refuses the" if refused else "wants")
        return header

    def widens(self, endpoint: Endpoint, challenges: Sequence[Challenge]) -> bool:
        """Whether a challenge wants a scope that the token refused was not asked for."""
        with self._lock:
            plan = self._plans.get((endpoint.origin, endpoint.repository))
        return plan is not None and any(
            challenge.parameters.get("error") == _INSUFFICIENT and challenge.scopes - plan.scopes
            for challenge in challenges
        )

    def hint(self, endpoint: Endpoint) -> str:
        """What to do when a registry wants other credentials."""
        places = self._credentials.places if self._credentials else ()
        looked = ", ".join(places) or "no place at all"
        return (
            f"log in with `docker login {endpoint.domain}` or `podman login {endpoint.domain}`; "
            f"credentials were looked for in {looked}"
        )

    def _no_answer(self, endpoint: Endpoint, verb: str) -> AuthError:
        return AuthError(
            f"{endpoint.domain} {verb} credentials for {endpoint.repository}",
            status=401,
            hint=self.hint(endpoint),
        )

    def _choose(self, endpoint: Endpoint, challenges: Sequence[Challenge]) -> _Plan:
        """Bearer when it is offered, else Basic."""
        credential = self._find(endpoint)
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                return self._bearer(endpoint, challenge, credential)
        if any(challenge.scheme == "basic" for challenge in challenges):
            return _Plan(credential=credential)
        schemes = ", ".join(shown(challenge.scheme, 20) for challenge in challenges)
        raise AuthError(
            f"{endpoint.domain} asks for credentials by no known scheme ({schemes or 'none'})",
            status=401,
        )

    def _bearer(
        self, endpoint: Endpoint, challenge: Challenge, credential: Credential | None
    ) -> _Plan:
        known = self._plans.get((endpoint.origin, endpoint.repository))
        scopes = challenge.scopes | (known.scopes if known else frozenset())
        if len(scopes) > MAX_SCOPES:
            raise AuthError(f"{endpoint.domain} wants a token for more than {MAX_SCOPES} scopes")
        return _Plan(
            credential=credential,
            realm=_checked_realm(endpoint, challenge.parameters["realm"]),
            service=challenge.parameters.get("service", ""),
            scopes=scopes or frozenset({endpoint.pull_scope}),
        )

    def _header(self, endpoint: Endpoint, plan: _Plan, refused: str | None = None) -> str | None:
        credential = plan.credential
        if not plan.realm:
            return credential.basic if credential else None
        if credential is not None and credential.registry_token:
            return f"Bearer {_checked_token(endpoint, credential.registry_token)}"
        request = TokenRequest(
            origin=endpoint.origin,
            realm=plan.realm,
            service=plan.service,
            scopes=plan.scopes,
            credential=credential,
        )
        stale = refused.removeprefix("Bearer ") if refused else None
        return f"Bearer {self._tokens.get(request, lambda: self._fetch(request), stale).value}"

    def _find(self, endpoint: Endpoint) -> Credential | None:
        if self._credentials is None:
            return None
        return self._credentials.find(endpoint.domain, endpoint.repository)


def _checked_token(endpoint: Endpoint, token: str) -> str:
    """A token from a file, where it can be sent in a header.

    Raises:
        AuthError: It holds what no header can.
    """
    if not token.isascii() or not token.isprintable():
        raise AuthError(f"the registry token for {endpoint.domain} holds more than ASCII letters")
    return token


def _checked_realm(endpoint: Endpoint, realm: str) -> str:
    """The realm, where a secret may be sent to it.

    Raises:
        AuthError: It is no URL, is not encrypted though the registry is, or is on this machine
            though the registry is not.
    """
    try:
        origin = Origin.of(realm)
    except InvalidError as error:
        raise AuthError(f"the token server of {endpoint.domain} has no address: {error}") from error
    if endpoint.origin.secure and not origin.secure:
        raise AuthError(f"the token server of {endpoint.domain} is not reached by https: {origin}")
    if origin.loopback and not endpoint.origin.loopback:
        raise AuthError(f"{endpoint.domain} names this machine as its token server: {origin}")
    return realm
