"""What a container's standard streams are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """What a container's standard streams are.

    Attributes:
        stdin: An open file's descriptor; None for an empty one.
        stdout: Likewise; None to drop what is written.
        stderr: Likewise.
        input: Bytes for standard input, instead of a file.
        capture: Keep what is written to both outputs, instead of writing it to files.
        terminal: Whether the container has the terminal that the first two are.
    """

    stdin: int | None = 0
    stdout: int | None = 1
    stderr: int | None = 2
    input: bytes | None = None
    capture: bool = False
    terminal: bool = False
