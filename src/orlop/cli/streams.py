"""Bytes that go in and out of commands, and the moment that everything in them is to have."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from orlop.cli.failure import UsageError
from orlop.errors import OrlopError

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM: Final = "-"
"""What stands for standard input and output, where a file can be named."""
_EPOCH: Final = "SOURCE_DATE_EPOCH"
_MAX_EPOCH_DIGITS: Final = 11
_PIECE: Final = 1 << 20


@contextmanager
def open_input(path: str, what: str) -> Iterator[BinaryIO]:
    """A file, or standard input.

    Args:
        path: The file; `-` for standard input.
        what: What is read, for messages.

    Raises:
        UsageError: It would come from a terminal.
        OSError: It cannot be opened.
    """
    if path == STREAM:
        refuse_terminal(what)
        yield sys.stdin.buffer
        return
    with open(path, "rb") as file:
        yield file


def write_output(stream: BinaryIO, path: str, what: str) -> None:
    """Write a stream to a file, which is replaced when it is whole, or to standard output.

    Raises:
        UsageError: It would go to a terminal.
        OrlopError: Its reader has gone.
        OSError: It cannot be written; what was in the file is there still.
    """
    if path == STREAM:
        with read_whole(what):
            output = binary_output(what)
            shutil.copyfileobj(stream, output, _PIECE)
            output.flush()
    elif os.path.lexists(path) and not _is_file(path):
        with open(path, "wb") as file:
            shutil.copyfileobj(stream, file, _PIECE)
    else:
        _replace(stream, Path(path))


def binary_output(what: str) -> BinaryIO:
    """Standard output, for what no person reads.

    Raises:
        UsageError: It is a terminal.
    """
    if sys.stdout.isatty():
        raise UsageError(
            f"{what} is not written to a terminal", hint="redirect it, or give it a file"
        )
    sys.stdout.flush()
    return sys.stdout.buffer


def refuse_terminal(what: str) -> None:
    """Succeed unless a person would have to type it.

    Raises:
        UsageError: Standard input is a terminal.
    """
    if sys.stdin.isatty():
        raise UsageError(f"{what} is not read from a terminal", hint="redirect a file to it")


@contextmanager
def read_whole(what: str) -> Iterator[None]:
    """Fail where the reader of the output has gone: unlike a list, half of it is of no use."""
    try:
        yield
    except BrokenPipeError:
        raise OrlopError(
            f"{what} is cut short: its reader has gone", hint="see why that has failed"
        ) from None


def source_date_epoch() -> int | None:
    """The moment in SOURCE_DATE_EPOCH, in seconds since 1970; None where that is not set.

    Raises:
        UsageError: The variable is no number of seconds.
    """
    text = os.environ.get(_EPOCH)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_EPOCH_DIGITS):
        raise UsageError(f"{_EPOCH} is no number of seconds: {text[:40]!r}")
    return int(text)


def _is_file(path: str) -> bool:
    return stat.S_ISREG(os.lstat(path).st_mode)


def _replace(stream: BinaryIO, path: Path) -> None:
    temporary = path.with_name(f".{path.name[:100]}.{os.urandom(4).hex()}")
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such directory", str(path.parent))
    try:
        with open(temporary, "xb") as file:
            shutil.copyfileobj(stream, file, _PIECE)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
