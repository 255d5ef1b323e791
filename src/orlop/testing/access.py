"""Whom `FaultyRegistry` lets in.

Spec: RFC 7617; distribution, "Token Authentication Specification" and "Oauth2 Token
Authentication".
"""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, urlsplit

from orlop.testing.faults import Reply, header, status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request that came.

    Args:
        method: HTTP method.
        target: Path and query.
        headers: Headers by lowercase name.
        body: The body.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def authorization(self) -> tuple[str, str]:
        """Scheme and value of the `Authorization` header, empty where there is none."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        return scheme, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Whom a registry lets in.

    Args:
        scheme: `basic`, `bearer`, or None for everybody.
        username: The only user.
        password: The user's password.
        identity_token: What the token server takes in place of a password, by POST.
        anonymous: Whether the token server gives tokens to everybody.
        methods: How the token server may be asked.
        realm: The token server's URL, where it is not its true one.
        token_uses: After so many requests a token counts as expired; None for never.
        expires_in: What the token server says about lifetime (seconds); None for nothing.
        needed_scope: A scope that tokens must have, told by `insufficient_scope`.
    """

    scheme: Literal["basic", "bearer"] | None = None
    username: str = "user"
    password: str = field(default="canary-password", repr=False)
    identity_token: str = field(default="canary-identity", repr=False)
    anonymous: bool = False
    methods: frozenset[str] = frozenset({"GET", "POST"})
    realm: str | None = None
    token_uses: int | None = None
    expires_in: object = 300
    needed_scope: str = ""

    def knows(self, basic: str) -> bool:
        """Whether the value of a Basic header is the user and the password."""
        try:
            pair = b64decode(basic).decode()
        except ValueError:
            return False
        return pair == f"{self.username}:{self.password}"

    def check_basic(self, seen: Seen) -> Reply | None:
        """The refusal of a request, None when it may pass."""
        scheme, value = seen.authorization
        if scheme == "Basic" and self.knows(value):
            return None
        return _challenge('Basic realm="a, \\"quoted\\" realm"')


class TokenIssuer:
    """Gives bearer tokens, and tells later what they are worth.

    Args:
        access: Who gets one, and what becomes of it.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._given = 0
        self._tokens: dict[str, tuple[frozenset[str], int]] = {}

    def revoke(self) -> None:
        """Let all tokens given so far count as expired."""
        self._tokens.clear()

    def check(self, seen: Seen, scope: str, realm: str, needed_scope: str = "") -> Reply | None:
        """The refusal of a request whose token does not allow the scope, None when it may pass."""
        scheme, value = seen.authorization
        scopes, left = self._tokens.get(value if scheme == "Bearer" else "", (frozenset(), 0))
        base = f'Bearer realm="{realm}",service="test, registry",scope="{scope}'
        if left <= 0 or scope not in scopes:
            return _challenge(f'{base}"')
        if needed_scope and needed_scope not in scopes:
            return _challenge(f'{base} {needed_scope}",error="insufficient_scope"')
        self._tokens[value] = (scopes, left - 1)
        return None

    def give(self, seen: Seen) -> Reply:
        """The answer to a request for a token."""
        access = self.access
        if seen.method not in access.methods:
            return status(405, "UNSUPPORTED")(Reply())
        form = parse_qs(seen.body.decode() if seen.body else urlsplit(seen.target).query)
        if not self._may_have(seen, form):
            return status(401, "UNAUTHORIZED", "wrong user or password")(Reply())
        self._given += 1
        value = f"canary-token-{self._given}"
        scopes = frozenset(scope for text in form.get("scope", ()) for scope in text.split())
        self._tokens[value] = (scopes, access.token_uses or 1 << 30)
        answer: dict[str, object] = {"token": value, "access_token": value}
        if access.expires_in is not None:
            answer["expires_in"] = access.expires_in
        headers = {"Content-Type": "application/json"}
        return Reply.of(200, headers, json.dumps(answer).encode())

    def _may_have(self, seen: Seen, form: Mapping[str, Sequence[str]]) -> bool:
        access = self.access
        if seen.body:
            user = (form.get("username"), form.get("password"))
            return form.get("refresh_token") == [access.identity_token] or (
                user == ([access.username], [access.password])
            )
        scheme, value = seen.authorization
        return access.knows(value) if scheme == "Basic" else access.anonymous


def _challenge(value: str) -> Reply:
    return header("WWW-Authenticate", value)(status(401, "UNAUTHORIZED", "log in")(Reply()))
