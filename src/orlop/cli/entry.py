"""Where the command begins: what Ctrl-C does before and after there is anything to undo."""

from __future__ import annotations

import gc
import signal
from typing import Final, NoReturn

_OBJECTS: Final = 100_000
"""Objects between two looks for garbage: modules are many objects, and none of them is any. Nor has
a merged tree of a hundred thousand any cycles: looking for some would cost a quarter of merging."""


def main() -> NoReturn:
    """Load the command line, run one command, and end with its exit code.

    While modules load, an interrupt ends the process at once, as the shell's own programs end:
    nothing has been begun. From then on `orlop.cli.main` makes an end of what has.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # else whoever started this has it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.set_threshold(_OBJECTS, 50, 50)
    from orlop._sys.leave import leave
    from orlop.cli.main import main as run

    signal.signal(signal.SIGINT, handler)
    try:
        code = run()
    finally:
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    leave(code)
