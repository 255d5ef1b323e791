"""The terminal that a command was started from, which a container may have for itself.

The runtime does the work: it makes a terminal in the container, switches this one to raw mode, and
copies in both directions, with changes of the size. Whatever becomes of it, this one is switched
back, and the one inside gets its size: not every runtime sees to that.

Spec: termios(3); TIOCSWINSZ(2const).
"""

from __future__ import annotations

import fcntl
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


def size_of(number: int | None) -> tuple[int, int] | None:
    """The height and width of a terminal, in characters; None where it has none."""
    try:
        found = os.get_terminal_size(1 if number is None else number)
    except OSError:
        return None
    return (found.lines, found.columns) if found.lines and found.columns else None


def resize_inside(pid: int, number: int) -> None:
    """Give the terminal of a container the size of this one; nothing happens where it has none.

    Args:
        pid: The runtime, whose child the container's first process is.
        number: A descriptor of this terminal.
    """
    try:
        size = fcntl.ioctl(number, termios.TIOCGWINSZ, bytes(8))
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            children = file.read().split()
        for child in map(int, children):
            inside = os.open(f"/proc/{child}/fd/0", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                if os.isatty(inside):
                    fcntl.ioctl(inside, termios.TIOCSWINSZ, size)
            finally:
                os.close(inside)
    except OSError:
        pass  # It has not begun, or has ended, or what it reads is no file that can be opened.
