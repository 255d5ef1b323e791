"""Make single inodes inside a directory handle, and give them their metadata.

The order is what the kernel demands: owner first (it clears setuid bits and capabilities), then
extended attributes, mode, access control lists (they are part of the mode), and times last.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orlop._sys.process import in_initial_user_namespace
from orlop._sys.xattr import set_xattr_at, xattrs_of
from orlop.errors import NeedsParentsError, UnsafePathError, UnsupportedError
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.tree import Node

XattrPolicy: TypeAlias = Literal["strict", "drop"]
OverlayNamespace: TypeAlias = Literal["trusted", "user"]

MAX_RECORDED_DROPS: Final = 1000
_NEW_FILE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_ACL: Final = b"system.posix_acl_"
_NAMESPACES: Final = (b"user.", _ACL, b"trusted.", b"security.")
_PRIVILEGED_XATTRS: Final = (b"trusted.", b"security.")
_MARKS: Final = {
    namespace: frozenset(f"{namespace}.overlay.{mark}".encode() for mark in ("opaque", "origin"))
    for namespace in ("trusted", "user")
}
_NO_XATTR: Final = frozenset(
    {errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ERANGE, errno.E2BIG}
)
_ROOM: Final = 256
"""Blocks that are free where it is not for want of them that an xattr has no room."""
# Every filesystem keeps these; others may clamp what is outside.
_SAFE_TIME_NS: Final = (1 << 31) * 10**9
_TIME_LIMIT_NS: Final = (1 << 63) * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Something of the tree that the directory does not have.

    Attributes:
        path: The entry.
        what: What is missing, such as `device 1:3`, `xattr user.note` or `mtime_ns 9000…`.
    """

    path: bytes
    what: str


