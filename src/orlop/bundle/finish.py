"""The first and last steps to a configuration: what this process can give, and what is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.bundle.host import Host
from orlop.bundle.options.process import merge_env
from orlop.bundle.users import find_user
from orlop.errors import UnsupportedError
from orlop.spec.runtime import DEFAULT_CAPABILITIES, check_runtime, default_spec
from orlop.spec.runtime.defaults import MAX_OPEN_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.bundle.options.option import SpecOption
    from orlop.spec.runtime import RuntimeSpec


def start_spec(options: Iterable[SpecOption], host: Host | None = None) -> RuntimeSpec:
    """The default configuration as this process can give it, changed by options in their order."""
    host = host or Host.current()
    hard = host.hard_limit("RLIMIT_NOFILE")
    spec = default_spec(
        capabilities=host.capabilities.intersection(DEFAULT_CAPABILITIES),
        open_files=MAX_OPEN_FILES if hard is None else min(hard, MAX_OPEN_FILES),
    )
    for option in options:
        option(spec)
    return spec


def finish_spec(spec: RuntimeSpec, root: int, host: Host | None = None) -> None:
    """Look up the user, cut limits to what this process can give, and check everything.

    Args:
        spec: The configuration, which is changed.
        root: A handle of the container's root directory.
        host: Whoever starts the container; this process where None.

    Raises:
        NotFoundError: There is no such user or group in the container.
        UnsupportedError: It asks for capabilities that this process cannot give.
        InvalidDocumentError: It breaks a rule; the error says where.
    """
    host = host or Host.current()
    if spec.user is not None:
        _set_user(spec, root)
    _cut_limits(spec, host)
    _require_capabilities(spec, host)
    _show_sys(spec)
    _drop_empty(spec)
    check_runtime(spec.document)


def _set_user(spec: RuntimeSpec, root: int) -> None:
    assert spec.user is not None
    found = find_user(root, spec.user)
    user = spec.section("process", "user")
    user.update(uid=found.uid, gid=found.gid)
    user.pop("additionalGids", None)
    if found.groups:
        user["additionalGids"] = list(found.groups)
    process = spec.section("process")
    process["env"] = merge_env(spec.texts("process", "env"), [f"HOME={found.home}"])


def _cut_limits(spec: RuntimeSpec, host: Host) -> None:
    for limit in spec.entries("process", "rlimits"):
        most = host.hard_limit(str(limit.get("type")))
        for name in ("soft", "hard"):
            value = limit.get(name)
            if most is not None and isinstance(value, int):
                limit[name] = min(value, most)


def _require_capabilities(spec: RuntimeSpec, host: Host) -> None:
    if spec.namespace("user") is not None:
        return  # Whoever makes one has them all in it.
    sets = spec.section("process", "capabilities")
    wanted = {name for kind in sets for name in spec.texts("process", "capabilities", kind)}
    lacking = sorted(wanted - host.capabilities)
    if lacking:
        raise UnsupportedError(
            f"this process cannot give {', '.join(lacking[:5])}, which it does not have",
            hint="leave it away, or run with more privilege",
        )


def _show_sys(spec: RuntimeSpec) -> None:
    """Show the machine's /sys where the kernel refuses one: only the owner of a network has it."""
    found = spec.mount_at("/sys")
    if found is None or found.get("type") != "sysfs":
        return
    if spec.namespace("user") is not None and spec.namespace("network") is None:
        found.update(
            type="none", source="/sys", options=["rbind", "nosuid", "noexec", "nodev", "ro"]
        )


def _drop_empty(spec: RuntimeSpec) -> None:
    for name in ("annotations", "hooks"):
        if not spec.document.get(name):
            spec.remove(name)
