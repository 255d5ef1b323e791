"""How an image is to be run, as whoever boots its disks has to know it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from orlop.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.spec.container import ContainerConfig

_TUPLES = frozenset({"entrypoint", "cmd", "env", "exposed_ports", "volumes"})
_MAPS = frozenset({"labels", "healthcheck"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OCIConfig:
    """The defaults of a container, out of the image's config; what is not given is empty.

    Attributes:
        user: `user` or `uid`, and either followed by `:group` or `:gid`; empty for root.
        working_dir: Where the command starts; empty for the root directory.
        entrypoint: The command and its first arguments.
        cmd: What follows the entrypoint, or the command where there is none.
        env: `NAME=value` in the image's order, as written: `=` may be missing.
        labels: Notes by key.
        exposed_ports: `port`, `port/tcp` or `port/udp`.
        volumes: Directories that are written to.
        stop_signal: Such as `SIGTERM`; empty where none is given.
        healthcheck: Docker's health check, as it is written; empty where there is none.

    Spec: image-spec v1.1, config.md, "Properties".
    """

    user: str = ""
    working_dir: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Mapping[str, object] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, config: ContainerConfig | None) -> Self:
        """What an image's config says."""
        if config is None:
            return cls()
        return cls(
            user=config.user,
            working_dir=config.working_dir,
            entrypoint=config.entrypoint,
            cmd=config.cmd,
            env=config.env,
            labels=dict(config.labels),
            exposed_ports=config.exposed_ports,
            volumes=config.volumes,
            stop_signal=config.stop_signal,
            healthcheck=dict(config.healthcheck or {}),
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment by name; of a name that comes twice the last one counts."""
        pairs = (each.partition("=") for each in self.env)
        return {name: value for name, _, value in pairs}

    def encode(self) -> dict[str, object]:
        """The fields as JSON has them; what is empty is left out."""
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: list(value) if name in _TUPLES else value for name, value in values if value}

    @classmethod
    def decode(cls, found: object) -> Self:
        """What `encode` gave; fields that are not known are passed over.

        Raises:
            MetadataError: It is something else.
        """
        if not isinstance(found, dict):
            raise MetadataError("the config of an image is no object")
        values: dict[str, Any] = {}
        for each in fields(cls):
            value = found.get(each.name)
            if value is None:
                continue
            if each.name in _TUPLES:
                if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
                    raise MetadataError(f"{each.name} of an image's config is no list of texts")
                values[each.name] = tuple(value)
            elif isinstance(value, dict if each.name in _MAPS else str):
                values[each.name] = value
            else:
                raise MetadataError(f"{each.name} of an image's config is of another type")
        if not all(isinstance(x, str) for x in values.get("labels", {}).values()):
            raise MetadataError("labels of an image's config are no texts")
        return cls(**values)
