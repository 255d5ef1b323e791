"""Signals that are read from a file, one by one, with where they come from.

Spec: signalfd(2); sigaction(2), "si_code".
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from orlop._sys.handle import Fd, call

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

_SIZE: Final = 128
_FORMAT: Final = struct.Struct("=Iii")  # ssi_signo, ssi_errno, ssi_code
_SI_KERNEL: Final = 0x80
_MOST: Final = 16
_SET: Final = ctypes.c_ulong * (1024 // (8 * ctypes.sizeof(ctypes.c_ulong)))


class Received(NamedTuple):
    """A signal that came.

    Attributes:
        number: Which.
        by_kernel: Whether it comes from a terminal, whose other processes have got it as well.
    """

    number: int
    by_kernel: bool


class SignalFile:
    """Signals that come to this thread inside a `with` block are read instead of handled.

    What has come and was not read is handled at the end.

    Args:
        numbers: Which signals.
    """

    def __init__(self, numbers: Collection[int]) -> None:
        self._numbers = frozenset(numbers)
        self._mask: set[signal.Signals | int] = set()
        self._fd: Fd | None = None

    def fileno(self) -> int:
        """The descriptor, which can be read when a signal has come."""
        assert self._fd is not None
        return self._fd.fileno()

    def read(self) -> list[Received]:
        """The signals that have come; none where there are none."""
        try:
            data = os.read(self.fileno(), _MOST * _SIZE)
        except BlockingIOError:
            return []
        found = (_FORMAT.unpack_from(data, at) for at in range(0, len(data), _SIZE))
        return [Received(number, code == _SI_KERNEL) for number, _, code in found]

    def __enter__(self) -> Self:
        # The library's own set has room for 1024 signals; the numbers begin with 1.
        wanted = _SET()
        width = 8 * ctypes.sizeof(ctypes.c_ulong)
        for number in self._numbers:
            wanted[(number - 1) // width] |= 1 << (number - 1) % width
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        try:
            data = ctypes.create_string_buffer(bytes(wanted), ctypes.sizeof(wanted))
            self._fd = Fd(call("signalfd", -1, data, os.O_CLOEXEC | os.O_NONBLOCK))
        except BaseException:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._fd is not None
        self._fd.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
