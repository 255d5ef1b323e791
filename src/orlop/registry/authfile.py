"""Credentials in the files of Docker and of the containers tools.

    {"auths":       {KEY: {"auth": base64(user ":" password), "username", "password",
                           "identitytoken", "registrytoken"}},
     "credHelpers": {KEY: HELPER},
     "credsStore":  HELPER}

KEY is a registry, in old files its URL, or a namespace below it (`quay.io/team/app`), of which the
longest that fits counts. Docker Hub is `https://index.docker.io/v1/` by tradition.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Final, TypeVar

from orlop.errors import InvalidDocumentError, LimitExceededError
from orlop.registry.credential import Credential
from orlop.registry.endpoint import DOCKER_HUB
from orlop.spec.json import decode_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")

MAX_AUTH_FILE_SIZE: Final = 1 << 20
"""Bytes that a file of credentials may have."""
DOCKER_HUB_KEY: Final = "https://index.docker.io/v1/"
"""What Docker Hub is called in these files and by credential helpers."""

_HUB_NAMES: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_API_VERSIONS: Final = frozenset({"v1", "v2"})


class AuthFile:
    """One such file, as it was when it was read.

    Args:
        path: Where it is, for messages.
        document: What it says.
    """

    __slots__ = ("_document", "path")

    def __init__(self, path: Path, document: Mapping[str, object]) -> None:
        self.path = path
        self._document = document

    @classmethod
    def read(cls, path: Path) -> AuthFile | None:
        """The file at a path, None where there is none.

        Raises:
            InvalidDocumentError: It is no JSON object.
            OSError: It cannot be read.
        """
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_AUTH_FILE_SIZE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return cls(path, decode_json(raw, limit=MAX_AUTH_FILE_SIZE) if raw.strip() else {})
        except (InvalidDocumentError, LimitExceededError) as error:
            raise InvalidDocumentError(f"credentials cannot be read: {error}", where=str(path))

    def helper(self, domain: str, repository: str) -> tuple[str, str] | None:
        """The credential helper for a repository, and the name to ask it by; None without one.

        Raises:
            InvalidDocumentError: The file says it in a way that cannot be understood.
        """
        found = _longest(self._object("credHelpers"), domain, repository)
        if found is not None and found[1] != "":
            return self._text(found[1], "credHelpers"), found[0]
        store = self._document.get("credsStore")
        if store in (None, ""):
            return None
        name = DOCKER_HUB_KEY if domain == DOCKER_HUB else domain
        return self._text(store, "credsStore"), name

    def credential(self, domain: str, repository: str) -> Credential | None:
        """The credential that the file itself holds for a repository, None without one.

        Raises:
            InvalidDocumentError: The file says it in a way that cannot be understood.
        """
        found = _longest(self._object("auths"), domain, repository)
        if found is None:
            return None
        key, entry = found
        if not isinstance(entry, dict):
            raise self._invalid(f"the entry for {key} is no object")
        username, password = self._login(key, entry)
        credential = Credential(
            username=username,
            password=password,
            identity_token=self._text(entry.get("identitytoken", ""), key),
            registry_token=self._text(entry.get("registrytoken", ""), key),
        )
        return None if credential == Credential() else credential

    def _login(self, key: str, entry: Mapping[str, object]) -> tuple[str, str]:
        encoded = self._text(entry.get("auth", ""), key)
        if not encoded:
            return (
                self._text(entry.get("username", ""), key),
                self._text(entry.get("password", ""), key),
            )
        try:
            text = binascii.a2b_base64(encoded.encode(), strict_mode=True).decode()
        except ValueError:
            raise self._invalid(f"the login for {key} is no base64") from None
        username, colon, password = text.partition(":")
        if not colon:
            raise self._invalid(f"the login for {key} has no colon")
        return username, password.rstrip("\0")

    def _object(self, name: str) -> Mapping[str, object]:
        value = self._document.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._invalid(f"{name} is no object")
        return value

    def _text(self, value: object, name: str) -> str:
        if not isinstance(value, str):
            raise self._invalid(f"what {name} holds is no text")
        return value

    def _invalid(self, message: str) -> InvalidDocumentError:
        return InvalidDocumentError(message, where=str(self.path))


def _longest(entries: Mapping[str, T], domain: str, repository: str) -> tuple[str, T] | None:
    """The entry whose key is the longest that a repository lies under."""
    by_name = {_normalised(key): (key, value) for key, value in entries.items()}
    for name in _names(domain, repository):
        if name in by_name:
            return by_name[name]
    return None


def _names(domain: str, repository: str) -> Iterator[str]:
    """`host/a/b`, `host/a`, `host`."""
    name = f"{domain}/{repository}"
    while name:
        yield name
        name = name.rpartition("/")[0]


def _normalised(key: str) -> str:
    """A key without scheme and API version, Docker Hub by the name that references use."""
    scheme, separator, rest = key.partition("://")
    host, _, path = (rest if separator else scheme).rstrip("/").partition("/")
    if separator or (host in _HUB_NAMES and path in _API_VERSIONS):
        path = ""
    host = DOCKER_HUB if host in _HUB_NAMES else host
    return f"{host}/{path}" if path else host
