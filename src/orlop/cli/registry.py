"""The options that say how registries are reached."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from orlop.cli.parameter import Parameter

if TYPE_CHECKING:
    from orlop.transfer import SourceOptions


@dataclass(frozen=True, kw_only=True)
class RegistryFlags:
    """How registries are reached.

    Attributes:
        plain_http: Speak HTTP without encryption to any registry, not to loopback alone.
        insecure: Accept any certificate of a registry.
        ca_file: Certificates (PEM) to trust beside the system's.
        cert_file: Certificate (PEM) to show to the registry.
        key_file: Its private key (PEM).
        auth_file: Credentials, in the form of Docker's config.json or containers' auth.json.
    """

    plain_http: Annotated[bool, Parameter(negative="")] = False
    insecure: Annotated[bool, Parameter(negative="")] = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    auth_file: Path | None = None

    def options_for(self, source: str) -> SourceOptions:
        """How the source is reached: the options, and what the environment says of proxies."""
        from orlop.transfer import SourceOptions, is_local

        if is_local(source):
            return SourceOptions()
        from orlop.registry import Keychain, RegistryOptions

        environ = dict(os.environ)
        auth = self.auth_file
        keychain = Keychain([auth], environ=environ) if auth else Keychain.of(environ, _home())
        return SourceOptions(
            registry=RegistryOptions(
                plain_http=True if self.plain_http else None,
                insecure=self.insecure,
                ca_file=self.ca_file,
                client_cert=self.cert_file,
                client_key=self.key_file,
                environ=environ,
            ),
            credentials=keychain,
        )


DEFAULT_FLAGS: Final = RegistryFlags()
"""Those of a command that was given none."""


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user whom the machine does not know, with a process in a container
        return Path("/")
