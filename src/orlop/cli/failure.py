"""How a command ends: the line on stderr, the hint below it, and the exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable
from typing import Final, TextIO

from orlop.cli.render import clean
from orlop.errors import (
    AmbiguousError,
    ConflictError,
    InUseError,
    InvalidDigestError,
    InvalidFilterError,
    InvalidImageError,
    InvalidPlatformError,
    InvalidReferenceError,
    NotFoundError,
    OrlopError,
    VerificationError,
)

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
VERIFICATION: Final = 4
BUSY: Final = 5
INTERRUPTED: Final = 130

_MAX_CANDIDATES: Final = 10


class UsageError(OrlopError):
    """Options that do not go together."""


_CODES: Final = (
    ((NotFoundError, FileNotFoundError), NOT_FOUND),
    (VerificationError, VERIFICATION),
    ((InUseError, ConflictError), BUSY),
    (
        (
            UsageError,
            InvalidFilterError,
            InvalidReferenceError,
            InvalidDigestError,
            InvalidPlatformError,
        ),
        USAGE,
    ),
)
_HINTS: Final = {
    errno.ENOSPC: "free some space (in a store, by `orlop rm` and `orlop gc`), and run it again",
    errno.EDQUOT: "free some of the quota, and run it again",
    errno.EACCES: "run it as the owner; if that is the store, name another with --root",
    errno.EPERM: "run it as root, or without what needs root",
    errno.EROFS: "name a store that can be written with --root",
}  # fmt: skip


def exit_code(error: BaseException) -> int:
    """The exit code that stands for an error."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    return FAILED


def interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The interrupt that an error follows from, or None.

    What was being done fails in its own way then: a file is in use by the very process that is
    leaving it; and Python 3.11 makes a RuntimeError of an interrupt while it makes a class.
    """
    found: BaseException | None = error
    while found is not None and not isinstance(found, KeyboardInterrupt):
        found = found.__cause__ or found.__context__
    return found


def report(error: BaseException) -> int:
    """Say on stderr what went wrong and what to do next, and return the exit code."""
    hint = None
    if isinstance(error, KeyboardInterrupt):
        lines = ["interrupted"]
    else:
        lines = [f"error: {clean(describe(error))}"]
        hint = _hint(error)
    if hint:
        lines.append(f"hint: {clean(hint)}")
    try:
        print(*lines, sep="\n", file=sys.stderr, flush=True)
    except OSError:  # The exit code says it to whoever cannot be told.
        drop(sys.stderr)
    return exit_code(error)


def drop(stream: TextIO) -> None:
    """Let all that is left for a standard stream go nowhere: the interpreter would fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def for_each(names: Iterable[str], action: Callable[[str], object]) -> int:
    """Do something with each of the names, and return the exit code of the first that failed.

    One that fails is reported when it does, and does not keep the others from being done.
    """
    code = DONE
    for name in names:
        try:
            action(name)
        except (OrlopError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            failed = report(error)
            code = code or failed
    return code


def describe(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, OSError) and error.errno is not None:
        names = [
            os.fsdecode(name)
            for name in (error.filename, error.filename2)
            if isinstance(name, (str, bytes))
        ]
        return ": ".join([*names, error.strerror or os.strerror(error.errno)])
    return str(error)


def _hint_of_candidates(error: AmbiguousError) -> str:
    if error.hint and error.candidates[0] in error.hint:
        return error.hint
    more = len(error.candidates) - _MAX_CANDIDATES
    listed = ", ".join(error.candidates[:_MAX_CANDIDATES])
    listed += f" and {more} more" if more > 0 else ""
    return f"{error.hint}: {listed}" if error.hint else f"say one of {listed}"


def _hint(error: BaseException) -> str | None:
    if isinstance(error, AmbiguousError) and error.candidates:
        return _hint_of_candidates(error)
    if isinstance(error, InvalidImageError) and error.hint is None:
        return "what orlop made of the layers is damaged: pull the image again"
    if isinstance(error, OrlopError):
        return error.hint
    if isinstance(error, OSError):
        return _HINTS.get(error.errno or 0)
    return None
