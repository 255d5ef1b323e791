"""Where `orlop-storage` begins: what Ctrl-C does before and after there is anything to undo."""

from __future__ import annotations

import signal


def main() -> int:
    """Load the command, run it, and return its exit code.

    While modules load, an interrupt ends the process at once: nothing has been begun.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # else whoever started this has it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from orlop.storagecmd.run import main as run

    signal.signal(signal.SIGINT, handler)
    return run()
