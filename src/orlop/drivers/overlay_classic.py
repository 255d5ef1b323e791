"""Mounting overlays with `mount(2)`, for kernels that want all layers in one string.

Linux before 6.7 knows no `lowerdir+`, and before 6.15 overlay takes no detached mount as a layer.
Here every layer is named by its handle, `/proc/self/fd/N`, so that hundreds fit in the page that
the string may fill; detached mounts, and the overlay itself, are shown for a moment in a directory
of their own.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import Fd, HasFileno, call, fd_path
from orlop._sys.mount import clone_tree, move_mount, umount
from orlop.drivers.mounts import MountHandle
from orlop.errors import LimitExceededError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.drivers.mounts import Place

MAX_OPTIONS: Final = 4095
"""Bytes of options that `mount(2)` takes: a page, with its end."""


def mount_classic(
    lowers: Sequence[Place | HasFileno],
    writable: Sequence[tuple[str, Place]],
    options: Sequence[str],
    attributes: int,
) -> Fd:
    """Mount an overlay and return it detached.

    A detached mount among the lowers cannot be attached anywhere afterwards.

    Args:
        lowers: Directories or open handles, the topmost first.
        writable: The keys `upperdir` and `workdir` with their directories, or nothing.
        options: What else the filesystem is told.
        attributes: `MOUNT_ATTR_…` bits; those used here are the same for `mount(2)`.

    Raises:
        LimitExceededError: There are too many lowers for one string.
        OSError: A directory is missing, or the kernel refuses.
    """
    with ExitStack() as stack:
        parts = [f"{key}={_name(stack, directory)}" for key, directory in writable]
        parts.append("lowerdir=" + ":".join(_name(stack, lower) for lower in lowers))
        data = ",".join([*options, *parts]).encode()
        if len(data) > MAX_OPTIONS:
            raise LimitExceededError(
                f"an overlay of {len(lowers)} directories on this kernel",
                limit="MAX_OPTIONS",
                value=MAX_OPTIONS,
                hint="Linux 6.15 or later takes more; or merge the layers into one tree",
            )
        place = stack.enter_context(_moment())
        call("mount", b"orlop", os.fsencode(place), b"overlay", attributes, data)
        try:
            return clone_tree(place)
        finally:
            umount(place, detach=True)


def _name(stack: ExitStack, layer: Place | HasFileno) -> str:
    """The layer's handle as a path, valid while `stack` is open."""
    if isinstance(layer, (str, os.PathLike)):
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        layer = stack.enter_context(Fd(os.open(layer, flags)))
    elif isinstance(layer, MountHandle) and layer.target is None:
        stack.enter_context(_shown(layer))
    return os.fsdecode(fd_path(layer))


@contextmanager
def _shown(mount: MountHandle) -> Iterator[None]:
    """Show a detached mount for a moment, in a directory that nobody else enters."""
    with _moment() as place:
        with Fd(os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as directory:
            move_mount(mount, directory)
        try:
            yield
        finally:
            umount(place, detach=True)


@contextmanager
def _moment() -> Iterator[str]:
    """An empty directory; removed as such, so that nothing mounted is ever emptied by mistake."""
    place = tempfile.mkdtemp(prefix="orlop-")
    try:
        yield place
    finally:
        os.rmdir(place)
