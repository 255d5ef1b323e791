"""Ending a process whose work is done."""

from __future__ import annotations

import atexit
import os
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process at once, after what was registered to be done at its end.

    The interpreter would take every module and object apart first, which takes longer than many
    commands. Whatever was opened is closed by now, and standard output is flushed.

    Args:
        code: The exit code.
    """
    try:
        atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing does, before it leaves so
    finally:
        os._exit(code)
