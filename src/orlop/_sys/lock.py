"""Locks between processes and threads, on files that exist for nothing else.

They are `flock` locks: they belong to an open file, so that they keep out other threads of the
same process too, and are not lost when somebody else opens and closes the file. The kernel lets
go of them when their holder dies. The holder of an exclusive lock writes its pid, start and
command into the file, for the message of whoever waits in vain.
"""

from __future__ import annotations

import fcntl
import os
import time
from functools import cache
from typing import TYPE_CHECKING, Final, Self

from orlop._sys.handle import Fd
from orlop._sys.process import command_line, is_alive, process_start
from orlop.errors import InUseError

if TYPE_CHECKING:
    from types import TracebackType

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05
_MAX_RECORD: Final = 512


class FileLock:
    """A lock on a file, held between `acquire` and `release` or inside a `with` block.

    Each object is one holder: it is not shared between threads, and not taken twice.

    Args:
        path: The lock file; made when missing, in a directory that exists. It may be removed or
            replaced by a holder: whoever waited then locks the new one.
        shared: Hold it together with others that want it shared.
        timeout: Seconds to wait; 0 tries once, None waits for ever.
    """

    __slots__ = ("_fd", "_path", "_shared", "_timeout")

    def __init__(
        self, path: str | os.PathLike[str], *, shared: bool = False, timeout: float | None = None
    ) -> None:
        self._path = os.fspath(path)
        self._shared = shared
        self._timeout = timeout
        self._fd: Fd | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd is not None

    def acquire(self) -> None:
        """Hold the lock.

        Raises:
            InUseError: Others held it until the time was over; the message names the holder.
            ValueError: This object holds it already.
            OSError: The file cannot be made or opened.
        """
        if self._fd is not None:
            raise ValueError(f"lock {self._path} is held already by this object")
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while self._fd is None:
            self._fd = self._attempt(deadline)
        if not self._shared:
            _sign(self._fd.fileno())

    def release(self) -> None:
        """Let go of the lock; nothing happens when it is not held."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        with fd:
            if not self._shared:
                _unsign(fd.fileno())
            # A forked child may hold a copy of the descriptor, so closing it is not enough.
            fcntl.flock(fd.fileno(), fcntl.LOCK_UN)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()

    def _attempt(self, deadline: float | None) -> Fd | None:
        """Lock the file that the path names now; None when it is another one by then."""
        flags = (os.O_RDONLY if self._shared else os.O_RDWR) | os.O_CREAT | os.O_NOFOLLOW
        fd = Fd(os.open(self._path, flags | os.O_CLOEXEC, 0o600))
        try:
            self._lock(fd.fileno(), deadline)
            if _same_file(fd.fileno(), self._path):
                return fd
        except BaseException:
            fd.close()
            raise
        fd.close()
        return None

    def _lock(self, fd: int, deadline: float | None) -> None:
        operation = fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX
        if deadline is None:
            fcntl.flock(fd, operation)
            return
        pause = _FIRST_PAUSE
        while True:
            try:
                fcntl.flock(fd, operation | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                left = deadline - time.monotonic()
            if left <= 0:
                holder = _holder(fd)
                raise InUseError(
                    f"{self._path} is locked by {holder or 'others'}",
                    users=[holder] if holder else (),
                    hint="wait until it has finished, or try again with a longer timeout",
                )
            time.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)


def _same_file(fd: int, path: str) -> bool:
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), found)


@cache
def _signature(pid: int) -> bytes:
    text = f"{pid} {process_start(pid) or 0} {command_line(pid)}"
    return text.encode(errors="replace")[: _MAX_RECORD - 1] + b"\n"


def _sign(fd: int) -> None:
    try:
        os.pwrite(fd, _signature(os.getpid()), 0)
    except OSError:
        pass  # A full disk must not keep anybody from locking.


def _unsign(fd: int) -> None:
    try:
        os.pwrite(fd, b"\n", 0)  # An empty record; cutting the file off takes ten times as long.
    except OSError:
        pass


def _holder(fd: int) -> str:
    """Which process holds a lock; empty where that is not known."""
    try:
        record = os.pread(fd, _MAX_RECORD, 0).partition(b"\n")[0].decode(errors="replace")
        pid, start, command = (record + "  ").split(" ", 2)
        if is_alive(int(pid), int(start)):
            return f"process {pid} ({command.strip()})"
    except (OSError, ValueError):
        pass
    return ""
