"""A second thread that copies the contents of large files while the first makes the next ones.

The kernel copies without the interpreter's lock: two cores share the work. Each thread has a
copier and a creator of its own; what waits between them is bounded, in open files.
"""

from __future__ import annotations

import os
import queue
import threading
from typing import TYPE_CHECKING, Final

from orlop.rootfs.content import ContentCopier
from orlop.rootfs.create import Creator

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.digest import Digest
    from orlop.rootfs.create import OverlayNamespace, XattrPolicy
    from orlop.rootfs.handles import Place
    from orlop.tree import Node

    Job = tuple[Place, bytes, Node, int]

LARGE: Final = 1 << 16
"""Bytes from which on a file is worth the way to another thread."""
_WAITING: Final = 32


class ContentHelper:
    """Writes and finishes files that were made by another thread.

    Args:
        open_source: As in `write_tree`; asked by the helper's thread.
        ownership: As in `write_tree`.
        xattrs: As in `write_tree`.
        overlay: As in `write_tree`.

    Attributes:
        creator: What gives the files their metadata, and knows what it dropped.
    """

    def __init__(
        self,
        open_source: Callable[[Digest], int],
        ownership: bool,
        xattrs: XattrPolicy,
        overlay: OverlayNamespace | None,
    ) -> None:
        self.creator = Creator(
            ownership=ownership, xattrs=xattrs, where=self._where, overlay=overlay
        )
        self._content = ContentCopier(open_source, where=self._where)
        self._jobs: queue.Queue[Job | None] = queue.Queue(_WAITING)
        self._at: tuple[Place, bytes] | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def failed(self) -> BaseException | None:
        """What went wrong with a file, if anything did."""
        return self._error

    def take(self, place: Place, name: bytes, node: Node, fd: int) -> None:
        """Write a file whose handle is the helper's from now on.

        Raises:
            BaseException: What went wrong with an earlier one.
        """
        if self._error is not None:
            os.close(fd)
            raise self._error
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="orlop-content", daemon=True)
            self._thread.start()
        self._jobs.put((place, name, node, fd))

    def finish(self) -> None:
        """Wait until all files are written.

        Raises:
            BaseException: What went wrong with one.
        """
        self.close()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the thread; after an error the rest is left undone."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def cancel(self) -> None:
        """End the thread, and leave undone what waits."""
        self._error = self._error or RuntimeError("cancelled")
        self.close()

    def _where(self) -> bytes:
        return b"" if self._at is None else self._at[0].path(self._at[1])

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            place, name, node, fd = job
            try:
                if self._error is None:
                    self._at = place, name
                    self._write(node, fd)
            except BaseException as error:
                self._error = error
            finally:
                os.close(fd)

    def _write(self, node: Node, fd: int) -> None:
        try:
            self._content.copy(node, fd)
            self.creator.finish_file(fd, node)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._where()) from error
