"""Opening paths that others chose, below a directory handle that is ours.

`open_in_root` reads absolute links and `..` as a process would that is rooted in the directory;
`open_beneath` refuses (EXDEV) whatever leaves it, even for a moment. Where the kernel or a seccomp
profile refuses `openat2`, the same is done step by step, with a handle for each directory.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from functools import cache
from typing import Final

from orlop._sys.handle import call, failure

RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10

MAX_LINKS: Final = 40
"""Symbolic links that one path may lead through, as in the kernel."""
MAX_DEPTH: Final = 256
"""Directories that the walk without `openat2` may be deep."""

_HOW: Final = struct.Struct("=QQQ")  # flags, mode, resolve
_ATTEMPTS: Final = 128


def open_in_root(
    dir_fd: int, path: bytes, flags: int, mode: int = 0, *, follow: bool = True
) -> int:
    """Open a path as seen by a process whose root is `dir_fd`, and return the descriptor.

    Args:
        dir_fd: The directory; no part of the path leads out of it.
        path: Absolute or relative, both mean below `dir_fd`.
        flags: As for `os.open`; O_CLOEXEC is added.
        mode: Permissions of a file made by O_CREAT.
        follow: Follow symbolic links inside; otherwise any link is ELOOP.

    Raises:
        OSError: It cannot be opened; the path is in the error.
    """
    return _open(dir_fd, path, flags, mode, RESOLVE_IN_ROOT, follow=follow)


def open_beneath(
    dir_fd: int,
    path: bytes,
    flags: int,
    mode: int = 0,
    *,
    follow: bool = False,
    one_mount: bool = False,
) -> int:
    """Open a path that stays below `dir_fd` at every step, and return the descriptor.

    Args:
        dir_fd: The directory.
        path: Relative.
        flags: As for `os.open`; O_CLOEXEC is added.
        mode: Permissions of a file made by O_CREAT.
        follow: Follow symbolic links that stay below; otherwise any link is ELOOP.
        one_mount: Refuse what is mounted below the directory; without `openat2` only where it is
            another filesystem.

    Raises:
        OSError: EXDEV when the path leaves the directory; else why it cannot be opened.
    """
    if not one_mount:
        return _open(dir_fd, path, flags, mode, RESOLVE_BENEATH, follow=follow)
    if _has_openat2():
        scope = RESOLVE_BENEATH | RESOLVE_NO_XDEV
        return _open(dir_fd, path, flags, mode, scope, follow=follow)
    fd = _open(dir_fd, path, flags, mode, RESOLVE_BENEATH, follow=follow)
    if os.fstat(fd).st_dev == os.fstat(dir_fd).st_dev:
        return fd
    os.close(fd)
    raise failure("open", errno.EXDEV, path)


def openat2(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
    """Make the system call itself, again while a rename elsewhere disturbs it (EAGAIN)."""
    creates = flags & os.O_CREAT or flags & os.O_TMPFILE == os.O_TMPFILE
    how = _HOW.pack(flags | os.O_CLOEXEC, mode if creates else 0, resolve)
    for _ in range(_ATTEMPTS):
        try:
            return call("openat2", dir_fd, path, how, len(how), path=path)
        except BlockingIOError:
            continue
    raise failure("openat2", errno.EAGAIN, path)


def _open(dir_fd: int, path: bytes, flags: int, mode: int, scope: int, *, follow: bool) -> int:
    if b"\0" in path:
        raise ValueError("embedded null byte")
    if not _has_openat2():
        return walk(dir_fd, path, flags, mode, scope, follow=follow)
    resolve = scope | RESOLVE_NO_MAGICLINKS | (0 if follow else RESOLVE_NO_SYMLINKS)
    return openat2(dir_fd, path, flags, mode, resolve)


@cache
def _has_openat2() -> bool:
    try:
        os.close(openat2(-100, b"/", os.O_PATH, 0, RESOLVE_NO_MAGICLINKS))
    except OSError as error:
        if error.errno in {errno.ENOSYS, errno.EPERM}:
            return False
        raise
    return True


def walk(dir_fd: int, path: bytes, flags: int, mode: int, scope: int, *, follow: bool) -> int:
    """Do what `open_in_root` (scope RESOLVE_IN_ROOT) or `open_beneath` does, without `openat2`.

    A magic link of procfs is taken by its text, so that it leads nowhere outside either.
    """
    trail = _Trail(dir_fd, path, scope)
    try:
        return trail.open(path, flags | os.O_CLOEXEC, mode, follow=follow)
    finally:
        trail.close()


class _Trail:
    """The directories from the root to where the walk is, each held open."""

    def __init__(self, dir_fd: int, path: bytes, scope: int) -> None:
        self._handles = [os.dup(dir_fd)]
        self._path = path
        self._scope = scope
        self._links = 0

    def close(self) -> None:
        while self._handles:
            os.close(self._handles.pop())

    def open(self, path: bytes, flags: int, mode: int, *, follow: bool) -> int:
        if not path:
            raise self._failure(errno.ENOENT)
        pending = self._split(path)
        name = b"."
        while pending:
            name = pending.pop()
            if name == b".":
                continue
            if name == b"..":
                self._leave()
                name = b"."
            elif (target := self._link(name, flags, last=not pending)) is not None:
                if not follow:
                    raise self._failure(errno.ELOOP)
                pending += self._split(target)
                name = b"."
            elif pending:
                self._enter(name)
                name = b"."
        return self._open_at(name, flags | os.O_NOFOLLOW, mode)

    def _split(self, path: bytes) -> list[bytes]:
        """The steps of a path, last first; an absolute one leads back to the root, or nowhere."""
        if path.startswith(b"/"):
            if self._scope == RESOLVE_BENEATH:
                raise self._failure(errno.EXDEV)
            while len(self._handles) > 1:
                os.close(self._handles.pop())
        steps = [step for step in path.split(b"/") if step not in {b"", b"."}]
        if path.endswith((b"/", b"/.")):
            steps.append(b".")
        return steps[::-1]

    def _leave(self) -> None:
        if len(self._handles) > 1:
            os.close(self._handles.pop())
        elif self._scope == RESOLVE_BENEATH:
            raise self._failure(errno.EXDEV)

    def _enter(self, name: bytes) -> None:
        if len(self._handles) >= MAX_DEPTH:
            raise self._failure(errno.ENAMETOOLONG)
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
        self._handles.append(self._open_at(name, flags, 0))

    def _link(self, name: bytes, flags: int, *, last: bool) -> bytes | None:
        """What the step says when it is a symbolic link to follow."""
        exclusive = flags & os.O_CREAT and flags & os.O_EXCL
        if last and (flags & os.O_NOFOLLOW or exclusive):
            return None
        try:
            found = os.stat(name, dir_fd=self._handles[-1], follow_symlinks=False)
            if not stat.S_ISLNK(found.st_mode):
                return None
            target = os.readlink(name, dir_fd=self._handles[-1])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failure(error.errno or errno.EIO) from None
        self._links += 1
        if self._links > MAX_LINKS:
            raise self._failure(errno.ELOOP)
        return target

    def _open_at(self, name: bytes, flags: int, mode: int) -> int:
        try:
            return os.open(name, flags, mode, dir_fd=self._handles[-1])
        except OSError as error:
            raise self._failure(error.errno or errno.EIO) from None

    def _failure(self, number: int) -> OSError:
        return failure("open", number, self._path)
