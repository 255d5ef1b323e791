"""Where the API of a registry is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from orlop.registry.origin import Origin, is_loopback

if TYPE_CHECKING:
    from orlop.reference import Reference

DOCKER_HUB: Final = "docker.io"
_DOCKER_HUB_HOST: Final = "registry-1.docker.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One repository at one registry.

    Args:
        domain: The registry as references name it.
        repository: The path of the repository there.
        origin: Where requests go, and the only place where the domain's credentials go.
    """

    domain: str
    repository: str
    origin: Origin

    @classmethod
    def of(cls, reference: Reference, plain_http: bool | None = None) -> Endpoint:
        """The endpoint of a reference's repository.

        Args:
            reference: The image.
            plain_http: Speak http: always, never, or (None) to loopback only.
        """
        host = _DOCKER_HUB_HOST if reference.domain == DOCKER_HUB else reference.domain
        if plain_http is None:
            plain_http = is_loopback(Origin.of(f"https://{host}").host)
        return cls(
            domain=reference.domain,
            repository=reference.path,
            origin=Origin.of(f"{'http' if plain_http else 'https'}://{host}"),
        )

    def manifest_url(self, tag_or_digest: str) -> str:
        """Where a manifest or an index is."""
        return self._url("manifests", tag_or_digest)

    def blob_url(self, digest: str) -> str:
        """Where a blob is."""
        return self._url("blobs", digest)

    @property
    def pull_scope(self) -> str:
        """What a token must allow to pull from the repository."""
        return f"repository:{self.repository}:pull"

    def _url(self, kind: str, name: str) -> str:
        return f"{self.origin}/v2/{quote(self.repository)}/{kind}/{quote(name, safe=':')}"
