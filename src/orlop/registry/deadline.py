"""Deadlines for what a server can draw out without ever being silent.

A socket's time-out begins anew with every byte, so that endless headers, trailers or interim
answers, and bodies that drip, need a clock of their own.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def deadline(seconds: float, end: Callable[[], None]) -> Iterator[threading.Event]:
    """Call `end` from another thread when the block takes too long.

    Args:
        seconds: How long it may take.
        end: Makes the block fail; may run at the same moment as the block ends.

    Yields:
        An event that is set when the time is over.
    """
    late = threading.Event()

    def ring() -> None:
        late.set()
        end()

    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
