"""A few tasks at once: the first error stops the rest, and Ctrl-C is never kept waiting."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from orlop.errors import OrlopError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PATIENCE: Final = 5.0
"""How many seconds an interrupted run waits for its threads to put down what they hold."""

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
    stopped. The threads are daemons: one that hangs in a dead connection does not keep the
    process alive.

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
        for thread in threads:
            thread.join()
    except BaseException:
        cancellation.cancel()
        for thread in threads:
            if thread.ident is not None:
                thread.join(_PATIENCE)
        raise
    if run.error is not None:
        raise run.error
    cancellation.check()
    return [run.results[number] for number in range(len(tasks))]


class _Run(Generic[Result]):
    """What the threads of one `run_all` share."""

    def __init__(self, tasks: Sequence[Callable[[], Result]], cancellation: Cancellation) -> None:
        self.results: dict[int, Result] = {}
        self.error: BaseException | None = None
        self._waiting = list(enumerate(tasks))[::-1]
        self._lock = threading.Lock()
        self._cancellation = cancellation

    def work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._cancellation.cancelled:
                    return
                number, task = self._waiting.pop()
            try:
                self.results[number] = task()
            except BaseException as error:
                with self._lock:
                    self.error = self.error or error
                self._cancellation.cancel()
