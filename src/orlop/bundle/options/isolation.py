"""What a container shares with the machine, and what it may do."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Final

from orlop.bundle.host import CAPABILITIES
from orlop.errors import InvalidError
from orlop.idmap import IdMapping, encode_ranges
from orlop.spec.runtime.defaults import CAPABILITY_SETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orlop.bundle.options.option import SpecOption
    from orlop.spec.runtime import RuntimeSpec

NETWORK_FILES: Final = ("/etc/resolv.conf", "/etc/hosts")
"""What a container needs of the machine to find others in its network."""

_OWNED: Final = ("gid=", "uid=")


def host_network(files: Iterable[str] = NETWORK_FILES) -> SpecOption:
    """Let the container use the machine's network, and find its names as the machine does.

    Args:
        files: Files of the machine that the container sees, read-only; those that are not there
            are left out.
    """
    shown = [path for path in files if os.path.isfile(path)]

    def apply(spec: RuntimeSpec) -> None:
        spec.drop_namespace("network")
        for path in shown:
            source = os.path.realpath(path)
            spec.add_mount(path, "bind", source, ("bind", "ro", "nosuid", "nodev", "noexec"))

    return apply


def namespace(kind: str, path: str | None = None, *, shared: bool = False) -> SpecOption:
    """Give the container a namespace of its own, or one that is there already.

    Args:
        kind: `pid`, `network`, `ipc`, `uts`, `mount`, `cgroup`, `user` or `time`.
        path: An existing one, such as `/run/netns/blue`.
        shared: The runtime's own instead.

    Raises:
        InvalidError: A container without a mount namespace would mount on the machine.
    """
    if shared and kind == "mount":
        raise InvalidError("a container has a mount namespace, or it mounts on the machine itself")

    def apply(spec: RuntimeSpec) -> None:
        if not shared:
            spec.add_namespace(kind, path)
            return
        spec.drop_namespace(kind)
        if kind == "uts":
            spec.remove("hostname")

    return apply


def user_namespace(mapping: IdMapping) -> SpecOption:
    """Let ids of the container be others of the machine."""

    def apply(spec: RuntimeSpec) -> None:
        spec.add_namespace("user")
        linux = spec.section("linux")
        linux["uidMappings"] = encode_ranges(mapping.uids, "runtime")
        linux["gidMappings"] = encode_ranges(mapping.gids, "runtime")

    return apply


def rootless(uid: int | None = None, gid: int | None = None) -> SpecOption:
    """Ask for nothing that a user without privilege cannot have.

    The container's root is that user; there are no limits on resources, no devices of the machine
    and no network but the machine's, and `/sys` is the machine's, read-only.

    Args:
        uid: Who starts the container; this process's user where None.
        gid: Its group, likewise.
    """
    own = IdMapping.parse(
        [f"0:{os.geteuid() if uid is None else uid}:1"],
        [f"0:{os.getegid() if gid is None else gid}:1"],
    )

    def apply(spec: RuntimeSpec) -> None:
        user_namespace(own)(spec)
        host_network()(spec)
        spec.drop_namespace("cgroup")
        spec.remove("linux", "resources")
        spec.remove("linux", "devices")
        spec.remove("linux", "cgroupsPath")
        for each in spec.mounts:
            options = each.get("options")
            if isinstance(options, list):
                each["options"] = [one for one in options if not one.startswith(_OWNED)]
        for path in [str(each.get("destination")) for each in spec.mounts]:
            if path.startswith("/sys/"):
                spec.drop_mount(path)
        spec.add_mount("/sys", "none", "/sys", ("rbind", "nosuid", "noexec", "nodev", "ro"))

    return apply


def read_only(*, tmp: bool = False) -> SpecOption:
    """Let the container write to nothing but what is mounted in it.

    Args:
        tmp: Give it filesystems in memory at /run, /tmp and /var/tmp.
    """

    def apply(spec: RuntimeSpec) -> None:
        spec.section("root")["readonly"] = True
        for path in ("/run", "/tmp", "/var/tmp") if tmp else ():  # noqa: S108 - the container's
            if spec.mount_at(path) is None:
                options = ("nosuid", "nodev", "mode=1777", "tmpcopyup")
                spec.add_mount(path, "tmpfs", "tmpfs", options)

    return apply


def add_capabilities(*names: str) -> SpecOption:
    """Give the process more capabilities; `ALL` for all that this process could give.

    Args:
        names: Such as `CAP_NET_ADMIN` or `net_admin`.

    Raises:
        InvalidError: The kernel has no such capability.
    """
    wanted = _capabilities(names)

    def apply(spec: RuntimeSpec) -> None:
        for kind in CAPABILITY_SETS:
            found = spec.texts("process", "capabilities", kind)
            found[:] = sorted({*found, *wanted})

    return apply


def drop_capabilities(*names: str) -> SpecOption:
    """Take capabilities away from the process; `ALL` for all.

    Raises:
        InvalidError: The kernel has no such capability.
    """
    wanted = _capabilities(names)

    def apply(spec: RuntimeSpec) -> None:
        for kind in spec.section("process", "capabilities"):
            found = spec.texts("process", "capabilities", kind)
            found[:] = [each for each in found if each not in wanted]

    return apply


def _capabilities(names: Iterable[str]) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        word = name.upper()
        if word == "ALL":
            found += CAPABILITIES
            continue
        word = word if word.startswith("CAP_") else f"CAP_{word}"
        if word not in CAPABILITIES:
            raise InvalidError(f"{name[:40]!r} is no capability", hint="such as CAP_NET_ADMIN")
        found.append(word)
    return tuple(found)


def privileges(*, gain: bool) -> SpecOption:
    """Say whether set-user-id programs and file capabilities work; by default they do not."""

    def apply(spec: RuntimeSpec) -> None:
        spec.section("process")["noNewPrivileges"] = not gain

    return apply


def seccomp(profile: Mapping[str, object]) -> SpecOption:
    """Filter the system calls of the container.

    Args:
        profile: As the `seccomp` object of the runtime-spec has it, which is not that of Docker's
            profiles.

    Raises:
        InvalidError: It says nothing of what happens by default.
    """
    if not isinstance(profile.get("defaultAction"), str):
        raise InvalidError("a seccomp profile needs a default action", where="$.defaultAction")
    document = copy.deepcopy(dict(profile))

    def apply(spec: RuntimeSpec) -> None:
        spec.section("linux")["seccomp"] = copy.deepcopy(document)

    return apply


def cgroups_path(path: str) -> SpecOption:
    """Put the container into a control group of this path, which the runtime makes."""

    def apply(spec: RuntimeSpec) -> None:
        spec.section("linux")["cgroupsPath"] = path

    return apply
