"""The terminal that a command was started from, which a container may have for itself.

The runtime does the work: it makes a terminal in the container, switches this one to raw mode, and
copies in both directions, with changes of the size. Whatever becomes of it, this one is switched
back.
"""

from __future__ import annotations

import os
import signal
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orlop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator


def require_terminal(streams: tuple[int, int, int]) -> None:
    """Succeed if standard input and output are a terminal.

    Raises:
        UnsupportedError: One is none.
    """
    for number, name in zip(streams, ("input", "output"), strict=False):
        if not os.isatty(number):
            raise UnsupportedError(
                f"standard {name} is no terminal, which the container is to have",
                hint="run it from a terminal, or without one in the container (no -t)",
            )


@contextmanager
def restored(number: int) -> Iterator[None]:
    """Leave a terminal as it was before the block; nothing happens to what is none."""
    if not os.isatty(number):
        yield
        return
    before = termios.tcgetattr(number)
    try:
        yield
    finally:
        # In the background, whoever changes the terminal is stopped by this signal.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            termios.tcsetattr(number, termios.TCSADRAIN, before)
        except termios.error:
            pass  # It has been hung up.
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
