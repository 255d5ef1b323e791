"""Where the command begins: what Ctrl-C does before and after there is anything to undo."""

from __future__ import annotations

import signal


def main() -> int:
    """Load the command line, run one command, and return its exit code.

    While modules load, an interrupt ends the process at once, as the shell's own programs end:
    nothing has been begun. From then on `orlop.cli.main` makes an end of what has.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # else whoever started this has it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from orlop.cli.main import main as run

    signal.signal(signal.SIGINT, handler)
    try:
        return run()
    finally:
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
