"""Showing files with other owners than they have on disk: id-mapped mounts.

One stored tree serves containers whose ids differ; no file is touched. The kernel does it since
Linux 5.12, each filesystem since a version of its own: ext4 and XFS at once, btrfs with 5.15, EROFS
and the layers of overlays with 5.19, tmpfs with 6.3. An overlay itself cannot be mapped; but its
layers can, and what is written through it lies in the upper directory with the owners shown.

Spec: mount_setattr(2), "ID-mapped mounts".
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import Fd, HasFileno
from orlop._sys.mount import set_id_mapping
from orlop._sys.process import in_initial_user_namespace
from orlop._sys.userns import UserNamespaces, user_namespace
from orlop.drivers.mounts import MountHandle, Place, clone_open, explained, finish
from orlop.errors import IdMapRefusedError, UnsupportedError

if TYPE_CHECKING:
    from orlop.idmap import IdMapping

_COPY: Final = "have the files copied, with the owners that are wanted"
_REFUSED: Final = frozenset(
    {errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY}
)


def mount_idmapped(
    source: Place | HasFileno,
    mapping: IdMapping,
    *,
    namespaces: UserNamespaces | None = None,
) -> MountHandle:
    """Make a detached mount that shows a directory with other owners, and return it.

    What is mounted below the directory is left out. Owners that the mapping does not have appear
    as nobody (65534), and cannot be given to files. Attributes such as read-only are the source's.

    Args:
        source: The directory, or one that is open: a detached mount, for instance (Linux 6.15).
        mapping: Its container side are owners on disk, its host side those that are shown; see
            `orlop.idmap.translate`.
        namespaces: Where to get the user namespace that tells the kernel; None makes one for this
            call.

    Raises:
        IdMapRefusedError: The kernel or the filesystem cannot; a copy with other owners can.
        UnsupportedError: No right to mount or to map, or a kernel that cannot.
        LimitExceededError: The mapping is too long for the kernel.
        OSError: The source is missing or no directory.
    """
    with _namespace(mapping, namespaces) as namespace:
        if not isinstance(source, (str, os.PathLike)):
            return finish(_mapped(source, namespace, "a directory"), None)
        with Fd(os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as directory:
            return finish(_mapped(directory, namespace, source), None)


def _namespace(mapping: IdMapping, namespaces: UserNamespaces | None) -> Fd:
    try:
        return user_namespace(mapping) if namespaces is None else namespaces.open(mapping)
    except UnsupportedError as error:
        if in_initial_user_namespace():
            raise
        # In a user namespace the filesystems of the machine could not be mapped either.
        raise IdMapRefusedError(str(error), hint=_COPY) from error


def _mapped(directory: HasFileno, namespace: Fd, what: Place) -> Fd:
    try:
        mount = clone_open(directory)
    except OSError as error:
        raise explained(error, "map the owners of", what) from error
    try:
        set_id_mapping(mount, namespace)
    except OSError as error:
        mount.close()
        if error.errno in _REFUSED:
            raise IdMapRefusedError(
                f"owners of {os.fspath(what)} cannot be shown as others: {error}",
                hint=_COPY,
            ) from error
        raise
    except BaseException:
        mount.close()
        raise
    return mount
