"""Removing directory trees: of any depth, by handle, and never outside of them."""

from __future__ import annotations

import errno
import os
import stat
from itertools import islice
from typing import Final

from orlop.rootfs.handles import OPEN_DIRECTORY, Handles, Place

_BATCH: Final = 10_000
_TRAVERSABLE: Final = 0o700


def remove_tree(parent_fd: int, name: bytes) -> None:
    """Remove `name` and everything below it; success means that it is not there any more.

    Symbolic links are removed, never followed. Directories whose owner may not enter them are
    opened up first. What others remove or add meanwhile is removed too.

    Args:
        parent_fd: The directory that holds `name`; borrowed.
        name: One name, of a directory or of anything else.

    Raises:
        OSError: Something cannot be removed, with its path; EBUSY where a filesystem is mounted.
        UnsafePathError: A directory was moved while it was being removed.
    """
    try:
        if _unlink(parent_fd, name):
            return
        _allow(parent_fd, name)
        top = os.open(name, OPEN_DIRECTORY, dir_fd=parent_fd)
    except FileNotFoundError:
        return
    try:
        with Handles(Place(None, b"", top)) as handles:
            _Remover(handles).empty()
    finally:
        os.close(top)
    try:
        os.rmdir(name, dir_fd=parent_fd)
    except FileNotFoundError:
        pass


class _Remover:
    def __init__(self, handles: Handles) -> None:
        self._handles = handles
        self._place = handles.root
        self._name = b""
        self._device = os.fstat(handles.root.fd).st_dev

    def empty(self) -> None:
        """Remove everything below the root."""
        try:
            self._empty()
        except OSError as error:
            path = self._place.path(self._name)
            raise OSError(error.errno, error.strerror, path) from error

    def _empty(self) -> None:
        stack = [self._unlink_files()]
        while stack:
            if stack[-1]:
                if self._enter(stack[-1].pop()):
                    stack.append(self._unlink_files())
                continue
            if self._place.parent is not None and self._leave():
                stack.pop()
                continue
            stack[-1] = self._unlink_files()
            if not stack[-1] and self._place.parent is None:
                return

    def _unlink_files(self) -> list[bytes]:
        """Unlink what is no directory here until directories are met, and return their names."""
        fd = self._handles.get(self._place)
        while True:
            with os.scandir(fd) as entries:
                batch = [
                    (os.fsencode(entry.name), entry.is_dir(follow_symlinks=False))
                    for entry in islice(entries, _BATCH)
                ]
            directories = [name for name, is_directory in batch if is_directory]
            for name, is_directory in batch:
                self._name = name
                if not is_directory and not _unlink(fd, name):
                    directories.append(name)
            self._name = b""
            if directories or len(batch) < _BATCH:
                return directories

    def _enter(self, name: bytes) -> bool:
        """Go down into a directory; False when it is gone."""
        parent_fd = self._handles.get(self._place)
        self._name = name
        below = Place(self._place, name)
        try:
            _allow(parent_fd, name)
            fd = self._handles.get(below)
        except FileNotFoundError:
            return False
        self._place, self._name = below, b""
        if os.fstat(fd).st_dev != self._device:
            raise OSError(errno.EBUSY, "a filesystem is mounted here")
        return True

    def _leave(self) -> bool:
        """Remove the directory at hand and go up; False when something was added to it."""
        place = self._place
        assert place.parent is not None
        parent_fd = self._handles.leave(place)
        try:
            os.rmdir(place.name, dir_fd=parent_fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                return False
            raise
        self._place = place.parent
        return True


def _unlink(parent_fd: int, name: bytes) -> bool:
    """Unlink a name, if it is still there; False for a directory."""
    try:
        os.unlink(name, dir_fd=parent_fd)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        return False
    return True


def _allow(parent_fd: int, name: bytes) -> None:
    """Give the owner access to a directory, where that is not root."""
    if os.geteuid() == 0:
        return
    mode = os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode
    if stat.S_ISDIR(mode) and mode & _TRAVERSABLE != _TRAVERSABLE:
        fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent_fd)
        try:
            os.chmod(f"/proc/self/fd/{fd}", _TRAVERSABLE)
        finally:
            os.close(fd)
