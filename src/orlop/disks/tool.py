"""Running a program that reads its standard input."""

from __future__ import annotations

import os
import signal
import threading
from typing import IO, TYPE_CHECKING, Final

from orlop.errors import ToolError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping, Sequence

MAX_SAID: Final = 2000
"""How many bytes of what a program says an error keeps, the last ones."""
_PATIENCE: Final = 1.0


def feed(command: Sequence[str], pieces: Iterable[bytes], environ: Mapping[str, str]) -> None:
    """Run a program with these bytes as its input; success means that it says so.

    It is in a session of its own, so that Ctrl-C reaches it through this process alone, and it is
    killed with all its children when anything is raised here.

    Args:
        command: The program's path, and its arguments.
        pieces: What it reads.
        environ: Its environment.

    Raises:
        ToolError: It failed, or did not read all.
        OSError: It cannot be started.
    """
    import subprocess

    process = subprocess.Popen(  # noqa: S603  one of the programs that the caller knows
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dict(environ),
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    said = bytearray()
    listener = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
    try:
        listener.start()
        complete = _write(process.stdin, pieces)
        status = process.wait()
    finally:
        _kill(process)
        _close(process.stdin)
        listener.join(_PATIENCE)
    if status or not complete:
        what = "failed" if status else "did not read all that it was given"
        text = " / ".join(said.decode(errors="backslashreplace").split("\n")).strip(" /")
        raise ToolError(f"{command[0]} {what}", status=status, said=text)


def _write(stream: IO[bytes], pieces: Iterable[bytes]) -> bool:
    """Write everything, and close; whether all of it was taken."""
    for piece in pieces:
        try:
            stream.write(piece)
        except BrokenPipeError:
            return False
    return _close(stream)


def _close(stream: IO[bytes]) -> bool:
    try:
        stream.close()
    except BrokenPipeError:
        return False
    return True


def _listen(stream: IO[bytes], said: bytearray) -> None:
    """Keep the end of what comes until nobody writes any more."""
    with stream:
        while piece := os.read(stream.fileno(), 1 << 16):
            said += piece
            del said[:-MAX_SAID]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the program and its children, unless it was waited for and its number is free again."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
