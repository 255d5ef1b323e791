"""Where `orlop-storage` begins: what Ctrl-C does before and after there is anything to undo."""

from __future__ import annotations

import gc
import signal
from typing import Final, NoReturn

_OBJECTS: Final = 50_000
"""Objects between two looks for garbage: modules are many objects, and none of them is any."""


def main() -> NoReturn:
    """Load the command, run it, and end with its exit code.

    While modules load, an interrupt ends the process at once: nothing has been begun.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # else whoever started this has it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.set_threshold(_OBJECTS)
    from orlop._sys.leave import leave
    from orlop.storagecmd.run import main as run

    signal.signal(signal.SIGINT, handler)
    leave(run())
