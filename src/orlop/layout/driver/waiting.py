"""Locks of the kernel on open files, waited for no longer than is wanted."""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05


def lock_within(fd: int, operation: int, timeout: float | None) -> bool:
    """Take a lock on an open file; whether it was taken before the time was over.

    Args:
        fd: The file, which the lock belongs to.
        operation: LOCK_SH or LOCK_EX.
        timeout: Seconds to wait; 0 tries once, None waits for ever.
    """
    if timeout is None:
        fcntl.flock(fd, operation)
        return True
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            left = deadline - time.monotonic()
        else:
            return True
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)


@contextmanager
def flocked(fd: int, operation: int) -> Iterator[None]:
    """Hold a lock on an open file, waiting as long as it takes."""
    fcntl.flock(fd, operation)
    try:
        yield
    finally:
        unlock(fd)


def unlock(fd: int) -> None:
    """Let go of a lock: a forked child may hold a copy of the file, so closing is not enough."""
    fcntl.flock(fd, fcntl.LOCK_UN)
