"""References: names of images, as people type them and as orlop keeps them.

    reference  ::= name [":" tag] ["@" digest]
    name       ::= [domain "/"] path
    domain     ::= (dns-name | IPv4 | "[" IPv6 "]") [":" port]
    path       ::= component ("/" component)*
    component  ::= [a-z0-9]+ (("." | "_" | "__" | "-"+) [a-z0-9]+)*
    tag        ::= [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}

The first component is a domain only when it holds a dot, a colon or a capital, or is `localhost`;
otherwise the domain is `docker.io`, where a path of one component lies below `library/`.

Spec: distribution-spec v1.1, "Pulling manifests"; the reference grammar of CNCF distribution.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from orlop.digest import Digest
from orlop.errors import InvalidDigestError, InvalidReferenceError

MAX_REFERENCE_LENGTH: Final = 2048
MAX_DOMAIN_LENGTH: Final = 259
MAX_PATH_LENGTH: Final = 255
MAX_TAG_LENGTH: Final = 128
MAX_PORT: Final = 65535
DEFAULT_DOMAIN: Final = "docker.io"
DEFAULT_TAG: Final = "latest"

_LEGACY_DOMAIN: Final = "index.docker.io"
_LOCALHOST: Final = "localhost"
_OFFICIAL: Final = "library/"

_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST: Final = rf"{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\]"
_DOMAIN: Final = re.compile(rf"(?:{_HOST})(?::([0-9]+))?", re.ASCII)
_COMPONENT: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_IDENTIFIER: Final = re.compile(r"[a-f0-9]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The full, normalised name of an image: where it is, and which of its versions.

    Attributes:
        domain: Host, with its port if one was given, such as `docker.io` or `[::1]:5000`.
        path: The repository within the registry, such as `library/debian`.
        tag: A name that may move, or None.
        digest: What the reference is pinned to, or None. Where both are given the digest decides.

    Raises:
        InvalidReferenceError: A part breaks the grammar or its limit, or is not normalised.
    """

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    def __post_init__(self) -> None:
        """Refuse what `parse` would not give back."""
        _check_domain(self.domain)
        _check_path(self.path)
        if self.tag is not None:
            _check_tag(self.tag)
        if _split_domain(self.name) != (self.domain, self.path):
            raise InvalidReferenceError(f"{self.name!r} is not in its normalised form")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference as people write it, and normalise it as Docker does.

        Args:
            text: Such as `debian`, `quay.io/org/app:1.2` or `debian:12@sha256:…`.

        Raises:
            InvalidReferenceError: The text is no reference, or could as well be an image ID.
        """
        if len(text) > MAX_REFERENCE_LENGTH:
            raise InvalidReferenceError(
                f"reference {text[:50]!r}… is longer than {MAX_REFERENCE_LENGTH} characters"
            )
        if _IDENTIFIER.fullmatch(text):
            raise InvalidReferenceError(
                f"{text!r} is an image ID, not a reference", hint="give a name, such as debian:12"
            )
        name, at, digest = text.partition("@")
        name, tag = _split_tag(name)
        domain, path = _split_domain(name)
        return cls(domain=domain, path=path, tag=tag, digest=_digest(digest) if at else None)

    @property
    def name(self) -> str:
        """Domain and path, such as `docker.io/library/debian`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar(self) -> str:
        """The shortest text that `parse` reads as this very reference, such as `debian:12`."""
        return _familiar_name(self.domain, self.path, bare=not self._suffix) + self._suffix

    @property
    def _suffix(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        return tag if self.digest is None else f"{tag}@{self.digest}"

    def __str__(self) -> str:
        return self.name + self._suffix

    def with_default_tag(self) -> Self:
        """This reference, with the tag `latest` where it has neither tag nor digest."""
        if self.tag is None and self.digest is None:
            return self.with_tag(DEFAULT_TAG)
        return self

    def with_tag(self, tag: str | None) -> Self:
        """This reference with another tag, or without one; the digest stays.

        Raises:
            InvalidReferenceError: The text is no tag.
        """
        return replace(self, tag=tag)

    def with_digest(self, digest: Digest | None) -> Self:
        """This reference with another digest, or without one; the tag stays."""
        return replace(self, digest=digest)


def _split_tag(text: str) -> tuple[str, str | None]:
    """Separate a tag, which follows the last colon unless that belongs to a domain."""
    slash = text.rfind("/")
    colon = text.find(":", slash + 1)
    return (text, None) if colon < 0 else (text[:colon], text[colon + 1 :])


def _split_domain(name: str) -> tuple[str, str]:
    """Separate domain and path, both normalised."""
    first, slash, rest = name.partition("/")
    if not slash:
        return DEFAULT_DOMAIN, _OFFICIAL + name
    if not _is_domain(first):
        return DEFAULT_DOMAIN, name
    domain = DEFAULT_DOMAIN if first == _LEGACY_DOMAIN else first
    if domain == DEFAULT_DOMAIN and "/" not in rest:
        rest = _OFFICIAL + rest
    return domain, rest


def _is_domain(first: str) -> bool:
    return first == _LOCALHOST or "." in first or ":" in first or first != first.lower()


def _familiar_name(domain: str, path: str, *, bare: bool) -> str:
    if domain != DEFAULT_DOMAIN:
        return f"{domain}/{path}"
    short = path.removeprefix(_OFFICIAL)
    if short != path and "/" not in short:
        # Sixty-four hexadecimal digits alone would be taken for an image ID.
        return path if bare and _IDENTIFIER.fullmatch(short) else short
    return f"{domain}/{path}" if _is_domain(path.partition("/")[0]) else path


def _check_domain(domain: str) -> None:
    if len(domain) > MAX_DOMAIN_LENGTH:
        raise InvalidReferenceError(
            f"domain {domain[:50]!r}… is longer than {MAX_DOMAIN_LENGTH} characters"
        )
    match = _DOMAIN.fullmatch(domain)
    if match is None:
        hint = "leave out the scheme" if domain.endswith(":") else None
        raise InvalidReferenceError(f"{domain!r} is no registry host", hint=hint)
    if match[1] is not None and int(match[1]) > MAX_PORT:
        raise InvalidReferenceError(f"port of {domain!r} is above {MAX_PORT}")


def _check_path(path: str) -> None:
    if len(path) > MAX_PATH_LENGTH:
        raise InvalidReferenceError(
            f"repository {path[:50]!r}… is longer than {MAX_PATH_LENGTH} characters"
        )
    if _PATH.fullmatch(path) is None:
        hint = f"write {path.lower()}" if _PATH.fullmatch(path.lower()) else None
        raise InvalidReferenceError(f"{path!r} is no repository name", hint=hint)


def _check_tag(tag: str) -> None:
    if len(tag) > MAX_TAG_LENGTH:
        raise InvalidReferenceError(f"tag {tag[:50]!r}… is longer than {MAX_TAG_LENGTH} characters")
    if _TAG.fullmatch(tag) is None:
        raise InvalidReferenceError(f"{tag!r} is no tag")


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except InvalidDigestError as error:
        raise InvalidReferenceError(str(error)) from error
