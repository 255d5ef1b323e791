"""The mount API of Linux 5.2 and later: filesystem contexts, detached mounts, attributes.

A mount is made detached, known by a descriptor alone, and shown at a path afterwards; until then
closing the descriptor is all that it takes to undo it.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Final, Self

from orlop._sys.handle import AT_EMPTY_PATH, AT_FDCWD, Fd, HasFileno, call, failure

if TYPE_CHECKING:
    from types import TracebackType

MOUNT_ATTR_RDONLY: Final = 0x1
MOUNT_ATTR_NOSUID: Final = 0x2
MOUNT_ATTR_NODEV: Final = 0x4
_MOUNT_ATTR_IDMAP: Final = 0x00100000

MAX_STRING: Final = 255
"""Bytes that the kernel takes as the value of one string option."""

_FSOPEN_CLOEXEC: Final = 1
_FSMOUNT_CLOEXEC: Final = 1
_SET_FLAG, _SET_STRING, _SET_FD, _CMD_CREATE = 0, 1, 5, 6
_OPEN_TREE_CLONE: Final = 1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x04
_MOVE_MOUNT_T_EMPTY_PATH: Final = 0x40
_MNT_DETACH: Final = 2
_UMOUNT_NOFOLLOW: Final = 8
_MOUNT_ATTR: Final = struct.Struct("=QQQQ")  # attr_set, attr_clr, propagation, userns_fd
_LOG_LINES: Final = 32


class FsContext:
    """A filesystem about to be mounted, to which options are given one by one.

    Used as a context manager, which closes it; the mount made from it stays.

    Args:
        fstype: The filesystem's name, such as `erofs`.

    Raises:
        OSError: ENODEV, the kernel does not know it; EPERM, no right to mount.
    """

    __slots__ = ("_fd", "_fstype")

    def __init__(self, fstype: str) -> None:
        self._fstype = fstype
        self._fd = Fd(call("fsopen", fstype.encode(), _FSOPEN_CLOEXEC, path=fstype))

    def flag(self, key: str) -> None:
        """Set an option without a value."""
        self._configure(_SET_FLAG, key, None, 0)

    def string(self, key: str, value: str | bytes) -> None:
        """Set an option to a string of at most `MAX_STRING` bytes."""
        encoded = os.fsencode(value)
        if len(encoded) > MAX_STRING:
            raise failure("fsconfig", errno.EINVAL, encoded, f"{key} is over {MAX_STRING} bytes")
        self._configure(_SET_STRING, key, encoded, 0)

    def fd(self, key: str, handle: HasFileno | int) -> None:
        """Set an option to an open file (overlay takes its layers so since Linux 6.13)."""
        number = handle if isinstance(handle, int) else handle.fileno()
        self._configure(_SET_FD, key, None, number)

    def create(self) -> None:
        """Make the filesystem's superblock, which reads its devices."""
        self._configure(_CMD_CREATE, None, None, 0)

    def mount(self, attributes: int) -> Fd:
        """Make a detached mount of the created filesystem; closing it unmounts.

        Args:
            attributes: `MOUNT_ATTR_…` bits.
        """
        try:
            return Fd(call("fsmount", self._fd.fileno(), _FSMOUNT_CLOEXEC, attributes))
        except OSError as error:
            raise self._explained(error, None) from None

    def log(self) -> str:
        """What the kernel has said about this context since it was last asked, oldest first."""
        lines: list[str] = []
        while len(lines) < _LOG_LINES:
            try:
                line = os.read(self._fd.fileno(), 4096)
            except OSError:
                break
            lines.append(line.decode(errors="backslashreplace").strip().partition(" ")[2])
        return "; ".join(lines)

    def close(self) -> None:
        """Release the context."""
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

    def _configure(self, command: int, key: str | None, value: bytes | None, aux: int) -> None:
        name = key.encode() if key is not None else None
        try:
            call("fsconfig", self._fd.fileno(), command, name, value, aux)
        except OSError as error:
            raise self._explained(error, value, key) from None

    def _explained(self, error: OSError, value: bytes | None, key: str | None = None) -> OSError:
        said = "; ".join(text for text in (key, self.log()) if text)
        call_name = f"{self._fstype}: " + str(error.strerror).partition(":")[0]
        path = os.fsdecode(value) if value is not None else None
        return failure(call_name, error.errno or errno.EIO, path, said)


def move_mount(mount: HasFileno, target: HasFileno) -> None:
    """Show a detached mount at an open directory."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    call("move_mount", mount.fileno(), b"", target.fileno(), b"", flags)


def clone_tree(source: HasFileno | str | os.PathLike[str]) -> Fd:
    """Make a detached mount that shows a directory, without what is mounted below it."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    if isinstance(source, (str, os.PathLike)):
        return Fd(call("open_tree", AT_FDCWD, os.fsencode(source), flags, path=source))
    return Fd(call("open_tree", source.fileno(), b"", flags | AT_EMPTY_PATH))


def set_attributes(mount: HasFileno, attributes: int) -> None:
    """Set `MOUNT_ATTR_…` bits of one mount."""
    value = _MOUNT_ATTR.pack(attributes, 0, 0, 0)
    call("mount_setattr", mount.fileno(), b"", AT_EMPTY_PATH, value, len(value))


def set_id_mapping(mount: HasFileno, namespace: HasFileno) -> None:
    """Show the owners of a detached mount as the maps of a user namespace say, once and for good.

    An owner on disk is the container side of the maps, what is shown their host side.
    """
    value = _MOUNT_ATTR.pack(_MOUNT_ATTR_IDMAP, 0, 0, namespace.fileno())
    call("mount_setattr", mount.fileno(), b"", AT_EMPTY_PATH, value, len(value))


def umount(target: str | os.PathLike[str], *, detach: bool = False) -> None:
    """Take away the topmost mount at `target`, which is not followed if it is a link.

    Args:
        target: Where it is mounted.
        detach: Also when it is in use: it vanishes from the path now, and ends with its last user.
    """
    flags = _UMOUNT_NOFOLLOW | (_MNT_DETACH if detach else 0)
    call("umount2", os.fsencode(target), flags, path=target)
