"""What is mounted in a container, and which devices it has."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from orlop.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.bundle.options.option import SpecOption
    from orlop.spec.runtime import RuntimeSpec


def mount(
    destination: str,
    type: str,  # noqa: A002
    source: str,
    options: Iterable[str] = (),
) -> SpecOption:
    """Mount something in the container, in place of what was to be mounted there.

    Args:
        destination: An absolute path in the container; it is made where it is missing.
        type: Of the filesystem; `bind` for something of the machine.
        source: What.
        options: As mount(8) has them.

    Raises:
        InvalidError: The destination is no absolute path, or the container's root.
    """
    place = os.path.normpath(destination).replace("//", "/")
    if not destination.startswith("/") or place == "/":
        raise InvalidError(
            f"{destination[:100]!r} is no place in the container", hint="give an absolute path"
        )
    wanted = tuple(options)

    def apply(spec: RuntimeSpec) -> None:
        spec.add_mount(place, type, source, wanted)

    return apply


def bind(
    source: str | os.PathLike[str],
    destination: str,
    *,
    read_only: bool = False,
    options: Iterable[str] = (),
) -> SpecOption:
    """Show a directory or file of the machine in the container.

    Args:
        source: It must be there.
        destination: An absolute path in the container; it is made where it is missing.
        read_only: Take no writes.
        options: Further options of the mount, such as `nosuid`.

    Raises:
        NotFoundError: There is no such directory or file.
        InvalidError: The destination is no absolute path.
    """
    path = os.path.abspath(source)
    if not os.path.exists(path):
        raise NotFoundError(f"{path} is not there, and cannot be shown in the container")
    return mount(destination, "bind", path, ("rbind", "ro" if read_only else "rw", *options))


def tmpfs(destination: str, *, size: int | None = None, mode: int = 0o1777) -> SpecOption:
    """Give the container a filesystem in memory.

    Args:
        destination: An absolute path in the container.
        size: Its bytes at most; half of the machine's memory where None.
        mode: Permissions of its root.

    Raises:
        InvalidError: The destination is no absolute path.
    """
    options = ["nosuid", "nodev", f"mode={mode:o}"]
    if size is not None:
        options.append(f"size={size}")
    return mount(destination, "tmpfs", "tmpfs", options)


def device(
    source: str | os.PathLike[str], destination: str | None = None, *, access: str = "rwm"
) -> SpecOption:
    """Give the container a device of the machine.

    Args:
        source: Its node on the machine.
        destination: Where it is in the container; at the same path where None.
        access: What may be done: r for reading, w for writing, m for making nodes.

    Raises:
        InvalidError: It is no device.
        OSError: It is not there.
    """
    path = os.path.abspath(source)
    found = os.stat(path)
    kinds = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}
    kind = kinds.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        raise InvalidError(f"{path} is no device")
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    place = destination or path

    def apply(spec: RuntimeSpec) -> None:
        devices = spec.entries("linux", "devices")
        devices[:] = [each for each in devices if each.get("path") != place]
        devices.append(
            {
                "path": place, "type": kind, "major": major, "minor": minor,
                "fileMode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "gid": found.st_gid,
            }
        )  # fmt: skip
        spec.entries("linux", "resources", "devices").append(
            {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}
        )

    return apply
