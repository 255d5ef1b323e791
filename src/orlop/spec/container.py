"""How to run a container of an image, unless whoever runs it says otherwise.

Spec: image-spec v1.1, config.md, "config".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from orlop.spec.descriptor import MAX_ANNOTATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.spec.members import Members


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerConfig:
    """The defaults of a container.

    Attributes:
        user: `user`, `uid`, and either followed by `:group` or `:gid`; empty for root.
        exposed_ports: `port`, `port/tcp` or `port/udp`.
        env: `NAME=value`, in order, as they are written: `=` may be missing.
        entrypoint: The command and its first arguments.
        cmd: What follows the entrypoint, or the command where there is none.
        volumes: Directories that are written to.
        working_dir: Where the command starts; empty for the root directory.
        labels: Notes by key.
        stop_signal: Such as `SIGTERM` or `SIGRTMIN+3`; empty where none is given.
        healthcheck: Docker's health check, as it is written.
        extra: Fields that are unknown here, kept for whoever knows them.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    stop_signal: str = ""
    healthcheck: Mapping[str, object] | None = field(default=None, hash=False)
    extra: Mapping[str, object] = field(default_factory=dict, hash=False, repr=False)

    @classmethod
    def decode(cls, members: Members) -> Self:
        """Read the `config` object of an image config.

        Raises:
            InvalidDocumentError: A field is of another type.
            LimitExceededError: A list or map is too long.
        """
        return cls(
            user=members.optional_string("User") or "",
            exposed_ports=members.names("ExposedPorts"),
            env=members.strings("Env"),
            entrypoint=members.strings("Entrypoint"),
            cmd=members.strings("Cmd"),
            volumes=members.names("Volumes"),
            working_dir=members.optional_string("WorkingDir") or "",
            labels=members.string_map("Labels", limit="MAX_ANNOTATIONS", most=MAX_ANNOTATIONS),
            stop_signal=members.optional_string("StopSignal") or "",
            healthcheck=members.mapping("Healthcheck"),
            extra=members.unknown(),
        )

    def encode(self) -> dict[str, object]:
        """The object as JSON, in the specification's order; what is empty is left out."""
        found: dict[str, object] = {
            "User": self.user,
            "ExposedPorts": {name: {} for name in self.exposed_ports},
            "Env": list(self.env),
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "Volumes": {name: {} for name in self.volumes},
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
        }
        found = {name: value for name, value in found.items() if value}
        if self.healthcheck is not None:
            found["Healthcheck"] = dict(self.healthcheck)
        found.update(self.extra)
        return found
