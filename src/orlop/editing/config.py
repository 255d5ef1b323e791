"""Edits of an image's config and annotations: pure, from documents to documents."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, get_args

from orlop.editing.values import (
    check_count,
    check_env,
    check_env_name,
    check_moment,
    check_notes,
    check_path,
    check_platform_part,
    check_port,
    check_signal,
    check_text,
    check_user,
    check_volume,
    check_words,
)
from orlop.spec.container import ContainerConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from orlop.platform import Platform
    from orlop.spec.config import ImageConfig

Clearable: TypeAlias = Literal[
    "annotations", "author", "cmd", "entrypoint", "env", "exposed_ports", "healthcheck", "labels",
    "stop_signal", "user", "volumes", "working_dir",
]  # fmt: skip
"""What can be taken away as a whole."""

CLEARABLE: Final[tuple[Clearable, ...]] = get_args(Clearable)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigEdit:
    """What is to be another in a config, and in the annotations of a manifest.

    None leaves a value as it is; an empty text, list or mapping takes it away where it is one
    value. What is cleared is so before anything is set.

    Attributes:
        clear: What is taken away as a whole.
        user: See `ContainerConfig`, as for the next ones.
        env: Variables by name; one that is there keeps its place.
        unset_env: Variables that are taken away.
        entrypoint: The words.
        cmd: The words.
        working_dir: An absolute path.
        labels: More labels, or other values.
        unlabel: Labels that are taken away.
        exposed_ports: More ports.
        unexpose: Ports that are taken away.
        volumes: More volumes.
        remove_volumes: Volumes that are taken away.
        stop_signal: The signal.
        healthcheck: Docker's health check.
        author: Who made the image.
        created: When, as RFC 3339 writes it.
        os: Of the platform, as for the next ones.
        architecture: As Go's GOARCH names it.
        variant: Of the architecture.
        annotations: More annotations of the manifest, or other values.
        remove_annotations: Annotations that are taken away.
    """

    clear: frozenset[str] = frozenset()
    user: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    unset_env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    unlabel: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    unexpose: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    remove_volumes: tuple[str, ...] = ()
    stop_signal: str | None = None
    healthcheck: Mapping[str, object] | None = field(default=None, hash=False)
    author: str | None = None
    created: str | None = None
    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    remove_annotations: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        clear: Iterable[Clearable] = (),
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        unset_env: Iterable[str] = (),
        entrypoint: Sequence[str] | None = None,
        cmd: Sequence[str] | None = None,
        working_dir: str | None = None,
        labels: Mapping[str, str] | None = None,
        unlabel: Iterable[str] = (),
        exposed_ports: Iterable[str] = (),
        unexpose: Iterable[str] = (),
        volumes: Iterable[str] = (),
        remove_volumes: Iterable[str] = (),
        stop_signal: str | None = None,
        healthcheck: Mapping[str, object] | None = None,
        author: str | None = None,
        created: str | datetime | float | None = None,
        os: str | None = None,
        architecture: str | None = None,
        variant: str | None = None,
        annotations: Mapping[str, str] | None = None,
        remove_annotations: Iterable[str] = (),
    ) -> ConfigEdit:
        """The edit that these values mean, each of them checked.

        Raises:
            InvalidError: One of them is none that a config can have.
            ValueError: What is to be cleared is nothing of a config.
        """
        unknown = sorted(set(clear) - set(CLEARABLE))
        if unknown:
            raise ValueError(f"{unknown[0]!r} cannot be cleared: {', '.join(CLEARABLE)} can")
        return cls(
            clear=frozenset(clear),
            user=None if user is None else check_user(user),
            env=check_env(env or {}),
            unset_env=tuple(map(check_env_name, unset_env)),
            entrypoint=None if entrypoint is None else check_words("entrypoint", entrypoint),
            cmd=None if cmd is None else check_words("cmd", cmd),
            working_dir=None if working_dir is None else check_path("working_dir", working_dir),
            labels=check_notes("labels", labels or {}),
            unlabel=check_words("unlabel", unlabel),
            exposed_ports=tuple(map(check_port, exposed_ports)),
            unexpose=check_words("unexpose", unexpose),
            volumes=tuple(map(check_volume, volumes)),
            remove_volumes=check_words("remove_volumes", remove_volumes),
            stop_signal=None if stop_signal is None else check_signal(stop_signal),
            healthcheck=None if healthcheck is None else dict(healthcheck),
            author=None if author is None else check_text("author", author),
            created=None if created is None else check_moment("created", created),
            os=None if os is None else check_platform_part("os", os),
            architecture=None
            if architecture is None
            else check_platform_part("architecture", architecture),
            variant=None
            if variant is None
            else check_platform_part("variant", variant, empty=True),
            annotations=check_notes("annotations", annotations or {}),
            remove_annotations=check_words("remove_annotations", remove_annotations),
        )

    @property
    def nothing(self) -> bool:
        """Whether it changes nothing, whatever it is applied to."""
        return self == ConfigEdit()

    @property
    def annotates(self) -> bool:
        """Whether it sets annotations, which a manifest of Docker's cannot have."""
        return bool(self.annotations)

    def describe(self) -> str:
        """What a history says of it: the fields that it changes, without their values."""
        changed = [each.name for each in fields(self) if getattr(self, each.name) not in _UNSET]
        return f"orlop config {' '.join(changed)}".rstrip()

    def config(self, old: ImageConfig) -> ImageConfig:
        """The edited config, but for its history.

        Raises:
            InvalidError: There are more labels than an image may have.
        """
        author = self._text("author", old.author or "", self.author)
        container = self._container(old.config or ContainerConfig())
        return replace(
            old,
            platform=self._platform(old.platform),
            author=author or None,
            created=self.created or old.created,
            config=container if old.config is not None or container.encode() else None,
        )

    def annotated(self, old: Mapping[str, str]) -> dict[str, str]:
        """The edited annotations of a manifest.

        Raises:
            InvalidError: There are more than an image may have.
        """
        return self._notes("annotations", old, self.annotations, self.remove_annotations)

    def _platform(self, old: Platform) -> Platform:
        architecture = old.architecture if self.architecture is None else self.architecture
        variant = self.variant
        if variant is None:  # One of another architecture means nothing.
            variant = old.variant if architecture == old.architecture else ""
        os = self.os or old.os
        if os == old.os:
            return replace(old, architecture=architecture, variant=variant)
        return replace(
            old, os=os, architecture=architecture, variant=variant, os_version="", os_features=()
        )

    def _container(self, old: ContainerConfig) -> ContainerConfig:
        healthcheck = None if "healthcheck" in self.clear else old.healthcheck
        if self.healthcheck is not None:
            healthcheck = dict(self.healthcheck) or None
        return replace(
            old,
            user=self._text("user", old.user, self.user),
            env=self._env(old.env),
            entrypoint=self._words("entrypoint", old.entrypoint, self.entrypoint),
            cmd=self._words("cmd", old.cmd, self.cmd),
            working_dir=self._text("working_dir", old.working_dir, self.working_dir),
            labels=self._notes("labels", old.labels, self.labels, self.unlabel),
            exposed_ports=self._names(
                "exposed_ports", old.exposed_ports, self.exposed_ports, self.unexpose
            ),
            volumes=self._names("volumes", old.volumes, self.volumes, self.remove_volumes),
            stop_signal=self._text("stop_signal", old.stop_signal, self.stop_signal),
            healthcheck=healthcheck,
        )

    def _text(self, name: str, old: str, new: str | None) -> str:
        if new is not None:
            return new
        return "" if name in self.clear else old

    def _words(
        self, name: str, old: tuple[str, ...], new: tuple[str, ...] | None
    ) -> tuple[str, ...]:
        if new is not None:
            return new
        return () if name in self.clear else old

    def _names(
        self, name: str, old: tuple[str, ...], more: tuple[str, ...], gone: tuple[str, ...]
    ) -> tuple[str, ...]:
        kept = () if name in self.clear else old
        left = [each for each in kept if each not in gone]
        return tuple(sorted({*left, *more})) if more else tuple(left)

    def _notes(
        self, name: str, old: Mapping[str, str], more: Mapping[str, str], gone: tuple[str, ...]
    ) -> dict[str, str]:
        kept = {} if name in self.clear else old
        found = {key: value for key, value in kept.items() if key not in gone} | dict(more)
        if more:
            check_count(name, len(found))
        return found

    def _env(self, old: tuple[str, ...]) -> tuple[str, ...]:
        """The variables in their order; one that is there twice is set in its last place."""
        if "env" in self.clear:
            old = ()
        left = dict(self.env)
        names = {each.partition("=")[0]: at for at, each in enumerate(old)}
        found = []
        for at, each in enumerate(old):
            name = each.partition("=")[0]
            if name in self.unset_env and name not in self.env:
                continue
            if name not in self.env:
                found.append(each)
            elif names[name] == at:
                found.append(f"{name}={left.pop(name)}")
        return (*found, *(f"{name}={value}" for name, value in left.items()))


_UNSET: Final = cast("tuple[object, ...]", (None, (), {}, frozenset()))
