"""Directories of layers while they are read: nobody removes one under its readers.

A reader holds a shared lock on the directory itself; whoever removes it takes the lock alone, and
does not wait. A mount needs no lock: it is recorded, and that is asked for.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orlop.errors import ConflictError, InUseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_shared(path: Path) -> int:
    """Open a layer's directory; as long as it is open, nobody removes it.

    Raises:
        ConflictError: It has just been removed.
        OSError: It cannot be opened.
    """
    try:
        fd = os.open(path, _OPEN)
    except FileNotFoundError as error:
        raise _gone(path) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        if os.path.samestat(os.fstat(fd), os.stat(path)):
            return fd
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    raise _gone(path)


def close_shared(fd: int) -> None:
    """Let go of a directory; a forked child may hold a copy of the descriptor."""
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


@contextmanager
def unread(path: Path) -> Iterator[None]:
    """A block in which nobody reads a layer's directory, if there is one.

    Raises:
        InUseError: Somebody does just now.
    """
    try:
        fd = os.open(path, _OPEN)
    except (FileNotFoundError, NotADirectoryError):
        yield
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise InUseError(f"{path} is being read", hint="wait until that has ended") from None
    try:
        yield
    finally:
        close_shared(fd)


def _gone(path: Path) -> ConflictError:
    return ConflictError(f"layer {path.parent.name} has just been changed", hint="try again")
