"""Watching a container while it runs: its end, the signals for it, and what it writes."""

from __future__ import annotations

import os
import selectors
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Literal, Self

from orlop._sys.handle import Fd
from orlop.errors import LimitExceededError, RunTimeoutError
from orlop.runtime.terminal import resize_inside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from orlop._sys.signals import SignalFile
    from orlop.runtime.streams import Streams

MAX_CAPTURED: Final = 100 << 20
"""Bytes of one output that are kept."""

_CHUNK: Final = 1 << 16
_SIGNAL_BASE: Final = 128
_LONGEST_WAIT: Final = 3600
"""Seconds that are waited at once; the kernel takes no more than some weeks."""
_IGNORED: Final = frozenset({signal.SIGWINCH})
"""What does not end a container that has not begun."""


class Watch:
    """One container that runs; a context manager, which kills it where it is left too early.

    Args:
        signals: Signals that go to the container, if any.
        pid_file: What is there once the container's command has been started.
        terminal: A descriptor of this process's terminal, where the container has it.
    """

    def __init__(
        self, signals: SignalFile | None, pid_file: Path, terminal: int | None = None
    ) -> None:
        self._terminal = terminal
        self._signals = signals
        self._pid_file = pid_file
        self._stack = ExitStack()
        self._selector = self._stack.enter_context(selectors.DefaultSelector())
        self._kept: dict[str, bytearray] = {}
        self._inside = ExitStack()
        self._input = b""
        self._outputs: set[Fd] = set()
        self._feeding: Fd | None = None
        self._pid = 0
        self._status: int | None = None
        self._asked = 0

    def connect(self, streams: Streams) -> tuple[int, int, int]:
        """The descriptors that the runtime gets; of what is kept, the ends of pipes."""
        if streams.input is not None:
            reading, writing = self._pipe()
            stdin, self._input = self._inside.enter_context(reading).fileno(), streams.input
            os.set_blocking(writing.fileno(), False)
            self._feeding = writing
            self._register(writing, selectors.EVENT_WRITE, lambda: self._feed(writing))
        else:
            stdin = self._number(streams.stdin)
        if not streams.capture:
            return stdin, self._number(streams.stdout), self._number(streams.stderr)
        return stdin, self._keep("stdout"), self._keep("stderr")

    def started(self, pid: int) -> None:
        """Take over the process that runs the container."""
        self._pid = pid
        self._inside.close()
        ended = Fd(os.pidfd_open(pid))
        self._register(ended, selectors.EVENT_READ, lambda: self._reap(ended))
        if self._signals is not None:
            self._selector.register(self._signals, selectors.EVENT_READ, self._pass_on)

    def wait(self, id: str, timeout: float | None) -> int:  # noqa: A002
        """Wait until the container has ended and all that it wrote is read; its exit code.

        Raises:
            RunTimeoutError: It ran for too long, and was killed.
            LimitExceededError: It wrote too much that is kept, and was killed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._status is None or self._outputs:
            left = None if deadline is None else max(0, deadline - time.monotonic())
            ready = self._selector.select(None if left is None else min(left, _LONGEST_WAIT))
            if not ready and left == 0:
                assert timeout is not None
                raise RunTimeoutError(f"container {id}", timeout=timeout)
            for key, _ in ready:
                key.data()
        if self.stopped_early:
            return _SIGNAL_BASE + self._asked
        return self._status if self._status >= 0 else _SIGNAL_BASE - self._status

    @property
    def stopped_early(self) -> bool:
        """Whether a signal has ended the runtime before there was a container."""
        return bool(self._asked) and not self._pid_file.exists()

    def captured(self, name: Literal["stdout", "stderr"]) -> bytes | None:
        """What was written to an output, where it is kept."""
        kept = self._kept.get(name)
        return None if kept is None else bytes(kept)

    def _number(self, stream: int | None) -> int:
        if stream is not None:
            return stream
        null = Fd(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
        return self._inside.enter_context(null).fileno()

    def _pipe(self) -> tuple[Fd, Fd]:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        return Fd(reading), Fd(writing)

    def _keep(self, name: str) -> int:
        reading, writing = self._pipe()
        kept = self._kept[name] = bytearray()
        self._outputs.add(reading)
        self._register(reading, selectors.EVENT_READ, lambda: self._read(reading, name, kept))
        return self._inside.enter_context(writing).fileno()

    def _register(self, file: Fd, events: int, action: Callable[[], None]) -> None:
        self._stack.callback(file.close)
        self._selector.register(file, events, action)

    def _done(self, file: Fd) -> None:
        self._selector.unregister(file)
        file.close()

    def _reap(self, ended: Fd) -> None:
        self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        self._done(ended)
        if self._feeding is not None:
            self._stop_feeding(self._feeding)

    def _read(self, file: Fd, name: str, kept: bytearray) -> None:
        data = os.read(file.fileno(), _CHUNK)
        if not data:
            self._outputs.discard(file)
            self._done(file)
        kept += data
        if len(kept) > MAX_CAPTURED:
            raise LimitExceededError(
                f"the container wrote too much to {name}", limit="MAX_CAPTURED", value=MAX_CAPTURED
            )

    def _feed(self, file: Fd) -> None:
        try:
            self._input = self._input[os.write(file.fileno(), self._input[:_CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._input = b""
        if not self._input:
            self._stop_feeding(file)

    def _stop_feeding(self, file: Fd) -> None:
        self._feeding = None
        self._done(file)

    def _pass_on(self) -> None:
        assert self._signals is not None
        for number, by_kernel in self._signals.read():
            if self._status is not None:
                continue
            if by_kernel and self._terminal is not None:
                self._terminal_changed(number)
            elif listens(self._pid, number):
                self._asked = number
                if not by_kernel:
                    os.kill(self._pid, number)
            elif number not in _IGNORED:
                # Nothing has been begun that would have to be ended in another way.
                self._asked = number
                os.kill(self._pid, signal.SIGKILL)

    def _terminal_changed(self, number: int) -> None:
        """Follow the terminal that the container has, in raw mode: its size, and its end."""
        assert self._terminal is not None
        if number == signal.SIGWINCH:
            resize_inside(self._pid, self._terminal)
        elif number == signal.SIGHUP:
            # Nobody can say anything to the container any more.
            os.kill(self._pid, signal.SIGKILL)
        elif not self._pid_file.exists():
            self._asked = number
            os.kill(self._pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._pid and self._status is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        self._inside.close()
        self._stack.close()


def listens(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal, or waits for it otherwise."""
    bit = 1 << number - 1
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    sets = [line.split()[1] for line in lines if line.startswith((b"SigBlk:", b"SigCgt:"))]
    return any(int(each, 16) & bit for each in sets)
