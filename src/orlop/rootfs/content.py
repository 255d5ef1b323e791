"""Content of regular files, copied from the tars that hold it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from orlop._sys.reflink import copy_range
from orlop.errors import InvalidLayerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.digest import Digest
    from orlop.tree import Node

WINDOW: Final = 1 << 18
_NEAR: Final = 1 << 15
_LARGE: Final = 1 << 16  # From here on the kernel copies faster by itself, or shares blocks.


class ContentCopier:
    """Copies file content out of tars, which are read ahead while files follow in their order.

    Args:
        open_source: Returns a handle of the tar that a digest names; borrowed, asked once each.
        where: The path of the file at hand, for errors.
    """

    def __init__(self, open_source: Callable[[Digest], int], *, where: Callable[[], bytes]) -> None:
        self._open_source = open_source
        self._where = where
        self._fds: dict[Digest, int] = {}
        self._view = memoryview(bytearray(WINDOW))
        self._source: Digest | None = None
        self._fd = -1
        self._start = 0
        self._end = 0

    def copy(self, node: Node, fd: int) -> None:
        """Write the content of a regular file to a new and empty file; holes stay holes.

        Raises:
            InvalidLayerError: The tar ends before the content does.
            OSError: Reading or writing failed.
        """
        source = node.source
        if source is None or node.segments is not None:
            os.ftruncate(fd, node.size)
        if source is None:
            return
        if source is not self._source:
            self._select(source)
        if node.segments is None:
            self._copy_range(node.offset, node.size, fd, 0)
        else:
            offset = node.offset
            for start, length in node.segments:
                self._copy_range(offset, length, fd, start)
                offset += length

    def _select(self, source: Digest) -> None:
        if source not in self._fds:
            self._fds[source] = self._open_source(source)
        self._source = source
        self._fd = self._fds[source]
        self._start = self._end = 0

    def _copy_range(self, offset: int, size: int, fd: int, at: int) -> None:
        if size >= _LARGE:
            if copy_range(self._fd, fd, offset=offset, size=size, at=at) < size:
                raise self._short()
            return
        end = offset + size
        while offset < end:
            written = os.pwrite(fd, self._read(offset, end - offset), at)
            offset += written
            at += written

    def _read(self, offset: int, size: int) -> memoryview:
        if not self._start <= offset < self._end or (
            offset + size > self._end and self._end - offset < WINDOW // 2
        ):
            self._fill(offset, size)
        begin = offset - self._start
        return self._view[begin : min(begin + size, self._end - self._start)]

    def _fill(self, offset: int, size: int) -> None:
        ahead = 0 <= offset - self._end < _NEAR or self._start <= offset < self._end
        wanted = WINDOW if ahead else size
        got = os.preadv(self._fd, [self._view[:wanted]], offset)
        if got <= 0:
            raise self._short()
        self._start = offset
        self._end = offset + got

    def _short(self) -> InvalidLayerError:
        return InvalidLayerError(
            f"{self._source} ends inside this file's content",
            where=self._where().decode(errors="backslashreplace"),
        )
