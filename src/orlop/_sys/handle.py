"""File descriptors with an owner, and the kernel calls that Python has no function for.

Numbers of system calls from 424 on are the same on every machine that Linux runs on but Alpha.
Whatever is older is called by its libc symbol.
"""

from __future__ import annotations

import ctypes
import errno
import os
import warnings
from typing import TYPE_CHECKING, Final, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

libc: Final = ctypes.CDLL(None, use_errno=True)

AT_FDCWD: Final = -100
AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_NO_AUTOMOUNT: Final = 0x800
AT_EMPTY_PATH: Final = 0x1000

Argument = int | bytes | ctypes.Array[ctypes.c_char] | None

_NUMBERS: Final = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "openat2": 437,
    "mount_setattr": 442,
}


class HasFileno(Protocol):
    """Anything with a file descriptor."""

    def fileno(self) -> int:
        """The descriptor's number."""


class Fd:
    """An open file descriptor that is closed once, by its owner.

    Args:
        number: The descriptor; it belongs to this object from now on.
    """

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """The descriptor's number.

        Raises:
            ValueError: It has been closed or given away.
        """
        if self._number < 0:
            raise ValueError("the file descriptor is closed")
        return self._number

    @property
    def closed(self) -> bool:
        """Whether it has been closed or given away."""
        return self._number < 0

    def detach(self) -> int:
        """Give the descriptor away: from now on the caller closes it."""
        number, self._number = self.fileno(), -1
        return number

    def close(self) -> None:
        """Close the descriptor; nothing happens the second time."""
        if self._number >= 0:
            os.close(self.detach())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._number >= 0:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            self.close()

    def __repr__(self) -> str:
        return f"Fd({self._number})"


def failure(name: str, number: int, path: object = None, detail: str = "") -> OSError:
    """The exception of a failed call: errno, the call's name, what the kernel adds, the path."""
    text = f"{name}: {os.strerror(number)}" + (f" ({detail})" if detail else "")
    if path is None:
        return OSError(number, text)
    return OSError(number, text, os.fspath(path) if isinstance(path, os.PathLike) else path)


def call(name: str, *arguments: Argument, path: object = None) -> int:
    """Make a system call and return its result, which is not negative.

    Args:
        name: The call: one of the new ones by number, every other by its libc symbol.
        *arguments: Integers are passed as long, bytes and buffers by address, None as NULL.
        path: What the call is about, for the error.

    Raises:
        OSError: The call failed; the message begins with its name. Interrupted calls are repeated.
    """
    plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    number = _NUMBERS.get(name)
    while True:
        if number is None:
            result = int(getattr(libc, name)(*plain))
        else:
            result = int(libc.syscall(ctypes.c_long(number), *plain))
        if result >= 0:
            return result
        if ctypes.get_errno() != errno.EINTR:
            raise failure(name, ctypes.get_errno(), path)


def fd_path(handle: HasFileno | int) -> bytes:
    """A short path that names an open file, whatever its own path is."""
    number = handle if isinstance(handle, int) else handle.fileno()
    return b"/proc/self/fd/%d" % number
