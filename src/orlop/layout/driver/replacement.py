"""A tar that is written beside the one that it will replace, and is the lock of who writes it."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from orlop._sys.handle import Fd
from orlop._sys.sync import start_writeback, sync_directory
from orlop.errors import InUseError, InvalidArchiveError, NotFoundError, UnsafePathError
from orlop.layout.driver.below import is_same_file
from orlop.layout.driver.waiting import lock_within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.layout.files import FileExtent

_BLOCK: Final = 512
_RECORD: Final = 20 * _BLOCK
_WRITEBACK_SIZE: Final = 8 << 20
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@final
class Replacement:
    """The file `.NAME.orlop-new`, locked for the caller and empty.

    Args:
        path: What it will replace, or make.
        timeout: Seconds to wait for another holder; None waits for ever.

    Raises:
        NotFoundError: There is no directory for it.
        InUseError: Another one has it and the wait is over.
        UnsafePathError: Something else has its name: a FIFO, or a link to another file.
        OSError: It cannot be made (EACCES).
    """

    def __init__(self, path: str, timeout: float | None) -> None:
        self._path = path
        self._new = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.orlop-new")
        self._file = self._take(timeout)
        try:
            self._empty()
        except BaseException:
            self._file.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether it was committed or given up."""
        return self._file.closed

    def fileno(self) -> int:
        """The descriptor of the file, for whoever writes it otherwise than by `write`."""
        return self._file.fileno()

    def write(self, members: Iterable[tuple[bytes, FileExtent | None]]) -> None:
        """Write headers, each with the body that follows it, and the end of the tar.

        Raises:
            InvalidArchiveError: A body has been cut short meanwhile.
            OSError: Reading or writing failed.
        """
        fd = self._file.fileno()
        at = begun = 0
        for header, body in members:
            at += self._write(header, at)
            if body is not None:
                with body:
                    at += self._copy(body, at)
                at += -at % _BLOCK
            if at - begun >= _WRITEBACK_SIZE:
                start_writeback(fd, begun, at - begun)
                begun = at
        end = at + 2 * _BLOCK
        os.ftruncate(fd, end + -end % _RECORD)

    def commit(self) -> None:
        """Make the file durable and rename it to what it replaces, whose permissions it takes.

        Raises:
            OSError: It could not be stored (EIO, ENOSPC); the old one is there still.
        """
        fd = self._file.fileno()
        with suppress(FileNotFoundError):
            os.fchmod(fd, stat.S_IMODE(os.stat(self._path).st_mode))
        os.fsync(fd)
        os.rename(self._new, self._path)
        self._file.close()
        sync_directory(os.path.dirname(self._path))

    def close(self) -> None:
        """Remove the file, unless it was committed; idempotent."""
        if not self._file.closed:
            with self._file:
                os.unlink(self._new)

    def _take(self, timeout: float | None) -> Fd:
        """The locked file of the name; not one that was renamed while it was waited for."""
        while True:
            file = self._open()
            try:
                if not lock_within(file.fileno(), fcntl.LOCK_EX, timeout):
                    hint = "try again when that is done"
                    raise InUseError(f"{self._path} is being edited", hint=hint)
                if is_same_file(file.fileno(), self._new):
                    return file
            except BaseException:
                file.close()
                raise
            file.close()

    def _empty(self) -> None:
        """Truncate what a killed writer has left, and nothing that somebody has put there."""
        status = os.fstat(self._file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise UnsafePathError("is no file of its own", where=self._new, hint="remove it")
        os.ftruncate(self._file.fileno(), 0)

    def _open(self) -> Fd:
        try:
            return Fd(os.open(self._new, _FLAGS, 0o666))
        except FileNotFoundError:
            raise NotFoundError(f"no such directory: {os.path.dirname(self._path)}") from None

    def _write(self, data: bytes, at: int) -> int:
        left = memoryview(data)
        while left:
            written = os.pwrite(self._file.fileno(), left, at)
            left, at = left[written:], at + written
        return len(data)

    def _copy(self, body: FileExtent, at: int) -> int:
        copied = body.copy_to(self._file.fileno(), at)
        if copied != body.size:
            raise InvalidArchiveError("the archive was cut short meanwhile", where=self._path)
        return copied
