"""What this machine can mount, and why not, found out by trying.

EROFS is tried on the filesystem that the store is on, because that decides: a tiny image with one
device is mounted detached and its file is read. A trial takes less than a millisecond without and
a few with loop devices, and leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import Fd, call
from orlop._sys.mount import FsContext
from orlop._sys.mountinfo import iter_mounts
from orlop._sys.process import CAP_SYS_ADMIN, has_capability, in_initial_user_namespace
from orlop.drivers.erofs import mount_erofs
from orlop.errors import OrlopError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.drivers.mounts import Place

_STATFS_SIZE: Final = 256
_OVERLAYFS: Final = 0x794C7630  # the first member of struct statfs
PROBE_PREFIX: Final = ".probe-"
"""How the names of the directories begin in which something is tried.

Whoever tries holds a shared flock on the directory above, so that what was killed can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Whether something works here.

    Attributes:
        works: Yes or no.
        reason: How that was found out, or why it does not work; one line.
    """

    works: bool
    reason: str

    def __bool__(self) -> bool:
        return self.works


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What this machine can do for a store in one directory.

    Attributes:
        kernel: The kernel's release, such as `6.18.2-amd64`.
        mount: This process may mount.
        user_namespaces: Processes without privilege may make user namespaces.
        erofs: The kernel has EROFS.
        erofs_file: It mounts 512-byte blocks and a device table from plain files of the store.
        erofs_loop: It mounts the same through loop devices.
        overlay: The kernel has overlay.
        overlay_lowers: It takes the layers of an overlay one by one, hundreds of them.
    """

    kernel: str
    mount: Capability
    user_namespaces: Capability
    erofs: Capability
    erofs_file: Capability
    erofs_loop: Capability
    overlay: Capability
    overlay_lowers: Capability

    @property
    def mounts_erofs(self) -> bool:
        """Whether `mount_erofs` works in the store, by one way or the other."""
        return self.erofs_file.works or self.erofs_loop.works

    def __iter__(self) -> Iterator[tuple[str, Capability]]:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Capability):
                yield field.name, value

    def encode(self) -> dict[str, object]:
        """The same as plain values for JSON."""
        found: dict[str, object] = {"kernel": self.kernel}
        for name, capability in self:
            found[name] = {"works": capability.works, "reason": capability.reason}
        return found

    def __str__(self) -> str:
        lines = [f"{'kernel':16}{self.kernel}"]
        for name, capability in self:
            word = "yes" if capability.works else "no"
            lines.append(f"{name.replace('_', ' '):16}{word:5}{capability.reason}")
        return "\n".join(lines)


def probe(directory: Place) -> Capabilities:
    """Find out what works here for a store in `directory`.

    Args:
        directory: An existing directory on the store's filesystem, where a small temporary
            directory is made and removed; where nothing can be written, that is the reason why
            EROFS could not be tried.
    """
    return Capabilities(
        kernel=os.uname().release,
        mount=_probe_privilege(),
        user_namespaces=_probe_user_namespaces(),
        erofs=_probe_filesystem("erofs"),
        erofs_file=_try_erofs(directory, loop=False),
        erofs_loop=_try_erofs(directory, loop=True),
        overlay=_probe_filesystem("overlay"),
        overlay_lowers=_probe_lowers(),
    )


def _try_erofs(directory: Place, *, loop: bool) -> Capability:
    try:
        return probe_erofs(directory, loop=loop)
    except OSError as error:
        return Capability(works=False, reason=f"cannot be tried: {error.strerror or error}")


def probe_erofs(directory: Place, *, loop: bool) -> Capability:
    """Find out whether images in `directory` can be mounted, by mounting one.

    Args:
        directory: An existing directory, where a small temporary directory is made and removed.
        loop: Through loop devices, rather than from plain files.

    Raises:
        OSError: Nothing can be written there.
    """
    from orlop.drivers.tiny import CONTENT, FILE_NAME, tiny_image

    with _trial(directory) as name:
        image, device = Path(name, "image"), Path(name, "device")
        image.write_bytes(tiny_image())
        device.write_bytes(CONTENT)
        try:
            with mount_erofs(image, [device], loop=loop) as mount:
                found = (mount.path / FILE_NAME).read_bytes()
        except (OrlopError, OSError) as error:
            return Capability(works=False, reason=str(error).replace(f"{name}{os.sep}", ""))
    if found != CONTENT:
        return Capability(works=False, reason="a file read through the mount was not what it is")
    return Capability(works=True, reason="mounted and read")


def mounts_erofs_already(directory: Place) -> bool:
    """Whether an EROFS image of this directory is mounted now, which proves that one can be."""
    folder = os.path.join(os.fsencode(directory), b"")
    return any(
        mount.fstype == "erofs" and mount.source.startswith(folder)
        for mount in iter_mounts(naming=folder)
    )


def lies_on_overlay(directory: Place) -> bool:
    """Whether a directory is on an overlay, as in most containers: no other one can write to it.

    Raises:
        OSError: It cannot be looked at.
    """
    buffer = ctypes.create_string_buffer(_STATFS_SIZE)
    call("statfs", os.fsencode(directory), buffer, path=directory)
    return int(ctypes.c_long.from_buffer(buffer).value) == _OVERLAYFS


@contextmanager
def _trial(directory: Place) -> Iterator[str]:
    """A temporary directory, and a shared lock on the one that it lies in as long as it does."""
    import tempfile

    with Fd(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as parent:
        fcntl.flock(parent.fileno(), fcntl.LOCK_SH)
        with tempfile.TemporaryDirectory(prefix=PROBE_PREFIX, dir=directory) as name:
            yield name


def are_trials_over(directory: Place) -> bool:
    """Whether nothing is tried in a directory just now: what trials there were have been killed."""
    with Fd(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as parent:
        try:
            fcntl.flock(parent.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _probe_privilege() -> Capability:
    if not has_capability(CAP_SYS_ADMIN):
        return Capability(works=False, reason="this process has no CAP_SYS_ADMIN")
    if not in_initial_user_namespace():
        return Capability(works=True, reason="CAP_SYS_ADMIN in a user namespace: overlay, no EROFS")
    return Capability(works=True, reason="CAP_SYS_ADMIN")


def _probe_user_namespaces() -> Capability:
    for path, off in (
        ("/proc/sys/user/max_user_namespaces", "0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
    ):
        try:
            value = Path(path).read_text().strip()
        except OSError:
            continue
        if value == off:
            return Capability(works=False, reason=f"{path} is {off}")
    if not os.path.exists("/proc/self/ns/user"):
        return Capability(works=False, reason="the kernel has none")
    return Capability(works=True, reason="not switched off")


def _probe_filesystem(name: str) -> Capability:
    known = [line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()]
    if name in known:
        return Capability(works=True, reason="in /proc/filesystems")
    try:
        FsContext(name).close()  # which loads the kernel's module
    except OSError as error:
        return Capability(works=False, reason=str(error))
    return Capability(works=True, reason="loaded as a module")


def _probe_lowers() -> Capability:
    try:
        with FsContext("overlay") as context:
            context.string("lowerdir+", "/")
    except OSError as error:
        return Capability(works=False, reason=str(error))
    return Capability(works=True, reason="the kernel knows lowerdir+")