class Creator:
    """Makes inodes and dresses them with a node's metadata, as this process may.

    Args:
        ownership: Whether owners are set, and devices and privileged xattrs must succeed; root of a
            user namespace makes none of these, and leaves them out.
        xattrs: Whether an xattr that the filesystem refuses is an error or is dropped.
        where: The path of the entry at hand, asked only when something is to be said about it.
        overlay: The namespace of overlay's own marks, which must succeed in any case; None without.

    Attributes:
        dropped: What was left out, the first `MAX_RECORDED_DROPS` of them.
        dropped_count: How much was left out.
    """

    def __init__(
        self,
        *,
        ownership: bool,
        xattrs: XattrPolicy,
        where: Callable[[], bytes],
        overlay: OverlayNamespace | None = None,
    ) -> None:
        self.dropped: list[Dropped] = []
        self.dropped_count = 0
        self._ownership = ownership
        self._complete = ownership and in_initial_user_namespace()
        self._lenient = xattrs == "drop"
        self._where = where
        self._overlay = overlay is not None
        self._marks = _MARKS[overlay] if overlay is not None else frozenset()
        self._owner = (os.geteuid(), os.getegid())
        self._privileged = self._owner[0] == 0
        self._inexact = 0o7000 | _umask()

    def adopt_root(self, fd: int) -> None:
        """Make a directory private and free of what its children would inherit."""
        if self._ownership:
            os.fchown(fd, *self._owner)
        for name in xattrs_of(fd):
            if name.startswith(_ACL):
                os.removexattr(fd, name)
        os.fchmod(fd, 0o700)

    def open_file(self, dir_fd: int, name: bytes, node: Node) -> int:
        """Make an empty regular file and return a handle for writing it."""
        return os.open(name, _NEW_FILE, node.mode & 0o777, dir_fd=dir_fd)

    def finish_file(self, fd: int, node: Node) -> None:
        """Give a written regular file its metadata; the handle stays open."""
        if node.xattrs:
            self._dress(fd, node)
            return
        if self._ownership and (node.uid, node.gid) != self._owner:
            self._give(fd, node)
        if node.mode & self._inexact:
            os.fchmod(fd, node.mode & 0o7777)
        self._set_times(fd, node)

    def make_directory(self, dir_fd: int, name: bytes) -> None:
        """Make a private directory, to be filled and then finished."""
        os.mkdir(name, 0o700, dir_fd=dir_fd)

    def finish_directory(self, fd: int, node: Node, *, mode: int | None = None) -> None:
        """Give a filled directory its metadata, `mode` instead of its own where given."""
        self._dress(fd, node, mode)

    def make_special(self, dir_fd: int, name: bytes, node: Node) -> bool:
        """Make a symbolic link, device, FIFO or socket; False if a device is not permitted.

        Raises:
            NeedsParentsError: Whiteouts cannot be made here.
            UnsupportedError: Devices cannot be made here, and owners are wanted.
        """
        if node.type == S_IFLNK:
            os.symlink(node.target, name, dir_fd=dir_fd)
        elif not self._make_node(dir_fd, name, node):
            return False
        self._dress_name(dir_fd, name, node)
        return True

    def drop(self, what: str) -> None:
        """Record that something of the entry at hand was left out."""
        self.dropped_count += 1
        if len(self.dropped) < MAX_RECORDED_DROPS:
            self.dropped.append(Dropped(path=self._where(), what=what))

    def _make_node(self, dir_fd: int, name: bytes, node: Node) -> bool:
        try:
            os.mknod(name, node.mode & ~0o7000, node.rdev, dir_fd=dir_fd)
        except PermissionError as error:
            if error.errno != errno.EPERM or node.type not in {S_IFCHR, S_IFBLK}:
                raise
            if self._overlay and node.rdev == 0:
                raise NeedsParentsError(
                    f"{self._entry()}: neither this process nor the filesystem may do whiteouts",
                    hint="have the image written out as one directory",
                ) from error
            what = f"device {os.major(node.rdev)}:{os.minor(node.rdev)}"
            if self._complete:
                raise UnsupportedError(
                    f"{self._entry()}: {what} cannot be made without privilege",
                    hint="run as root, or leave owners and devices out",
                ) from error
            self.drop(what)
            return False
        return True

    def _dress(self, fd: int, node: Node, mode: int | None = None) -> None:
        if self._ownership and (node.uid, node.gid) != self._owner:
            self._give(fd, node)
        mode = node.mode & 0o7777 if mode is None else mode
        if node.xattrs:
            if not self._privileged:
                os.fchmod(fd, 0o700)
            self._set_xattrs(fd, node, acl=False)
        os.fchmod(fd, mode)
        if node.xattrs:
            self._set_xattrs(fd, node, acl=True)
        self._set_times(fd, node)

    def _dress_name(self, dir_fd: int, name: bytes, node: Node) -> None:
        if self._ownership and (node.uid, node.gid) != self._owner:
            self._give(dir_fd, node, name)
        if node.xattrs:
            self._set_xattrs(dir_fd, node, acl=False, at=name)
        if node.type != S_IFLNK and node.mode & self._inexact:
            os.chmod(name, node.mode & 0o7777, dir_fd=dir_fd)
        if node.xattrs:
            self._set_xattrs(dir_fd, node, acl=True, at=name)
        self._set_times_at(dir_fd, name, node)

    def _give(self, fd: int, node: Node, at: bytes = b"") -> None:
        """Give an open file, or the name `at` in an open directory, to its owner."""
        try:
            if at:
                os.chown(at, node.uid, node.gid, dir_fd=fd, follow_symlinks=False)
            else:
                os.fchown(fd, node.uid, node.gid)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise UnsupportedError(
                f"{self._entry()}: this user namespace does not map {node.uid}:{node.gid}",
                hint="give this user more ids in /etc/subuid and /etc/subgid",
            ) from error

    def _set_xattrs(self, fd: int, node: Node, *, acl: bool, at: bytes = b"") -> None:
        """Set the xattrs of an open file, or of the name `at` in an open directory."""
        for name, value in node.xattrs.items():
            if name.startswith(_ACL) != acl:
                continue
            try:
                if at:
                    set_xattr_at(fd, at, name, value)
                else:
                    os.setxattr(fd, name, value)
            except OSError as error:
                self._refused(error, name, node, fd)

    def _refused(self, error: OSError, name: bytes, node: Node, fd: int) -> None:
        """Judge an xattr that could not be set: dropped, or an error.

        A filesystem may have room, and none for so much in one file, as ext4 has one block.
        """
        crowded = error.errno == errno.ENOSPC and os.fstatvfs(fd).f_bavail > _ROOM
        if error.errno not in _NO_XATTR and not crowded:
            raise error
        text = name.decode(errors="backslashreplace")
        # The kernel keeps user xattrs on files and directories alone, and other systems' nowhere.
        unkeepable = not name.startswith(_NAMESPACES) or (
            name.startswith(b"user.") and node.type not in {S_IFREG, S_IFDIR}
        )
        unprivileged = not self._complete and name.startswith(_PRIVILEGED_XATTRS)
        if name in self._marks or not (self._lenient or unkeepable or unprivileged):
            raise UnsupportedError(
                f"{self._entry()}: xattr {text} cannot be set here: {error.strerror}",
                hint="use a filesystem that keeps it, or drop xattrs",
            ) from error
        self.drop(f"xattr {text}")

    def _set_times(self, fd: int, node: Node) -> None:
        mtime_ns = node.mtime_ns
        if 0 <= mtime_ns < _SAFE_TIME_NS:
            os.utime(fd, ns=(mtime_ns, mtime_ns))
        else:
            os.utime(fd, ns=_clamped(mtime_ns))
            self._check_time(os.fstat(fd), node)

    def _set_times_at(self, dir_fd: int, name: bytes, node: Node) -> None:
        os.utime(name, ns=_clamped(node.mtime_ns), dir_fd=dir_fd, follow_symlinks=False)
        if not 0 <= node.mtime_ns < _SAFE_TIME_NS:
            self._check_time(os.stat(name, dir_fd=dir_fd, follow_symlinks=False), node)

    def _check_time(self, found: os.stat_result, node: Node) -> None:
        if found.st_mtime_ns != node.mtime_ns:
            self.drop(f"mtime_ns {node.mtime_ns}")

    def _entry(self) -> str:
        return self._where().decode(errors="backslashreplace") or "/"


def check_name(name: bytes) -> None:
    """Refuse what is not one name in one directory.

    Raises:
        UnsafePathError: The name is empty, `.` or `..`, or has a slash or a zero byte.
    """
    if b"/" in name or b"\0" in name or name in {b"", b".", b".."}:
        raise UnsafePathError("is not a name in a directory", where=repr(name)[1:])


def _clamped(mtime_ns: int) -> tuple[int, int]:
    kept = min(max(mtime_ns, -_TIME_LIMIT_NS), _TIME_LIMIT_NS - 1)
    return kept, kept


def _umask() -> int:
    """The umask of this thread, read without changing it; all bits where that is not known."""
    try:
        with open("/proc/thread-self/status", "rb") as status:
            for line in status:
                if line.startswith(b"Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    return 0o777
