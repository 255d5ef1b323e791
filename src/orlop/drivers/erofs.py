"""Mounting EROFS images whose file content lies in other files.

The image and its devices are plain files. Linux 6.12 and later mount them as they are, except where
their filesystem cannot do it (tmpfs, overlayfs); there, and on Linux 6.4 to 6.11, each becomes a
loop device that ends with the mount.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import Fd, fd_path
from orlop._sys.loop import LoopDevice, attach_loop
from orlop._sys.mount import MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, FsContext
from orlop.drivers.devices import check_devices
from orlop.drivers.mounts import (
    UNMOUNTABLE_HINT,
    MountHandle,
    Place,
    explained,
    finish,
    option_path,
)
from orlop.errors import InvalidImageError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

# What the kernel answers to another format, contradictions in it, and a wrong checksum.
_BAD_IMAGE: Final = frozenset({errno.EINVAL, errno.EUCLEAN, errno.EBADMSG})


def mount_erofs(
    index: Place,
    devices: Sequence[Place] = (),
    target: Place | None = None,
    *,
    nodev: bool = True,
    nosuid: bool = True,
    loop: bool | None = None,
) -> MountHandle:
    """Mount an EROFS image read-only and return the mount.

    Nothing stays behind on failure, neither a mount nor a loop device.

    Args:
        index: The image; with devices, its metadata.
        devices: The files of its device table, in that order.
        target: An existing directory to show it at; None leaves it detached.
        nodev: Device nodes inside are dead.
        nosuid: Set-user-id bits inside are ignored.
        loop: Use loop devices always (True), never (False), or where the kernel refuses plain
            files (None).

    Raises:
        InvalidImageError: It is no EROFS image, has other devices, or the kernel refuses it.
        SizeMismatchError: A device is shorter than the image says.
        UnsupportedError: No right to mount, or a kernel that cannot.
        OSError: A file or the target is missing, or reading failed.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(_open_file(path)) for path in (index, *devices)]
        check_devices(index, files[0], list(zip(devices, files[1:], strict=True)))
        attributes = mount_attributes(nodev=nodev, nosuid=nosuid)
        paths = [index, *devices]
        try:
            mount = _mount(paths, files, attributes, loop=loop)
        except OSError as error:
            if error.errno in _BAD_IMAGE:
                raise InvalidImageError(
                    f"the kernel refuses the EROFS image: {error}",
                    where=os.fspath(index),
                    hint="its log (dmesg) says why; Linux before 6.4 knows no 512-byte blocks",
                ) from error
            raise explained(error, "mount EROFS image", index) from error
    return finish(mount, target)


def mount_attributes(*, nodev: bool, nosuid: bool) -> int:
    """The attribute bits of a read-only mount."""
    return (
        MOUNT_ATTR_RDONLY
        | (MOUNT_ATTR_NODEV if nodev else 0)
        | (MOUNT_ATTR_NOSUID if nosuid else 0)
    )


def _mount(
    paths: Sequence[Place], files: Sequence[Fd], attributes: int, *, loop: bool | None
) -> Fd:
    if not loop:
        try:
            return _mount_files(paths, files, attributes)
        except OSError as error:
            if loop is False or error.errno != errno.ENOTBLK:
                raise
    return _mount_loops(paths, files, attributes)


def _mount_files(paths: Sequence[Place], files: Sequence[Fd], attributes: int) -> Fd:
    names = [
        option_path(path) or os.fsdecode(fd_path(file))
        for path, file in zip(paths, files, strict=True)
    ]
    return _mount_named(names, attributes)


def _mount_loops(paths: Sequence[Place], files: Sequence[Fd], attributes: int) -> Fd:
    with ExitStack() as stack:
        names = []
        for path, file in zip(paths, files, strict=True):
            name = os.fsencode(os.path.abspath(path))
            names.append(stack.enter_context(closing(_attach(file, name))).path)
        return _mount_named(names, attributes)


def _attach(file: Fd, name: bytes) -> LoopDevice:
    try:
        return attach_loop(file.fileno(), name)
    except OSError as error:
        raise UnsupportedError(
            f"no loop device for {os.fsdecode(name)}: {error}", hint=UNMOUNTABLE_HINT
        ) from error


def _mount_named(names: Sequence[str], attributes: int) -> Fd:
    """Mount the first of the names with the others as its devices."""
    with FsContext("erofs") as context:
        context.string("source", names[0])
        context.flag("ro")  # or a read-only block device is refused (EACCES)
        for name in names[1:]:
            context.string("device", name)
        context.create()
        return context.mount(attributes)


def _open_file(path: Place) -> Fd:
    return Fd(os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))
