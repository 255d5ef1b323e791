"""The lock of a container that runs, in its directory for this boot of the machine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from orlop._sys.lock import FileLock
from orlop.errors import InUseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def running(
    directory: Path,
    id: str,  # noqa: A002
    *,
    hint: str = "wait for its end, or make another one of its image",
    timeout: float = 0,
) -> Iterator[None]:
    """Keep others from running a container, whose directory for this boot this is.

    Args:
        directory: That directory, which is there.
        id: The container.
        hint: What to do where somebody runs it.
        timeout: Seconds that whoever only looks at it, or removes it, gets to be done.

    Raises:
        InUseError: Somebody runs it.
    """
    lock = FileLock(directory / "running", timeout=timeout)
    try:
        lock.acquire()
    except InUseError as error:
        by = f", by {error.users[0]}" if error.users else ""
        raise InUseError(
            f"container {id} is running already{by}", users=error.users, hint=hint
        ) from error
    try:
        yield
    finally:
        lock.release()
