"""Room to free room: a full disk has none for the transactions that remove images.

ROOT/reserve    given up where removing, collecting or opening finds no space; taken again later
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from orlop.storage.staging import free_space

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.storage.places import Places

RESERVE_SIZE: Final = 1 << 20
"""Bytes that are kept back; SQLite needs a few pages for each transaction."""
_PLENTY: Final = 16 * RESERVE_SIZE

Result = TypeVar("Result")


def keep_reserve(places: Places) -> None:
    """Take the reserve, unless it is there already or would be a notable part of what is left."""
    path = places.reserve
    if path.exists() or free_space(places.root) < _PLENTY:
        return
    with suppress(OSError):  # One store works without it, another process was faster.
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, RESERVE_SIZE)
        except OSError:
            path.unlink()
        finally:
            os.close(fd)


def with_reserve(places: Places, action: Callable[[], Result]) -> Result:
    """What the action returns; where it finds no space, it gets the reserve and a second try.

    Raises:
        OSError: There is no space even so.
    """
    try:
        return action()
    except OSError as error:
        if error.errno != errno.ENOSPC or not places.reserve.exists():
            raise
    places.reserve.unlink(missing_ok=True)
    return action()
