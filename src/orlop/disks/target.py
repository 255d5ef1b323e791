"""Where a disk goes: a file that is there whole or not at all, or a block device."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from orlop._sys.reflink import copy_range
from orlop._sys.rename import exchange
from orlop._sys.sync import start_writeback, sync_directory
from orlop.disks.direct import DirectWriter
from orlop.errors import InUseError, LimitExceededError, NotFoundError, UnsafePathError

if TYPE_CHECKING:
    from types import TracebackType

_WRITEBACK: Final = 32 << 20
_WRITE: Final = 1 << 18
"""Bytes of one write: the kernel takes larger ones more slowly."""
_PIECE: Final = 1 << 20
_ZEROS: Final = bytes(_PIECE)


class DiskTarget:
    """Takes a disk from start to end, as `PatchableOutput` says; a context manager.

    When its block ends, the disk is durable and has its name. After an error a file is gone, and
    what was there before is there still; of a block device the beginning is wiped, so that nobody
    takes half a filesystem for a whole one.

    Nothing is made before its block begins, or `open` is called; whoever calls that has made sure
    of its end before, so that nothing is left whatever interrupts it.

    Args:
        path: A file, which is replaced, or a block device.
        read_again: Whether it is read as soon as it is written, and so stays in the page cache.

    Attributes:
        size: Bytes that were taken so far.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_again: bool = False) -> None:
        self.path = Path(os.path.abspath(path))
        self.size = 0
        self._begun = 0
        self._temporary: Path | None = None
        self._replaced = False
        self._named = False
        self._capacity: int | None = None
        self._fd = -1
        self._read_again = read_again
        self._direct: DirectWriter | None = None

    def open(self) -> None:
        """Make the file, or have the device for oneself.

        Raises:
            NotFoundError: There is no directory for it.
            InUseError: The device is mounted, or somebody has it for himself.
            UnsafePathError: It is neither a file nor a block device.
            OSError: It cannot be made or opened.
        """
        kind = _kind_of(self.path)
        if kind == stat.S_IFBLK:
            self._fd = _open_device(self.path)
            self._capacity = os.lseek(self._fd, 0, os.SEEK_END)
        elif kind in {0, stat.S_IFREG}:
            self._temporary = self.path.with_name(f".orlop-{os.urandom(8).hex()}")
            self._fd = _create(self._temporary)
        else:
            raise UnsafePathError("is neither a file nor a block device", where=str(self.path))
        if not self._read_again:
            self._direct = DirectWriter(self._fd)

    @property
    def fd(self) -> int:
        """A descriptor to read and write it by."""
        return self._fd

    @property
    def place(self) -> Path | None:
        """Where files may be made that become part of it; the system's own place for a device."""
        return None if self._temporary is None else self.path.parent

    def require(self, size: int) -> None:
        """Succeed if a disk of `size` bytes has room, as far as that is known.

        Raises:
            LimitExceededError: It has not.
        """
        if self._capacity is not None:
            if size > self._capacity:
                raise LimitExceededError(
                    f"a disk of {size} bytes is larger than {self.path}",
                    limit="size", value=self._capacity,
                )  # fmt: skip
            return
        found = os.fstatvfs(self._fd)
        if size > found.f_bavail * found.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next bytes.

        Raises:
            LimitExceededError: The device ends before.
            OSError: They cannot be written.
        """
        end = self.size + len(data)
        if self._capacity is not None and end > self._capacity:
            raise LimitExceededError(
                f"{self.path} is too small for the disk", limit="size", value=self._capacity
            )
        if self._direct is not None:
            self._direct.write(data, self.size)
            self.size = end
            return
        left = memoryview(data)
        while left:
            written = os.pwrite(self._fd, left[:_WRITE], self.size)
            left = left[written:]
            self.size += written
        if self.size - self._begun >= _WRITEBACK:
            start_writeback(self._fd, self._begun, self.size - self._begun)
            self._begun = self.size

    def skip(self, size: int, /) -> None:
        """Take zeros, which a file has as a hole."""
        if self._capacity is None:
            self.size += size
            return
        while size > 0:
            self.write(_ZEROS[:size])
            size -= _PIECE

    def copy(self, source: int, size: int) -> None:
        """Take the first `size` bytes of another file, sharing its blocks where that can be.

        Args:
            source: A descriptor to read it by.
            size: Its bytes, or those of it that are wanted.

        Raises:
            OSError: It has fewer, or they cannot be copied.
        """
        if self._capacity is not None:
            self.require(self.size + size)
        self._drain()
        if copy_range(source, self._fd, offset=0, size=size, at=self.size) < size:
            raise OSError(errno.EIO, "a layer ends before it should", str(self.path))
        self.size += size

    def write_at(self, offset: int, data: bytes | bytearray | memoryview, /) -> None:
        """Put these bytes in the place of those that are there."""
        self._drain()
        left = memoryview(data)
        while left:
            written = os.pwrite(self._fd, left, offset)
            left, offset = left[written:], offset + written

    def __enter__(self) -> Self:
        try:
            self.open()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.name()
                self._forget_replaced()
            else:
                self._give_up()
        except BaseException:
            if error is None:
                self._give_up()
            raise
        finally:
            if self._fd >= 0:
                os.close(self._fd)

    def finish(self) -> None:
        """Wait until what was taken is on the disk; nothing follows.

        Raises:
            OSError: It could not be written.
        """
        if not self._named:
            self._drain()
            if self._temporary is not None:
                os.ftruncate(self._fd, self.size)
            os.fsync(self._fd)

    def name(self, *, keep: bool = False) -> None:
        """Give the disk its name, durably, as the end of its block does otherwise.

        Args:
            keep: Whether what had the name is kept until the end of the block, after an error in
                which it gets its name again; as far as the filesystem lets two names change places.

        Raises:
            OSError: It could not be done.
        """
        if self._named:
            return
        self.finish()
        if self._temporary is not None:
            if keep and os.path.lexists(self.path):
                self._replaced = exchange(str(self._temporary), str(self.path))
            if not self._replaced:
                os.rename(self._temporary, self.path)
            self._named = True
            sync_directory(self.path.parent)
        self._named = True

    def _drain(self) -> None:
        """Return when what was taken is in the file, for whoever reads it."""
        if self._direct is not None:
            self._direct.drain()

    def _forget_replaced(self) -> None:
        if self._replaced and self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            self._replaced = False

    def _give_up(self) -> None:
        try:
            if self._direct is not None:
                self._direct.cancel()
        finally:
            self._direct = None
            self._undo()

    def _undo(self) -> None:
        if self._temporary is None:
            if self._capacity is not None:
                self.write_at(0, _ZEROS[: min(_PIECE, self._capacity)])
            return
        if self._named and self._replaced:
            exchange(str(self._temporary), str(self.path))
        elif self._named:
            self.path.unlink(missing_ok=True)
        self._temporary.unlink(missing_ok=True)
        self._named = self._replaced = False


def _kind_of(path: Path) -> int:
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except FileNotFoundError:
        return 0


def _open_device(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise InUseError(
                f"{path} is mounted, or somebody has it for himself", hint="unmount it first"
            ) from None
        raise


def _create(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:
        raise NotFoundError(f"no such directory: {path.parent}") from None
