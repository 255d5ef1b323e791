"""The command line: how each command is found, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper

from orlop.cli.failure import DONE, drop, interrupt_behind, report
from orlop.cli.quick import read
from orlop.cli.settings import Settings, current


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 done, 1 failed, 2 wrong usage, 3 not found, 4 verification failed, 5 busy, 130 interrupted.

    Args:
        arguments: Those of the process where None.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    _open_streams()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show
    words = sys.argv[1:] if arguments is None else arguments
    try:
        result = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        drop(sys.stdout)  # Whoever read this has seen enough.
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        # No other name for it: it would keep this frame, and all that is open below it.
        if _wants_traceback(interrupt_behind(error) or error):
            raise
        _finish_output()
        return report(interrupt_behind(error) or error)
    return result if isinstance(result, int) else DONE


def _run(words: list[str]) -> object:
    call = read(words)
    if call is None:
        from orlop.cli.full import run

        return run(words)
    current.set(Settings.of(call.common.get("root"), call.common.get("run")))
    return call.function(*call.arguments, **call.options)


def _open_streams() -> None:
    """Have all three streams, so that no file gets the number of one; a closed one is of no use."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if fd != number:
                os.dup2(fd, number)
                os.close(fd)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - for good


def _finish_output() -> None:
    """Write what is left, or drop it: the interpreter would fail on it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        drop(sys.stdout)


def _wants_traceback(error: BaseException) -> bool:
    """Whether an error is one of the program: neither the user's nor the machine's."""
    from orlop.errors import OrlopError

    return not isinstance(error, (OrlopError, OSError, KeyboardInterrupt))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
