"""A file that is there when it is whole, and not before."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orlop._sys.sync import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """The path of an empty file beside `path`, which becomes `path` when the block has ended well.

    It is made durable before it takes the name, from what has it now. After any error or
    interruption it is removed, and `path` is what it was; a process that is killed leaves it.

    Raises:
        OSError: It cannot be made, written or renamed.
    """
    temporary = path.absolute().parent / f".orlop-{secrets.token_hex(8)}"
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    try:
        yield temporary
        fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(temporary.parent)
