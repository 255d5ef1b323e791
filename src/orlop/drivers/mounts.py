"""Mounts as values: made detached, shown at a directory, cloned, and taken away by their id."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from orlop._sys import mount as kernel
from orlop._sys.handle import Fd, HasFileno, fd_path
from orlop._sys.mountinfo import mount_identity
from orlop.drivers.holders import holders_of
from orlop.errors import InUseError, NotFoundError, OrlopError, UnsupportedError

if TYPE_CHECKING:
    from types import TracebackType

Place = str | os.PathLike[str]

PRIVILEGE_HINT: Final = "run as root, or have the image written out as a directory"
_PAUSES: Final = (0.001, 0.004, 0.016, 0.064, 0.25)
"""Seconds between tries to unmount: whoever asks what a mount is uses it for an instant, and so
does a process that another thread is just starting, with all that this one has open."""
UNMOUNTABLE_HINT: Final = "see `orlop info`, or have the image written out as a directory"


class MountHandle:
    """A mount: detached and known to this process alone, or shown at a target.

    A detached mount ends when it is closed. An attached one stays until `unmount`, whatever
    becomes of this object.

    Args:
        fd: The detached mount; it belongs to this object from now on.

    Attributes:
        mount_id: The kernel's unique id of the mount; the same before and after `attach`.
        target: Where it is shown; None while it is detached.
    """

    __slots__ = ("_fd", "mount_id", "target")

    def __init__(self, fd: Fd) -> None:
        self._fd = fd
        self.mount_id: int = mount_identity(fd).mount_id
        self.target: Path | None = None

    def fileno(self) -> int:
        """The descriptor of the detached mount's root directory.

        Raises:
            ValueError: It is attached or closed.
        """
        return self._fd.fileno()

    @property
    def path(self) -> Path:
        """A path to the mount's root that works in this process."""
        return self.target if self.target is not None else Path(os.fsdecode(fd_path(self._fd)))

    def attach(self, target: Place) -> None:
        """Show the mount at an empty or other directory; it is detached no more.

        Args:
            target: An existing directory; a link at its end is not followed.

        Raises:
            UnsupportedError: No right to mount.
            OSError: The target is missing (ENOENT), or no directory or a link (ENOTDIR). The mount
                stays detached.
        """
        absolute = Path(os.path.abspath(target))
        with _open_directory(absolute) as directory:
            try:
                kernel.move_mount(self._fd, directory)
            except OSError as error:
                raise explained(error, "mount at", absolute) from error
        # An open descriptor would keep the mount busy.
        self._fd.close()
        self.target = absolute

    def clone(self) -> MountHandle:
        """Make a detached mount of the same filesystem, with the same attributes.

        Raises:
            UnsupportedError: The kernel clones attached mounts only (before Linux 6.15).
            NotFoundError: The mount is no longer at its target.
        """
        if self.target is not None:
            with _open_directory(self.target) as directory:
                if mount_identity(directory).mount_id != self.mount_id:
                    raise _not_there(self.target, self.mount_id)
                return MountHandle(kernel.clone_tree(directory))
        return MountHandle(clone_open(self._fd))

    def close(self) -> None:
        """End a detached mount; an attached one stays."""
        self._fd.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def clone_open(directory: HasFileno) -> Fd:
    """Make a detached mount that shows an open directory: that of a detached mount, for instance.

    Raises:
        UnsupportedError: The kernel clones attached mounts only (before Linux 6.15).
        OSError: The kernel failed otherwise.
    """
    try:
        return kernel.clone_tree(directory)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    raise UnsupportedError(
        "this kernel cannot clone a mount that is not attached",
        hint="attach it to a directory first",
    )


def finish(fd: Fd, target: Place | None) -> MountHandle:
    """Turn a detached mount into a handle, shown at `target` if there is one, or end it."""
    try:
        handle = MountHandle(fd)
        if target is not None:
            handle.attach(target)
    except BaseException:
        fd.close()
        raise
    return handle


def unmount(target: Place, *, mount_id: int, lazy: bool = False) -> None:
    """Take away the mount with this id from `target`.

    Args:
        target: Where it is shown; a link at its end is not followed.
        mount_id: The unique id that `MountHandle` had; no other mount is touched.
        lazy: Also while it is in use: the path is free at once, and the filesystem ends with its
            last user.

    Raises:
        NotFoundError: Nothing is mounted there, or another mount is.
        InUseError: Files are open below it, or something else is mounted there.
        UnsupportedError: This process has no right to unmount.
        OSError: The kernel failed otherwise.
    """
    for pause in (*_PAUSES, None):
        if not is_mounted(target, mount_id=mount_id):
            raise _not_there(target, mount_id)
        try:
            kernel.umount(target, detach=lazy)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise _not_there(target, mount_id) from error
            if error.errno != errno.EBUSY:
                raise explained(error, "unmount", target) from error
        else:
            return
        if pause is not None:
            time.sleep(pause)
    users = ", ".join(holders_of(target)) or "a process or mount that is not visible from here"
    raise InUseError(
        f"{os.fspath(target)} cannot be unmounted: in use by {users}",
        hint="end what uses it, or unmount it lazily (--lazy)",
    )


def is_mounted(target: Place, *, mount_id: int) -> bool:
    """Whether the mount with this unique id is the topmost one at `target`."""
    try:
        found = mount_identity(target)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return found.is_root and found.mount_id == mount_id


def explained(error: OSError, action: str, path: Place | None = None) -> OrlopError | OSError:
    """The error to raise when the kernel refuses an action: no right and no support are told.

    Args:
        error: What the kernel said.
        action: What was tried, after "cannot", such as "mount EROFS image".
        path: What it was tried on, where that is one path.
    """
    where = "" if path is None else f" {os.fspath(path)}"
    if error.errno in {errno.EPERM, errno.EACCES}:
        return UnsupportedError(f"no right to {action}{where}: {error}", hint=PRIVILEGE_HINT)
    if error.errno in {errno.ENOSYS, errno.ENODEV, errno.ENOTBLK}:
        return UnsupportedError(
            f"this kernel cannot {action}{where}: {error}", hint=UNMOUNTABLE_HINT
        )
    if error.filename is None and path is not None:
        return OSError(error.errno, error.strerror, os.fspath(path))
    return error


def option_path(path: Place) -> str | None:
    """The path as the value of a mount option; None when only a handle will do."""
    absolute = os.path.abspath(path)
    if len(os.fsencode(absolute)) > kernel.MAX_STRING or "\\" in absolute:
        return None
    return absolute


def _open_directory(path: Place) -> Fd:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return Fd(os.open(path, flags))


def _not_there(target: Place, mount_id: int) -> NotFoundError:
    return NotFoundError(f"mount {mount_id} is not at {os.fspath(target)}")
