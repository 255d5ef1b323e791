"""Dispatching: walking with several threads, for work that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.images.walk import Visits, begin, below
from orlop.parallel import Cancellation, run_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.images.handlers import Handler
    from orlop.images.walk import Place
    from orlop.spec.descriptor import Descriptor

DEFAULT_JOBS: Final = 3
"""Handlers that run at once unless told otherwise."""


def dispatch(
    handler: Handler,
    *descriptors: Descriptor,
    jobs: int = DEFAULT_JOBS,
    again: bool = False,
    cancellation: Cancellation | None = None,
) -> None:
    """Show a handler these descriptors and all that it gives, several at once.

    The descriptors visited are those that `walk` visits. One is begun after the one that gave it
    has ended, and among those that may begin the order of `walk` is kept; with one job it is
    `walk`'s order altogether. The handler is called by several threads, never the caller's.

    The first error, in time, lets no other descriptor begin, and is raised when the handlers that
    run have ended, too. They may go on to their own end, or ask at their steps whether to stop:
    `orlop.parallel.current_cancellation().check()`, as `fetch_handler` does. Ctrl-C does the same,
    and waits but a second for those that do not ask.

    Args:
        handler: As for `walk`; `SkipDescriptor` and `StopHandler` are no errors here either.
        descriptors: Where to begin.
        jobs: How many handlers run at once, at least 1.
        again: Visit a digest each time that it is met, and not only the first time.
        cancellation: What stops all of it from outside; one of its own where None.

    Raises:
        LimitExceededError: Descriptors lie deeper than `MAX_DEPTH`, or are more than `MAX_VISITS`.
        CancelledError: It was stopped from outside.
        ValueError: There are no jobs.
        Exception: Whatever the handler raises.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    visits = Visits(again=again)

    def visit(place: Place) -> Sequence[Place]:
        descriptor, depth = place
        return below(handler, descriptor, depth) if visits.enter(descriptor, depth) else ()

    cancellation = cancellation or Cancellation()
    run_tree(visit, begin(descriptors), jobs=jobs, cancellation=cancellation)
