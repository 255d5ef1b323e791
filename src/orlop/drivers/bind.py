"""Showing a directory once more, read-only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orlop._sys.handle import Fd, HasFileno
from orlop._sys.mount import set_attributes
from orlop.drivers.erofs import mount_attributes
from orlop.drivers.mounts import MountHandle, Place, clone_open, explained, finish

if TYPE_CHECKING:
    from collections.abc import Callable


def mount_bind(
    source: Place | HasFileno,
    target: Place | None = None,
    *,
    nodev: bool = True,
    nosuid: bool = True,
) -> MountHandle:
    """Mount a directory read-only at another place; what is mounted below it is left out.

    Args:
        source: The directory, or one that is open: a detached mount, for instance.
        target: An existing directory to show it at; None leaves it detached.
        nodev: Device nodes inside are dead.
        nosuid: Set-user-id bits inside are ignored.

    Raises:
        UnsupportedError: No right to mount, or a kernel that cannot.
        OSError: The source or the target is missing or no directory.
    """
    attributes = mount_attributes(nodev=nodev, nosuid=nosuid)
    if isinstance(source, (str, os.PathLike)):
        with Fd(os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as directory:
            mount = _guarded(lambda: _clone(directory, attributes), source)
    else:
        mount = _guarded(lambda: _clone(source, attributes), "directory")
    return finish(mount, target)


def _clone(source: HasFileno, attributes: int) -> Fd:
    mount = clone_open(source)
    try:
        set_attributes(mount, attributes)
    except BaseException:
        mount.close()
        raise
    return mount


def _guarded(make: Callable[[], Fd], what: Place) -> Fd:
    try:
        return make()
    except OSError as error:
        raise explained(error, "bind", what) from error
