"""A few tasks at once: the first error stops the rest, and Ctrl-C is never kept waiting."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from orlop.errors import OrlopError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PATIENCE: Final = 1.0
"""How many seconds a run that failed or was interrupted waits for its threads to put down what
they hold. One that waits for a silent server is left alone: it stops at its next step, and what it
has written so far is gone on with as after a crash."""

Result = TypeVar("Result")


class CancelledError(OrlopError):
    """A task was stopped because another one failed, or because the user asked."""


class Cancellation:
    """Whether the work is to stop; asked by the tasks at every step."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask all tasks to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether they are asked to."""
        return self._event.is_set()

    def check(self) -> None:
        """Go on, or stop here.

        Raises:
            CancelledError: The work is to stop.
        """
        if self._event.is_set():
            raise CancelledError("stopped")

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the work is to stop.

        Raises:
            CancelledError: The work is to stop.
        """
        self._event.wait(seconds)
        self.check()


def run_all(
    tasks: Sequence[Callable[[], Result]], *, jobs: int, cancellation: Cancellation
) -> list[Result]:
    """Run the tasks in up to `jobs` threads, and give their results in the order of the tasks.

    Tasks begin in their order. The first error cancels the others and is raised once they have
    stopped, or have been waited for long enough. The threads are daemons: one that hangs in a dead
    connection keeps neither the error back nor the process alive.

    Raises:
        BaseException: Whatever the first task that failed raised.
        CancelledError: The work was to stop, and no task failed.
    """
    run = _Run(tasks, cancellation)
    threads = [
        threading.Thread(target=run.work, name=f"orlop-{number}", daemon=True)
        for number in range(min(jobs, len(tasks)))
    ]
    try:
        for thread in threads:
            thread.start()
        if threads:
            run.over.wait()
    except BaseException:
        cancellation.cancel()
        _join(threads)
        raise
    _join(threads)
    if run.error is not None:
        raise run.error
    cancellation.check()
    return [run.results[number] for number in range(len(tasks))]


def _join(threads: Sequence[threading.Thread]) -> None:
    end = time.monotonic() + _PATIENCE
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, end - time.monotonic()))


class _Run(Generic[Result]):
    """What the threads of one `run_all` share; `over` is set when all is done, or one failed."""

    def __init__(self, tasks: Sequence[Callable[[], Result]], cancellation: Cancellation) -> None:
        self.results: dict[int, Result] = {}
        self.error: BaseException | None = None
        self.over = threading.Event()
        self._unfinished = len(tasks)
        self._waiting = list(enumerate(tasks))[::-1]
        self._lock = threading.Lock()
        self._cancellation = cancellation

    def work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                if self._cancellation.cancelled:
                    self.over.set()
                    return
                number, task = self._waiting.pop()
            try:
                self.results[number] = task()
            except BaseException as error:
                with self._lock:
                    self.error = self.error or error
                self._cancellation.cancel()
                self.over.set()
            with self._lock:
                self._unfinished -= 1
                if not self._unfinished:
                    self.over.set()
