"""What proves to a registry who asks."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One registry's secrets; none of them is shown by `repr`.

    Args:
        username: User name, empty where there is none.
        password: Password, empty where there is none.
        identity_token: OAuth2 refresh token, empty where there is none.
        registry_token: Bearer token to be sent as it is, empty where there is none.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str | None:
        """The `Authorization` value of the Basic scheme, None without a user name.

        Spec: RFC 7617, section 2.
        """
        if not self.username:
            return None
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {b64encode(pair).decode('ascii')}"


class CredentialStore(Protocol):
    """Where credentials are looked up."""

    @property
    def places(self) -> Sequence[str]:
        """Where the store looks, for people to read."""
        ...

    def find(self, domain: str, repository: str) -> Credential | None:
        """The credential for a repository of a registry, None where there is none."""
        ...


class MemoryCredentials:
    """Credentials that the application itself hands over.

    Args:
        credentials: Credential by registry domain (`docker.io`, `localhost:5000`).
    """

    __slots__ = ("_credentials",)

    def __init__(self, credentials: dict[str, Credential] | None = None) -> None:
        self._credentials = dict(credentials or {})

    @property
    def places(self) -> Sequence[str]:
        """The application; no file is read."""
        return ("the credentials given by the application",)

    def find(self, domain: str, repository: str) -> Credential | None:  # noqa: ARG002
        """The credential given for the domain, whatever the repository."""
        return self._credentials.get(domain)
