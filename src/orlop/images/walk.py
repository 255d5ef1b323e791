"""Walking: every descriptor of a graph is shown to a handler, and those that it gives as well.

Neither recursion nor an endless graph can come of it: a digest that is met again is passed over,
and depth and number are limited.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeAlias

from orlop.errors import LimitExceededError
from orlop.images.handlers import SkipDescriptor, handlers
from orlop.mediatype import is_index, is_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.images.handlers import Handler
    from orlop.spec.descriptor import Descriptor

MAX_DEPTH: Final = 32
"""Descriptors that may lie one inside the other, the first of them counted, along the way by which
the last of them is met first."""
MAX_VISITS: Final = 1 << 20
"""Descriptors that one walk may visit."""


def walk(handler: Handler, *descriptors: Descriptor, again: bool = False) -> None:
    """Show a handler these descriptors and, one after the other, all that it gives.

    The order is that of a document read from top to bottom: a descriptor, then all that lies
    below it, then its next sibling. The graph is walked without recursion.

    Args:
        handler: Shown each descriptor; gives those below it. `SkipDescriptor` leaves out what is
            below, `StopHandler` does the same in a handler that stands alone, and any other
            exception ends the walk.
        descriptors: Where to begin.
        again: Visit a digest each time that it is met, and not only the first time.

    Raises:
        LimitExceededError: Descriptors lie deeper than `MAX_DEPTH`, or are more than `MAX_VISITS`.
        Exception: Whatever the handler raises.
    """
    for _ in iter_walk(handler, *descriptors, again=again):
        pass


def iter_walk(
    handler: Handler, *descriptors: Descriptor, again: bool = False
) -> Iterator[Descriptor]:
    """The descriptors that `walk` visits, each after the handler has seen it; raises as it does."""
    visits = Visits(again=again)
    waiting = list(reversed(begin(descriptors)))
    while waiting:
        descriptor, depth = waiting.pop()
        if visits.enter(descriptor, depth):
            waiting += reversed(below(handler, descriptor, depth))
            yield descriptor


Place: TypeAlias = "tuple[Descriptor, int]"
"""A descriptor, and how many lie above it, with itself."""


def begin(descriptors: Sequence[Descriptor]) -> list[Place]:
    """These descriptors, with nothing above them."""
    return [(descriptor, 1) for descriptor in descriptors]


def below(handler: Handler, descriptor: Descriptor, depth: int) -> Sequence[Place]:
    """Show one descriptor to the handler; those that it gives."""
    try:
        return [(child, depth + 1) for child in handlers(handler)(descriptor)]
    except SkipDescriptor:
        return ()


class Visits:
    """What one walk has seen; for many threads.

    Args:
        again: Whether to visit a digest each time that it is met.
    """

    def __init__(self, *, again: bool = False) -> None:
        self._again = again
        self._count = 0
        self._seen: set[tuple[str, bool]] = set()
        self._lock = threading.Lock()

    def enter(self, descriptor: Descriptor, depth: int) -> bool:
        """Whether to visit a descriptor now.

        A digest that one descriptor calls a document and another a blob counts as two, so that
        neither hides what the other leads to.

        Raises:
            LimitExceededError: It lies too deep, or there are too many.
        """
        media_type = descriptor.media_type
        key = descriptor.digest, is_manifest(media_type) or is_index(media_type)
        with self._lock:
            if key in self._seen and not self._again:
                return False
            self._seen.add(key)
            self._count += 1
            count = self._count
        if depth > MAX_DEPTH:
            raise LimitExceededError(
                f"{descriptor.digest} lies too deep inside others",
                limit="MAX_DEPTH",
                value=MAX_DEPTH,
            )
        if count > MAX_VISITS:
            raise LimitExceededError(
                f"there are too many descriptors to visit, {descriptor.digest} being one of them",
                limit="MAX_VISITS",
                value=MAX_VISITS,
            )
        return True
