"""Names below a layout's directory, reached by handle: no symbolic link is followed on the way."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from orlop.errors import NotFoundError, UnsafePathError

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY_MODE: Final = 0o755

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_root(path: str) -> int:
    """A handle of the layout's directory, which may itself be reached by a symbolic link.

    Raises:
        NotFoundError: There is no such directory.
        OSError: It cannot be opened (EACCES, ENOTDIR).
    """
    try:
        return os.open(path, _DIRECTORY)
    except FileNotFoundError:
        raise NotFoundError(f"no such directory: {path}") from None


@contextmanager
def directory_of(root: int, path: str, *, make: bool) -> Iterator[tuple[int, str]]:
    """A handle of the directory that a path lies in, and the name that it has there.

    Args:
        root: A handle of the layout's directory.
        path: Below it, checked.
        make: Whether to make the directories that are missing, durably.

    Raises:
        UnsafePathError: A directory that was to be made is something else, such as a symbolic link.
        OSError: A directory cannot be opened or made (ENOENT, EACCES), or is none (ENOTDIR), as
            a symbolic link is.
    """
    *parents, name = path.split("/")
    fd = os.dup(root)
    try:
        for parent in parents:
            if make:
                _make(parent, fd)
            below = _open_below(parent, fd, path, make=make)
            os.close(fd)
            fd = below
        yield fd, name
    finally:
        os.close(fd)


def make_root(path: str) -> None:
    """Make the layout's directory and its parents, durably, unless it is there.

    Raises:
        OSError: It cannot be made (EACCES), or is a file (ENOTDIR).
    """
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path) or os.curdir
    with suppress(FileExistsError):
        os.mkdir(path, DIRECTORY_MODE) if os.path.isdir(parent) else _make_below(parent, path)
    fd = os.open(parent, _DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def iter_paths(root: int, prefix: str, skip: str) -> Iterator[str]:
    """The path of everything below a directory but directories, in bytewise order.

    Args:
        root: A handle of the directory.
        prefix: What the paths begin with.
        skip: What the names in the directory itself that are passed over begin with.
    """
    pending = [""]
    while pending:
        path = pending.pop()
        if path and not path.endswith("/"):
            yield path
            continue
        names = _names(root, path)
        if not path:
            names = [name for name in names if not name.startswith(skip)]
        below = [path + name for name in names]
        pending += sorted(filter(lambda name: _leads(name, prefix), below), reverse=True)


def is_same_file(fd: int, name: str, parent: int | None = None) -> bool:
    """Whether the name, a path where no parent is given, still means the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=parent, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _open_below(name: str, parent: int, path: str, *, make: bool) -> int:
    try:
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except NotADirectoryError as error:
        if not make:
            raise
        raise UnsafePathError(f"{name} is no directory", where=path) from error


def _make_below(parent: str, path: str) -> None:
    make_root(parent)
    os.mkdir(path, DIRECTORY_MODE)


def _make(name: str, parent: int) -> None:
    """Make one directory of exactly this mode, whatever the umask; durable."""
    try:
        os.mkdir(name, DIRECTORY_MODE, dir_fd=parent)
    except FileExistsError:
        return
    os.chmod(name, DIRECTORY_MODE, dir_fd=parent)
    os.fsync(parent)


def _names(root: int, path: str) -> list[str]:
    """The names in a directory, those of directories with a slash; none where it has gone."""
    try:
        with directory_of(root, path, make=False) as (fd, _), os.scandir(fd) as entries:
            return [
                entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
                for entry in entries
            ]
    except FileNotFoundError:
        return []


def _leads(path: str, prefix: str) -> bool:
    return path.startswith(prefix) or (path.endswith("/") and prefix.startswith(path))
