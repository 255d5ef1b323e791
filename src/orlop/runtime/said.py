"""What a runtime says when it could not run a container, told from a command that failed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orlop.errors import RuntimeFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.runtime.find import Runtime

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
_LOG_SIZE: Final = 1 << 16
_SAID_SIZE: Final = 500
_MISSING: Final = re.compile(
    r"executable file.* not found in \$PATH|exec: .*: no such file or directory"
    r"|open executable: No such file|exec.*stat .*: no such file or directory", re.IGNORECASE
)  # fmt: skip
_DENIED: Final = re.compile(
    r"exec: .*: (permission denied|is a directory)"
    r"|open executable: (Permission denied|Operation not permitted)"
    r"|exec format error|executable file .*: Permission denied", re.IGNORECASE
)  # fmt: skip


def failure_of(
    runtime: Runtime, state: Path, status: int, stderr: bytes | None
) -> RuntimeFailedError | None:
    """Why a runtime did not start a container's command; None where it did.

    Args:
        runtime: Which one.
        state: See `run_bundle`.
        status: What it ended with.
        stderr: What it and the container wrote to the standard error output, if that was kept.
    """
    started = _started(state / "pid")
    said = _last_error(state / "log")
    if started and not said:
        return None
    if started and status != 1:
        return None  # It could not clean up, and has passed on how the command ended.
    text = said or " ".join((stderr or b"").decode(errors="backslashreplace").split())
    code, hint = _meaning(text)
    return RuntimeFailedError(
        f"{runtime.name} could not start the container",
        status=status,
        said=text[-_SAID_SIZE:],
        exit_code=code,
        hint=hint,
    )


def _meaning(text: str) -> tuple[int, str | None]:
    if _MISSING.search(text):
        return NOT_FOUND, "the image has no such command: name another one, by its path"
    if _DENIED.search(text):
        return NOT_EXECUTABLE, "it is no program that the container's user may execute here"
    return 125, None


def _started(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _last_error(path: Path) -> str:
    """The last error in a log; empty where there is none."""
    import json

    try:
        with open(path, "rb") as file:
            lines = file.read(_LOG_SIZE).splitlines()
    except FileNotFoundError:
        return ""
    for line in reversed(lines):
        try:
            record = json.loads(line)
        except ValueError:
            return line.decode(errors="backslashreplace")
        if isinstance(record, dict) and record.get("level") in {"error", "fatal", "panic"}:
            return " ".join(str(record.get("msg", "")).split())
    return ""
