"""Writing a large file past the page cache, in a thread of its own.

Whoever waits until a file is on the disk gains nothing from a copy of it in the page cache, and
that copy costs more processor time than all else that is done to write a disk. So the bytes are
gathered in buffers that the device can read from by itself (O_DIRECT), and a second thread waits
for it while the first fills the next buffer. Where a filesystem has no such way, or for the ends of
what is written that are no whole blocks, it is the usual one.
"""

from __future__ import annotations

import errno
import mmap
import os
import queue
import threading
from contextlib import closing
from typing import Final, TypeAlias

from orlop._sys.sync import start_writeback

_SIZE: Final = 4 << 20
_COUNT: Final = 2
_BLOCK: Final = 4096
"""What memory, offset and length of a direct write are multiples of: no device has larger blocks
that Linux makes filesystems on."""
_NOT_DIRECT: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP})

_Job: TypeAlias = tuple[mmap.mmap, int, int, int]
"""A buffer, where in it what is to be written begins and ends, and where the buffer goes."""


class DirectWriter:
    """Writes ranges of a file; what is written is there when `drain` returns.

    Args:
        fd: The file, open for writing; borrowed.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._free: queue.SimpleQueue[mmap.mmap] = queue.SimpleQueue()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._alone: _Work | None = None
        self._error: BaseException | None = None
        self._buffer: mmap.mmap | None = None
        self._start = self._end = self._base = 0

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Take bytes for this place in the file.

        Raises:
            OSError: Earlier ones could not be written.
        """
        left = memoryview(data)
        while left:
            if self._buffer is not None and offset != self._base + self._end:
                self._hand_over()
            if self._buffer is None:
                self._buffer = self._next_buffer()
                self._start = self._end = offset % _BLOCK
                self._base = offset - self._start
            count = min(len(left), _SIZE - self._end)
            self._buffer[self._end : self._end + count] = left[:count]
            self._end += count
            offset += count
            left = left[count:]
            if self._end == _SIZE:
                self._hand_over()

    def drain(self) -> None:
        """Return when all is written; neither a thread nor buffers are left then.

        Raises:
            OSError: Something could not be written.
        """
        self._hand_over()
        self._end_thread()
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Write no more, and leave unwritten what waits."""
        self._error = self._error or RuntimeError("cancelled")
        self._buffer = None
        self._end_thread()

    def _next_buffer(self) -> mmap.mmap:
        if self._thread is None and self._alone is None:
            self._begin()
        buffer = self._free.get()
        if self._error is not None:
            raise self._error
        return buffer

    def _begin(self) -> None:
        for _ in range(_COUNT):
            self._free.put(mmap.mmap(-1, _SIZE))
        # A thread that is left behind, by a second Ctrl-C, writes to this file and no other.
        work = _Work(os.dup(self._fd))
        # Whenever it begins, these are its queues: an interrupt of its start exchanges them.
        queues = (self._jobs, self._free)
        self._thread = threading.Thread(
            target=self._work, args=(work, *queues), name="orlop-disk", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:  # No thread is to be had: then all is written here.
            self._thread, self._alone = None, work

    def _hand_over(self) -> None:
        buffer, self._buffer = self._buffer, None
        if buffer is None:
            return
        if self._alone is None:
            self._jobs.put((buffer, self._start, self._end, self._base))
        else:
            self._alone.write(memoryview(buffer), self._start, self._end, self._base)
            self._free.put(buffer)

    def _end_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            if thread.ident is not None:  # else its start was interrupted, and it ends at once
                thread.join()
        if self._alone is not None:
            self._alone.close()
            self._alone = None
        self._free = queue.SimpleQueue()
        self._jobs = queue.SimpleQueue()

    def _work(
        self, work: _Work, jobs: queue.SimpleQueue[_Job | None], free: queue.SimpleQueue[mmap.mmap]
    ) -> None:
        with closing(work):
            while (job := jobs.get()) is not None:
                buffer, start, end, base = job
                try:
                    if self._error is None:
                        work.write(memoryview(buffer), start, end, base)
                except BaseException as error:
                    self._error = error
                finally:
                    free.put(buffer)


class _Work:
    """The thread's own handles of the file: the usual one, and a direct one where there can be."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._direct = _open_direct(fd)

    def close(self) -> None:
        os.close(self._fd)
        self._close_direct()

    def _close_direct(self) -> None:
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None

    def write(self, buffer: memoryview, start: int, end: int, base: int) -> None:
        """Write part of a buffer to where it goes."""
        low, high = start + -start % _BLOCK, end - end % _BLOCK
        if self._direct is not None and low < high:
            try:
                _write_all(self._direct, buffer[low:high], base + low)
            except OSError as error:
                if error.errno not in _NOT_DIRECT:
                    raise
                self._close_direct()
        if self._direct is None or low >= high:
            _write_all(self._fd, buffer[start:end], base + start)
            start_writeback(self._fd, base + start, end - start)
        else:
            _write_all(self._fd, buffer[start:low], base + start)
            _write_all(self._fd, buffer[high:end], base + high)


def _open_direct(fd: int) -> int | None:
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:  # Whatever there is against it, the usual way is open.
        return None


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(fd, data, offset)
        data = data[count:]
        offset += count
