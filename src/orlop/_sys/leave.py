"""Ending a process whose work is done."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process at once, after what was registered to be done at its end.

    The interpreter would take every module and object apart first, which takes longer than many
    commands. What was written to the standard streams is handed on; whatever else was opened is
    closed by now.

    Args:
        code: The exit code.
    """
    try:
        atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing does, before it leaves so
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # Nobody can be told any more.
                if stream is not None:
                    stream.flush()
    finally:
        os._exit(code)
