"""How a registry client behaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orlop.registry.retry import DEFAULT_RETRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DEFAULT_USER_AGENT: Final = "orlop"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """Everything that a user may want to decide about talking to registries.

    Args:
        plain_http: Speak http instead of https: always, never, or (None) to loopback only.
        insecure: Accept any TLS certificate.
        ca_file: Certificates (PEM) to trust beside the system's.
        client_cert: Certificate (PEM) to show to registries that ask for one; other hosts, be it
            token servers or those that a registry redirects to, do not see it.
        client_key: Private key (PEM) of `client_cert`, where it is not in the same file.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for the next bytes of an answer.
        idle_timeout: Seconds that a blob may take for 128 KiB, waiting on all its connections.
        document_timeout: Seconds that one manifest, token or error message may take in all.
        retries: How often a request is tried again, and how often in a row a broken download
            is taken up again without having moved forward.
        max_connections: Connections to one host that are kept for the next request.
        user_agent: The `User-Agent` header.
        environ: Where `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` (or in lowercase) are looked
            up; nothing else is read from it. Loopback is never reached through a proxy.
        sleep: Waits so many seconds; None waits until `RegistryClient.close` at most.
    """

    plain_http: bool | None = None
    insecure: bool = False
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    idle_timeout: float = 300.0
    document_timeout: float = 120.0
    retries: int = DEFAULT_RETRIES
    max_connections: int = 8
    user_agent: str = DEFAULT_USER_AGENT
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    sleep: Callable[[float], None] | None = None
