"""Mounting overlays: lower directories, and above them at most one that takes the writes.

The layers are given to the kernel one by one, by a path or an open handle, so that no name is
ever quoted and their number is bounded by the kernel (500) and not by the length of a string.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import Fd, HasFileno, fd_path
from orlop._sys.mount import MAX_STRING, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, FsContext
from orlop._sys.process import in_initial_user_namespace
from orlop.drivers.bind import mount_bind
from orlop.drivers.erofs import mount_attributes
from orlop.drivers.mounts import MountHandle, Place, explained, finish, option_path
from orlop.errors import LimitExceededError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LOWERS: Final = 500
"""Lower layers that the kernel takes in one overlay."""

# What lies below is rebuilt under other inode numbers, and comes from strangers.
_OPTIONS: Final = (("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow"))

Layer = Place | HasFileno


def mount_overlay(
    lowers: Sequence[Layer],
    target: Place | None = None,
    *,
    upper: Place | None = None,
    work: Place | None = None,
    nodev: bool = True,
    nosuid: bool = True,
) -> MountHandle:
    """Mount directories on top of each other and return the mount.

    Without `upper` it is read-only; a single lower is then a read-only bind. Nothing stays behind
    on failure. An `upper` belongs to one overlay at a time: the kernel only warns about a second,
    so that whoever owns the directories must see to it.

    Args:
        lowers: Directories or open handles (detached mounts too), the topmost first.
        target: An existing directory to show it at; None leaves it detached.
        upper: The directory that takes the writes.
        work: An empty directory on the same filesystem as `upper`, for the kernel.
        nodev: Device nodes inside are dead.
        nosuid: Set-user-id bits inside are ignored.

    Raises:
        LimitExceededError: More than `MAX_LOWERS` lowers.
        UnsupportedError: No right to mount, or a kernel that cannot.
        OSError: A directory is missing, or the kernel refuses it: EINVAL when it is no directory,
            or `upper` and `work` are on different filesystems; ELOOP when one holds another.
        ValueError: No lower at all, or only one of `upper` and `work`.
    """
    if not lowers or (upper is None) != (work is None):
        raise ValueError("an overlay needs lowers, and both or none of upper and work")
    if len(lowers) > MAX_LOWERS:
        raise LimitExceededError(
            f"an overlay of {len(lowers)} directories", limit="MAX_LOWERS", value=MAX_LOWERS
        )
    if upper is None and len(lowers) == 1:
        return mount_bind(lowers[0], target, nodev=nodev, nosuid=nosuid)
    writable = [] if upper is None or work is None else [("upperdir", upper), ("workdir", work)]
    if writable:
        attributes = (MOUNT_ATTR_NODEV if nodev else 0) | (MOUNT_ATTR_NOSUID if nosuid else 0)
    else:
        attributes = mount_attributes(nodev=nodev, nosuid=nosuid)
    try:
        mount = _mount(lowers, writable, attributes)
    except OSError as error:
        raise explained(error, "mount an overlay", target) from error
    return finish(mount, target)


def _mount(lowers: Sequence[Layer], writable: Sequence[tuple[str, Place]], attributes: int) -> Fd:
    with ExitStack() as stack:
        context = stack.enter_context(FsContext("overlay"))
        context.string("source", "orlop")
        for key, value in _OPTIONS:
            context.string(key, value)
        if not in_initial_user_namespace():
            context.flag("userxattr")
        if not writable:
            context.flag("ro")
        add_lowers(context, [_name(stack, lower) for lower in lowers])
        for key, directory in writable:
            context.string(key, _name(stack, directory))
        context.create()
        return context.mount(attributes)


def add_lowers(context: FsContext, names: Sequence[str], *, one_by_one: bool = True) -> None:
    """Give an overlay its lower layers.

    Args:
        context: The overlay to be.
        names: Their paths, the topmost first.
        one_by_one: Use `lowerdir+` (Linux 6.7) and fall back when the kernel does not know it.

    Raises:
        UnsupportedError: The kernel wants them all in one string, and that is too long.
        OSError: The kernel refuses one.
    """
    if one_by_one:
        try:
            context.string("lowerdir+", names[0])
        except OSError as error:
            if error.errno != errno.EINVAL or "Unknown parameter" not in str(error):
                raise
        else:
            for name in names[1:]:
                context.string("lowerdir+", name)
            return
    joined = ":".join(name.replace("\\", "\\\\").replace(":", "\\:") for name in names)
    if len(os.fsencode(joined)) > MAX_STRING:
        raise UnsupportedError(
            f"this kernel takes no overlay of these {len(names)} directories",
            hint="Linux 6.7 or later does; or use a merged index or a single directory",
        )
    context.string("lowerdir", joined)


def _name(stack: ExitStack, layer: Layer) -> str:
    """A path that the kernel takes as an option, valid while `stack` is open."""
    if not isinstance(layer, (str, os.PathLike)):
        return os.fsdecode(fd_path(layer))
    name = option_path(layer)
    if name is None:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        name = os.fsdecode(fd_path(stack.enter_context(Fd(os.open(layer, flags)))))
    return name
