"""The credentials that other tools have left on a machine.

Each file is asked in turn: its credential helper for the registry, its helper for all registries,
then the file itself. The first that knows the registry decides.

    REGISTRY_AUTH_FILE                          alone, when it is set
    XDG_RUNTIME_DIR/containers/auth.json        written by `podman login` and `skopeo login`
    XDG_CONFIG_HOME/containers/auth.json        ~/.config by default
    DOCKER_CONFIG/config.json                   ~/.docker by default; `docker login`
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orlop.registry.authfile import AuthFile
from orlop.registry.helper import HELPER_TIMEOUT, ask_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orlop.registry.credential import Credential


class Keychain:
    """Credentials from files and credential helpers; a `CredentialStore`.

    Files are read when a registry asks, and again when it refuses.

    Args:
        paths: The files, the first one first; a missing one is passed over.
        environ: The environment of credential helpers.
        helper_timeout: Seconds that a helper may take.
    """

    __slots__ = ("_environ", "_helper_timeout", "_paths")

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        environ: Mapping[str, str],
        helper_timeout: float = HELPER_TIMEOUT,
    ) -> None:
        self._paths = tuple(paths)
        self._environ = dict(environ)
        self._helper_timeout = helper_timeout

    @classmethod
    def of(cls, environ: Mapping[str, str], home: Path) -> Keychain:
        """The keychain of a user.

        Args:
            environ: The user's environment.
            home: The user's home directory.
        """
        return cls(auth_paths(environ, home), environ=environ)

    @property
    def places(self) -> Sequence[str]:
        """The files, whether they exist or not."""
        return tuple(str(path) for path in self._paths)

    def find(self, domain: str, repository: str) -> Credential | None:
        """The credential for a repository of a registry, None where there is none.

        Raises:
            InvalidDocumentError: A file cannot be understood; the message names it.
            AuthError: A credential helper is missing or fails.
            OSError: A file cannot be read.
        """
        for path in self._paths:
            file = AuthFile.read(path)
            if file is not None and (found := self._ask(file, domain, repository)) is not None:
                return found
        return None

    def _ask(self, file: AuthFile, domain: str, repository: str) -> Credential | None:
        helper = file.helper(domain, repository)
        if helper is not None:
            name, registry = helper
            found = ask_helper(name, registry, self._environ, self._helper_timeout)
            if found is not None:
                return found
        return file.credential(domain, repository)


def auth_paths(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Where a user's credentials may lie, in the order in which they count."""
    if explicit := environ.get("REGISTRY_AUTH_FILE"):
        return (Path(explicit),)
    runtime = environ.get("XDG_RUNTIME_DIR")
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    docker = Path(environ.get("DOCKER_CONFIG") or home / ".docker")
    found = [Path(runtime) / "containers" / "auth.json"] if runtime else []
    return (*found, config / "containers" / "auth.json", docker / "config.json")
