"""Which mount a path is on, and what is mounted where.

    36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    id parent dev root mount point options optional… - type source super options

Spaces, tabs, newlines and backslashes in names are written as a backslash and three octal digits.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_NO_AUTOMOUNT,
    AT_SYMLINK_NOFOLLOW,
    HasFileno,
    call,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATX_MNT_ID: Final = 0x1000
_STATX_MNT_ID_UNIQUE: Final = 0x4000
_STATX_ATTR_MOUNT_ROOT: Final = 0x2000
_STATX_SIZE: Final = 256
_STATX_HEAD: Final = struct.Struct("=I4xQ")  # stx_mask, stx_blksize, stx_attributes
_STATX_MNT_ID_AT: Final = 144
_ESCAPED: Final = re.compile(rb"[\s\\#]")
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class MountIdentity:
    """The mount that a path is on.

    Attributes:
        mount_id: Never used again until the next boot where the kernel can say so (Linux 6.8).
        is_root: Whether the path is the very place where it is mounted.
    """

    mount_id: int
    is_root: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MountInfo:
    """One line of `/proc/self/mountinfo`.

    Attributes:
        mount_id: The short id, which the kernel gives to another mount later.
        parent_id: The short id of the mount that it stands on.
        device: Major and minor number, as `st_dev` has them.
        root: The directory of the filesystem that is shown.
        mount_point: Where it is shown.
        options: Of the mount, such as `ro`.
        fstype: The filesystem, such as `erofs`.
        source: What the filesystem is made of, as given when it was mounted.
        super_options: Of the filesystem.
    """

    mount_id: int
    parent_id: int
    device: tuple[int, int]
    root: bytes
    mount_point: bytes
    options: tuple[str, ...]
    fstype: str
    source: bytes
    super_options: bytes


def mount_identity(place: HasFileno | str | os.PathLike[str]) -> MountIdentity:
    """Say which mount a path or an open file is on; a link at the end is not followed.

    Raises:
        OSError: The path cannot be reached.
    """
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
    mask = _STATX_MNT_ID | _STATX_MNT_ID_UNIQUE
    if isinstance(place, (str, os.PathLike)):
        call("statx", AT_FDCWD, os.fsencode(place), flags, mask, buffer, path=place)
    else:
        call("statx", place.fileno(), b"", flags | AT_EMPTY_PATH, mask, buffer)
    _, attributes = _STATX_HEAD.unpack_from(buffer)
    (mount_id,) = struct.unpack_from("=Q", buffer, _STATX_MNT_ID_AT)
    return MountIdentity(mount_id=mount_id, is_root=bool(attributes & _STATX_ATTR_MOUNT_ROOT))


def mount_at(target: str | os.PathLike[str]) -> MountInfo | None:
    """Describe the topmost mount at `target`; None where nothing is mounted exactly there."""
    wanted = os.path.realpath(os.path.dirname(os.path.abspath(target)))
    path = os.fsencode(os.path.join(wanted, os.path.basename(os.path.abspath(target))))
    found = None
    for info in iter_mounts():
        if info.mount_point == path:
            found = info
    return found


def iter_mounts(path: str = "/proc/self/mountinfo", *, naming: bytes = b"") -> Iterator[MountInfo]:
    """Yield what is mounted in this process's mount namespace, in the kernel's order.

    Args:
        path: The list.
        naming: Part of a name: only mounts are given that have it in one of theirs, and perhaps
            others. There may be thousands, of which one is looked for.
    """
    if _ESCAPED.search(naming):
        naming = b""
    for line in Path(path).read_bytes().split(b"\n"):  # a carriage return may be in a name
        if line and naming in line:
            yield parse_mountinfo(line)


def parse_mountinfo(line: bytes) -> MountInfo:
    """Parse one line of `/proc/self/mountinfo`.

    Raises:
        ValueError: The line has another shape.
    """
    fields = line.split(b" ")
    separator = fields.index(b"-", 6)
    major, _, minor = fields[2].partition(b":")
    fstype, source, super_options = fields[separator + 1 : separator + 4]
    return MountInfo(
        mount_id=int(fields[0]),
        parent_id=int(fields[1]),
        device=(int(major), int(minor)),
        root=_unescape(fields[3]),
        mount_point=_unescape(fields[4]),
        options=tuple(fields[5].decode().split(",")),
        fstype=fstype.decode(),
        source=_unescape(source),
        super_options=_unescape(super_options),
    )


def _unescape(field: bytes) -> bytes:
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field)
