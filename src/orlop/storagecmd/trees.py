"""Copies of files and directories below directory handles, with all that belongs to them.

Owner, mode, times, extended attributes, links and holes come along. No link in the source or the
target is followed; what is in the way of a file is replaced, unless it is a directory.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop._sys.xattr import set_xattr_at, xattrs_at, xattrs_of
from orlop.errors import InvalidError, LimitExceededError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.idmap import IdMapping

MAX_DEPTH: Final = 200
"""Directories in one another: each has a handle open on both sides."""

_CHUNK: Final = 1 << 20
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY: Final = _READ | os.O_DIRECTORY
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SKIPPED: Final = (b"trusted.overlay.", b"user.overlay.", b"security.selinux")
"""Attributes that say what a filesystem did with the file, not what the file is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Whose the copies are.

    Attributes:
        fixed: User and group of all of them, as the container sees them; None for the source's.
        source: How the IDs of the source are mapped.
        target: How those of the target are.
    """

    fixed: tuple[int, int] | None
    source: IdMapping | None
    target: IdMapping | None

    def of(self, status: os.stat_result) -> tuple[int, int]:
        """User and group of a copy, as the machine sees them.

        Raises:
            NotFoundError: An ID is not mapped.
        """
        owner = self.fixed
        if owner is None:
            owner = status.st_uid, status.st_gid
            if self.source is not None:
                owner = self.source.to_container(*owner)
        return owner if self.target is None else self.target.to_host(*owner)

    @property
    def root(self) -> tuple[int, int]:
        """Those of directories that are made on the way."""
        owner = self.fixed or (0, 0)
        if self.target is None:
            return owner
        try:
            return self.target.to_host(*owner)
        except NotFoundError:
            return 0, 0


def copy_directory(source: int, target: int, owners: Owners) -> None:
    """Copy what is in one directory into another, which keeps what it has besides.

    Raises:
        InvalidError: A directory is in the way of a file.
        LimitExceededError: `MAX_DEPTH`.
        NotFoundError: The owner of a file is not mapped.
        OSError: Reading or writing failed.
    """
    _Copy(target, owners).fill(source, target, [])


def copy_file(source: int, target: int, name: bytes, owners: Owners) -> None:
    """Copy an open file to a name below a directory; raises like `copy_directory`."""
    status = os.fstat(source)
    if not stat.S_ISREG(status.st_mode):
        raise InvalidError("neither a file nor a directory")
    _make_way(target, name)
    _write(source, status, target, name)
    _finish(status, xattrs_of(source), target, name, owners)


class _Copy:
    """One copy of a directory; it knows which files have several names.

    Args:
        root: The directory that is copied into.
        owners: Whose the copies are.
    """

    def __init__(self, root: int, owners: Owners) -> None:
        self._root = root
        self._owners = owners
        self._first: dict[tuple[int, int], bytes] = {}

    def fill(self, source: int, target: int, above: list[bytes]) -> None:
        """Copy the entries of a directory, which has these directories above it."""
        if len(above) > MAX_DEPTH:
            raise LimitExceededError("directories", limit="MAX_DEPTH", value=MAX_DEPTH)
        for name in sorted(map(os.fsencode, os.listdir(source))):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                self._directory(source, target, name, above)
            elif self._is_linked(status, target, name, above):
                continue
            else:
                _make_way(target, name)
                _make(source, status, target, name)
            _finish(status, xattrs_at(source, name), target, name, self._owners)

    def _directory(self, source: int, target: int, name: bytes, above: list[bytes]) -> None:
        _make_directory(target, name)
        inner = os.open(name, _DIRECTORY, dir_fd=source)
        try:
            outer = os.open(name, _DIRECTORY, dir_fd=target)
            try:
                self.fill(inner, outer, [*above, name])
            finally:
                os.close(outer)
        finally:
            os.close(inner)

    def _is_linked(
        self, status: os.stat_result, target: int, name: bytes, above: list[bytes]
    ) -> bool:
        """Whether it is a further name of a file that was copied; then it is one of the copy."""
        if status.st_nlink < 2:
            return False
        path = b"/".join((*above, name))
        first = self._first.setdefault((status.st_dev, status.st_ino), path)
        if first == path:
            return False
        _make_way(target, name)
        os.link(first, name, src_dir_fd=self._root, dst_dir_fd=target, follow_symlinks=False)
        return True


def _make(source: int, status: os.stat_result, target: int, name: bytes) -> None:
    """Make what is no directory."""
    if stat.S_ISREG(status.st_mode):
        fd = os.open(name, _READ, dir_fd=source)
        try:
            _write(fd, status, target, name)
        finally:
            os.close(fd)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target)


def _make_directory(target: int, name: bytes) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=target)
    except FileExistsError:
        if stat.S_ISDIR(os.stat(name, dir_fd=target, follow_symlinks=False).st_mode):
            return
        os.unlink(name, dir_fd=target)
        os.mkdir(name, 0o700, dir_fd=target)


def _write(source: int, status: os.stat_result, target: int, name: bytes) -> None:
    """Write the content of an open file; where it has holes, they stay."""
    fd = os.open(name, _WRITE, 0o600, dir_fd=target)
    try:
        at = 0
        while at < status.st_size:
            try:
                at = os.lseek(source, at, os.SEEK_DATA)
            except OSError:
                break  # Nothing but a hole follows.
            at = _copy_range(source, fd, at, os.lseek(source, at, os.SEEK_HOLE))
        os.ftruncate(fd, status.st_size)
    finally:
        os.close(fd)


def _copy_range(source: int, target: int, start: int, end: int) -> int:
    os.lseek(target, start, os.SEEK_SET)
    at = start
    while at < end:
        done = os.sendfile(target, source, at, min(_CHUNK, end - at))
        if not done:
            return end  # It became shorter meanwhile.
        at += done
    return at


def _make_way(target: int, name: bytes) -> None:
    try:
        status = os.stat(name, dir_fd=target, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        raise InvalidError(f"a directory is not overwritten with a file: {os.fsdecode(name)}")
    os.unlink(name, dir_fd=target)


def _finish(
    status: os.stat_result,
    xattrs: Mapping[bytes, bytes],
    target: int,
    name: bytes,
    owners: Owners,
) -> None:
    """Give a copy its owner, then what a new owner would take away again, and last its times."""
    os.chown(name, *owners.of(status), dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
    for key, value in xattrs.items():
        if not key.startswith(_SKIPPED):
            set_xattr_at(target, name, key, value)
    times = status.st_atime_ns, status.st_mtime_ns
    os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
