"""Bearer tokens: asked for at the realm, kept until they expire.

Spec: distribution, "Token Authentication Specification" and "Oauth2 Token Authentication";
RFC 6749, sections 4.3, 5.1 and 6.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orlop.errors import AuthError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.registry.credential import Credential
    from orlop.registry.origin import Origin

MAX_TOKEN_SIZE: Final = 1 << 20
"""Bytes that a token server's answer may have."""
DEFAULT_LIFETIME: Final = 60.0
"""Seconds that a token lasts when its server does not say."""
MAX_LIFETIME: Final = 24 * 3600.0
"""Seconds after which a token is asked for again, however long it may last."""
_MARGIN: Final = 0.1
"""Share of its lifetime before the end of which a token is renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What identifies a token; equal requests share one.

    Args:
        origin: The registry that the token is for; it is sent nowhere else.
        realm: Where it is asked for.
        service: The registry's own name for itself.
        scopes: What it shall allow.
        credential: Who asks, None for anybody.
    """

    origin: Origin
    realm: str
    service: str
    scopes: frozenset[str]
    credential: Credential | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token; `repr` hides it.

    Args:
        value: The token.
        lifetime: Seconds that it lasts from when it came.
    """

    value: str = field(repr=False)
    lifetime: float

    @classmethod
    def decode(cls, raw: bytes) -> Token:
        """The token in a token server's answer.

        Raises:
            AuthError: The answer holds no usable token.
        """
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise AuthError("the token server's answer is no JSON object")
        value = answer.get("token") or answer.get("access_token")
        if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            raise AuthError("the token server's answer holds no token")
        return cls(value=value, lifetime=_lifetime(answer.get("expires_in")))


def _lifetime(seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds != seconds:
        return DEFAULT_LIFETIME
    return min(max(seconds, 0.0), MAX_LIFETIME) if seconds else DEFAULT_LIFETIME


class _Slot:
    """Where one token is kept; its lock lets a single thread ask for it."""

    __slots__ = ("lock", "renew_at", "token")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.token: Token | None = None
        self.renew_at = 0.0


class TokenCache:
    """Tokens by what they were asked for; threads that want the same one wait for each other.

    Args:
        clock: Seconds, never going back.
    """

    __slots__ = ("_clock", "_lock", "_slots")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[TokenRequest, _Slot] = {}

    def get(
        self, request: TokenRequest, fetch: Callable[[], Token], refused: str | None = None
    ) -> Token:
        """A token that is still good, asked for by `fetch` where there is none.

        Args:
            request: Which token.
            fetch: Asks the token server.
            refused: The token's value that the registry has just refused.
        """
        with self._lock:
            slot = self._slots.setdefault(request, _Slot())
        with slot.lock:
            token = slot.token
            if token is None or token.value == refused or self._clock() >= slot.renew_at:
                slot.token = None
                token = slot.token = fetch()
                slot.renew_at = self._clock() + token.lifetime * (1 - _MARGIN)
            return token
