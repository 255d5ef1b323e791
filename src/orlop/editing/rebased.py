"""The config of an image that has got another base: merged of three.

What the image has as its old base had it came from there, and is taken from the new base. What it
has otherwise is its own, and stays. Variables, labels, ports and volumes are judged one by one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from orlop.errors import InvalidError
from orlop.spec.container import ContainerConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orlop.spec.config import ImageConfig

_T = TypeVar("_T")
_V = TypeVar("_V")


def rebase_config(mine: ImageConfig, old: ImageConfig, new: ImageConfig) -> ImageConfig:
    """The config on the new base, but for layers, history and time.

    Raises:
        InvalidError: The new base is for another platform than the image.
    """
    ours, theirs = mine.platform.normalized(), new.platform.normalized()
    if (ours.os, ours.architecture, ours.variant) != (
        theirs.os, theirs.architecture, theirs.variant,
    ):  # fmt: skip
        raise InvalidError(
            f"the new base is for {new.platform}, and the image for {mine.platform}",
            hint="name a base for the same platform",
        )
    platform = replace(
        mine.platform,
        os_version=_pick(mine.platform.os_version, old.platform.os_version,
                         new.platform.os_version),
        os_features=_pick(mine.platform.os_features, old.platform.os_features,
                          new.platform.os_features),
    )  # fmt: skip
    container = _container(
        mine.config or ContainerConfig(),
        old.config or ContainerConfig(),
        new.config or ContainerConfig(),
    )
    empty = mine.config is None and container == ContainerConfig()
    return replace(
        mine,
        platform=platform,
        author=_pick(mine.author, old.author, new.author),
        config=None if empty else container,
        extra=_merge(mine.extra, old.extra, new.extra),
    )


def _container(
    mine: ContainerConfig, old: ContainerConfig, new: ContainerConfig
) -> ContainerConfig:
    return replace(
        mine,
        user=_pick(mine.user, old.user, new.user),
        exposed_ports=_names(mine.exposed_ports, old.exposed_ports, new.exposed_ports),
        env=_env(mine.env, old.env, new.env),
        entrypoint=_pick(mine.entrypoint, old.entrypoint, new.entrypoint),
        cmd=_pick(mine.cmd, old.cmd, new.cmd),
        volumes=_names(mine.volumes, old.volumes, new.volumes),
        working_dir=_pick(mine.working_dir, old.working_dir, new.working_dir),
        labels=_merge(mine.labels, old.labels, new.labels),
        stop_signal=_pick(mine.stop_signal, old.stop_signal, new.stop_signal),
        healthcheck=_pick(mine.healthcheck, old.healthcheck, new.healthcheck),
        extra=_merge(mine.extra, old.extra, new.extra),
    )


def _pick(mine: _T, old: _T, new: _T) -> _T:
    return new if mine == old else mine


def _merge(mine: Mapping[str, _V], old: Mapping[str, _V], new: Mapping[str, _V]) -> dict[str, _V]:
    """What the new base has but where the image differs from the old one, then its own."""
    own = {key: value for key, value in mine.items() if key not in old or value != old[key]}
    removed = old.keys() - mine.keys()
    found = {key: own.get(key, value) for key, value in new.items() if key not in removed}
    return found | own


def _names(mine: Iterable[str], old: Iterable[str], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(_merge(*(dict.fromkeys(each, "") for each in (mine, old, new))))


def _env(mine: Iterable[str], old: Iterable[str], new: Iterable[str]) -> tuple[str, ...]:
    """Variables by name; how each is written stays."""
    found = _merge(*({word.partition("=")[0]: word for word in each} for each in (mine, old, new)))
    return tuple(found.values())
