"""Places that a container mounts at, made where the image has none.

A runtime makes them itself, in whatever is the container's root: so they would be told of as
changes of the container, and a root that takes no writes would lack them. They are made here, by
handle, as a process sees them that is rooted there; `forget_targets` removes those that are still
empty before a container is looked at.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop._sys.handle import Fd
from orlop._sys.openat2 import open_in_root
from orlop.errors import UnsafePathError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orlop.spec.runtime import RuntimeSpec


def mount_targets(spec: RuntimeSpec) -> list[tuple[str, bool]]:
    """The places that a container mounts at, and whether each is a file.

    What lies below another mount is not there until that is, and is left to the runtime.
    """
    found: list[tuple[str, bool]] = []
    for mount in spec.mounts:
        place = os.path.normpath(str(mount.get("destination")))
        if place == "/" or any(place.startswith(f"{above}/") for above, _ in found):
            continue
        found.append((place, _is_file(mount)))
    return found


def _is_file(mount: dict[str, object]) -> bool:
    options = mount.get("options")
    kinds = {"bind", "rbind"}
    bound = mount.get("type") == "bind" or (isinstance(options, list) and kinds & {*options})
    source = mount.get("source")
    return bool(bound) and isinstance(source, str) and not os.path.isdir(source)


def make_targets(
    root: int, targets: Iterable[tuple[str, bool]], owner: tuple[int, int] | None = None
) -> list[str]:
    """Make the places that are missing, and return all that were made, parents first.

    Args:
        root: A handle of the container's root directory.
        targets: As `mount_targets` gives them.
        owner: User and group of what is made; those of this process where None.

    Raises:
        UnsafePathError: A link leads nowhere, where something has to be made.
        OSError: It cannot be made.
    """
    made = []
    for place, is_file in targets:
        for path in _missing(root, place):
            _make(root, path, owner, is_file=is_file and path == place)
            made.append(path)
    return made


def missing_targets(root: int, targets: Iterable[tuple[str, bool]]) -> list[str]:
    """What `make_targets` would make, parents first.

    Raises:
        UnsafePathError: A link leads nowhere, where something would have to be made.
        OSError: It cannot be looked at.
    """
    found = (path for place, _ in targets for path in _missing(root, place))
    return list(dict.fromkeys(found))


def _missing(root: int, place: str) -> Iterator[str]:
    path = ""
    for name in place.strip("/").split("/"):
        path = f"{path}/{name}"
        try:
            os.close(open_in_root(root, os.fsencode(path), os.O_PATH))
        except FileNotFoundError:
            yield path
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                raise
            raise UnsafePathError("cannot be a place to mount at", where=path) from None


def _make(root: int, path: str, owner: tuple[int, int] | None, *, is_file: bool) -> None:
    above, _, name = path.rpartition("/")
    flags = os.O_RDONLY | os.O_DIRECTORY
    with Fd(open_in_root(root, os.fsencode(above or "/"), flags)) as parent:
        before = os.fstat(parent.fileno())
        try:
            if is_file:
                create = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with Fd(os.open(name, create, 0o644, dir_fd=parent.fileno())) as file:
                    os.fchmod(file.fileno(), 0o644)
            else:
                os.mkdir(name, 0o755, dir_fd=parent.fileno())
                os.chmod(name, 0o755, dir_fd=parent.fileno())  # noqa: S103 - for all users
        except FileExistsError:
            raise UnsafePathError("is a link that leads nowhere", where=path) from None
        if owner is not None:
            os.chown(name, *owner, dir_fd=parent.fileno(), follow_symlinks=False)
        times = before.st_atime_ns, before.st_mtime_ns
        os.utime(parent.fileno(), ns=times)


@dataclass(frozen=True, slots=True)
class Target:
    """A place that was made for a mount, as it was.

    Attributes:
        path: Where it is.
        is_file: Whether it is a file, and no directory.
        owner: Its user and group.
    """

    path: str
    is_file: bool
    owner: tuple[int, int]


def forget_targets(root: int, made: Sequence[str]) -> list[Target]:
    """Remove the places that were made for mounts and are empty still; which, parents first.

    Args:
        root: A handle of the container's root directory.
        made: As `make_targets` gave them.
    """
    gone: list[Target] = []
    for path in reversed(made):
        above, _, name = path.rpartition("/")
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY
            with Fd(open_in_root(root, os.fsencode(above or "/"), flags)) as parent:
                before = os.fstat(parent.fileno())
                target = _remove(parent.fileno(), name, path)
                os.utime(parent.fileno(), ns=(before.st_atime_ns, before.st_mtime_ns))
        except OSError:
            continue  # It is not there, or not empty: it is the container's own by now.
        if target is not None:
            gone.insert(0, target)
    return gone


def restore_targets(root: int, gone: Iterable[Target]) -> None:
    """Make the places again that were removed, unless a runtime has done so meanwhile.

    Raises:
        OSError: One cannot be made.
    """
    for target in gone:
        with suppress(UnsafePathError):
            _make(root, target.path, target.owner, is_file=target.is_file)


def _remove(parent: int, name: str, path: str) -> Target | None:
    found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    owner = found.st_uid, found.st_gid
    if stat.S_ISDIR(found.st_mode):
        os.rmdir(name, dir_fd=parent)
        return Target(path, is_file=False, owner=owner)
    if stat.S_ISREG(found.st_mode) and not found.st_size:
        os.unlink(name, dir_fd=parent)
        return Target(path, is_file=True, owner=owner)
    return None
