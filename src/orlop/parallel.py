"""A few tasks at once: the first error stops the rest, and Ctrl-C is never kept waiting."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from orlop.errors import OrlopError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_PATIENCE: Final = 1.0
"""How many seconds a run that failed or was interrupted waits for its threads to put down what
they hold. One that waits for a silent server is left alone: it stops at its next step, and what it
has written so far is gone on with as after a crash."""

Result = TypeVar("Result")
Item = TypeVar("Item")


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


def current_cancellation() -> Cancellation:
    """The cancellation of the run that this thread works for; else one that nobody cancels.

    For work that is handed no cancellation, such as a plain function that others compose.
    """
    found: Cancellation | None = getattr(_WORKER, "cancellation", None)
    return found or Cancellation()


_WORKER: Final = threading.local()


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
    results: dict[int, Result] = {}

    def work(number: int) -> tuple[int, ...]:
        results[number] = tasks[number]()
        return ()

    numbers = range(len(tasks))
    _Run(work, numbers, cancellation).run(min(jobs, len(tasks)), _PATIENCE)
    return [results[number] for number in numbers]


def run_tree(
    work: Callable[[Item], Iterable[Item]],
    items: Sequence[Item],
    *,
    jobs: int,
    cancellation: Cancellation,
) -> None:
    """Do the work of these items, and of those that it gives, in `jobs` threads.

    An item is begun after the one that gave it has ended; of those that wait, the next is the one
    that would be next without threads, depth first. The first error cancels the rest and is raised
    when all others have stopped, however long they take; Ctrl-C does not wait for them so long.

    Raises:
        BaseException: Whatever the first work that failed raised.
        CancelledError: The work was to stop, and none failed.
    """
    _Run(work, items, cancellation).run(jobs, None)


class _Run(Generic[Item]):
    """What the threads of one run share; `over` is set when all is done, or one failed."""

    def __init__(
        self,
        work: Callable[[Item], Iterable[Item]],
        items: Sequence[Item],
        cancellation: Cancellation,
    ) -> None:
        self._work = work
        self._waiting = list(items)[::-1]
        self._busy = 0
        self._error: BaseException | None = None
        self._cancellation = cancellation
        self._changed = threading.Condition()
        self._over = threading.Event()

    def run(self, jobs: int, patience: float | None) -> None:
        """Do all of it, and wait `patience` seconds for what an error interrupts."""
        threads = [
            threading.Thread(target=self._serve, name=f"orlop-{number}", daemon=True)
            for number in range(jobs)
        ]
        try:
            for thread in threads:
                thread.start()
            if threads:
                self._over.wait()
        except BaseException:
            self._stop()
            _join(threads, _PATIENCE)
            raise
        _join(threads, patience)
        if self._error is not None:
            raise self._error
        self._cancellation.check()

    def _serve(self) -> None:
        _WORKER.cancellation = self._cancellation
        while taken := self._take():
            try:
                more = [*self._work(taken[0])]
            except BaseException as error:
                self._fail(error)
                more = []
            with self._changed:
                self._waiting += reversed(more)
                self._busy -= 1
                self._changed.notify_all()

    def _take(self) -> tuple[Item] | None:
        """The next item; None when there are no more, or no more are to be begun."""
        with self._changed:
            while self._busy and not self._waiting and not self._cancellation.cancelled:
                self._changed.wait()
            if not self._waiting or self._cancellation.cancelled:
                self._over.set()
                return None
            self._busy += 1
            return (self._waiting.pop(),)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
        self._stop()
        self._over.set()

    def _stop(self) -> None:
        self._cancellation.cancel()
        with self._changed:
            self._changed.notify_all()


def _join(threads: Sequence[threading.Thread], patience: float | None) -> None:
    end = None if patience is None else time.monotonic() + patience
    for thread in threads:
        if thread.ident is not None:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
