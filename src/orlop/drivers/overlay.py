"""Mounting overlays: lower directories, and above them at most one that takes the writes.

The layers are given to the kernel one by one, by a path or an open handle, so that no name is
ever quoted and their number is bounded by the kernel (500) and not by the length of a string.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import Fd, HasFileno, fd_path
from orlop._sys.mount import MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, FsContext
from orlop._sys.process import in_initial_user_namespace, kernel_version
from orlop.drivers.bind import mount_bind
from orlop.drivers.erofs import mount_attributes
from orlop.drivers.mounts import MountHandle, Place, explained, finish, option_path
from orlop.errors import LimitExceededError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_LOWERS: Final = 500
"""Lower layers that the kernel takes in one overlay."""

# What lies below is rebuilt under other inode numbers, and comes from strangers.
_OPTIONS: Final[Mapping[str, str | None]] = MappingProxyType(
    {"index": "off", "metacopy": "off", "redirect_dir": "nofollow"}
)

# The first kernel that takes hundreds of layers, detached mounts among them.
_LAYERS_OF_ALL_KINDS: Final = (6, 15)

Layer = Place | HasFileno


def mount_overlay(
    lowers: Sequence[Layer],
    target: Place | None = None,
    *,
    upper: Place | None = None,
    work: Place | None = None,
    nodev: bool = True,
    nosuid: bool = True,
    volatile: bool = False,
    classic: bool | None = None,
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
        volatile: Leave what is written to `upper` to the kernel: unmounting does not wait for the
            disk, and a crash of the machine may lose any of it. `work` must then be new.
        classic: Use `mount(2)` always (True), never (False), or where the kernel takes the layers
            in no other way (None): then fewer fit, about 200.

    Raises:
        LimitExceededError: More than `MAX_LOWERS` lowers, or than fit in one string.
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
        options = dict(_OPTIONS)
        if volatile and writable:
            options["volatile"] = None
        mount = _mount(lowers, writable, options, attributes, classic=classic)
    except OSError as error:
        raise explained(error, "mount an overlay", target) from error
    return finish(mount, target)


def _mount(
    lowers: Sequence[Layer],
    writable: Sequence[tuple[str, Place]],
    options: dict[str, str | None],
    attributes: int,
    *,
    classic: bool | None,
) -> Fd:
    if not in_initial_user_namespace():
        options["userxattr"] = None
    if not classic:
        try:
            return _mount_by_layers(lowers, writable, options, attributes)
        except OSError as error:
            modern = kernel_version() >= _LAYERS_OF_ALL_KINDS
            if classic is False or error.errno != errno.EINVAL or modern:
                raise
            refused = error
    from orlop.drivers.overlay_classic import mount_classic

    words = [key if value is None else f"{key}={value}" for key, value in options.items()]
    try:
        return mount_classic(lowers, writable, words, attributes)
    except OSError as error:
        if classic or error.errno != errno.EINVAL:
            raise
        raise refused from None  # It says more than the old call can.


def _mount_by_layers(
    lowers: Sequence[Layer],
    writable: Sequence[tuple[str, Place]],
    options: Mapping[str, str | None],
    attributes: int,
) -> Fd:
    with ExitStack() as stack:
        context = stack.enter_context(FsContext("overlay"))
        context.string("source", "orlop")
        for key, value in options.items():
            if value is None:
                context.flag(key)
            else:
                context.string(key, value)
        if not writable:
            context.flag("ro")
        for key, directory in [*(("lowerdir+", lower) for lower in lowers), *writable]:
            context.string(key, _name(stack, directory))
        context.create()
        return context.mount(attributes)


def _name(stack: ExitStack, layer: Layer) -> str:
    """A path that the kernel takes as an option, valid while `stack` is open."""
    if not isinstance(layer, (str, os.PathLike)):
        return os.fsdecode(fd_path(layer))
    name = option_path(layer)
    if name is None:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        name = os.fsdecode(fd_path(stack.enter_context(Fd(os.open(layer, flags)))))
    return name
