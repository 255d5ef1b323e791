"""What the files of a directory hold, read while nobody writes to them, or not at all."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Self

from orlop.errors import ConflictError, UnsafePathError
from orlop.storage.layers.pieces import iter_pieces
from orlop.unpack.scan import AGAIN
from orlop.unpack.stats import stat_of

if TYPE_CHECKING:
    from types import TracebackType

    from orlop.digest import Digest
    from orlop.storage.tars import LayerTars
    from orlop.tree import Node
    from orlop.unpack.access import Access
    from orlop.unpack.scan import Scanner
    from orlop.unpack.stats import Stat

_MAX_OPEN: Final = 64
_CTIME: Final = 6


class Contents:
    """Opens files that changed, and the tars of layers; a context manager that closes them.

    Args:
        scanner: What found the files.
        access: Lets it read what it may not.
        tars: The tars.
    """

    def __init__(self, scanner: Scanner, access: Access, tars: LayerTars) -> None:
        self._scanner = scanner
        self._access = access
        self._tars = tars
        self._open: OrderedDict[Digest, int] = OrderedDict()
        self._read: dict[bytes, Stat] = {}

    def open(self, source: Digest) -> int:
        """A handle of the bytes that a node's source names; borrowed, for the moment.

        Raises:
            ConflictError: The file is not what it was when it was found.
            OSError: It cannot be opened.
        """
        if source in self._open:
            return self._open[source]
        written = self._scanner.files.get(source)
        if written is None:
            return self._tars.open(source)
        path, expected = written
        try:
            fd = self._access.open(path)
        except (FileNotFoundError, UnsafePathError):
            raise _changed(path) from None
        self._open[source] = fd
        now = stat_of(os.fstat(fd))
        if not _same(now, expected, exact=not _was_closed(expected)):
            raise _changed(path)
        self._read[path] = now
        if len(self._open) > _MAX_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def same(self, old: Node, new: Node) -> bool:
        """Whether two regular files of equal size hold the same bytes."""
        if old.source == new.source and old.offset == new.offset:
            return old.segments == new.segments
        ours, theirs = iter_pieces(old, self.open), iter_pieces(new, self.open)
        return all(left == right for left, right in zip(ours, theirs, strict=True))

    def verify(self) -> None:
        """Succeed if all that was read, and all directories, are still as they were.

        Raises:
            ConflictError: Somebody wrote to one of them.
        """
        scanner = self._scanner
        for path, expected in (*self._read.items(), *scanner.empty, *scanner.directories):
            try:
                now = stat_of(self._access.look(path))
            except OSError:
                raise _changed(path) from None
            if now != expected:
                raise _changed(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()


def _was_closed(stat: Stat) -> bool:
    """Whether a file's own mode had to be changed before it could be read."""
    return not stat[0] & 0o400 and os.geteuid() != 0


def _same(now: Stat, before: Stat, *, exact: bool) -> bool:
    if exact:
        return now == before
    return now[:_CTIME] == before[:_CTIME]


def _changed(path: bytes) -> ConflictError:
    where = path.decode("utf-8", "backslashreplace")
    return ConflictError(f"/{where}: was changed while it was read", hint=AGAIN)
