"""A mounted layer, as an application holds it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.metadata import MountRecord
    from orlop.storage.layers.mounts import LayerMounts


class LayerMount:
    """A hold on a mounted layer; as a context manager it gives the directory and lets go.

    Attributes:
        path: The root directory.
        writable: Whether it takes writes.
    """

    def __init__(self, mounts: LayerMounts, record: MountRecord, holder: str) -> None:
        self.path = Path(record.target)
        self.writable = record.writable
        self._mounts = mounts
        self._record: MountRecord | None = record
        self._holder = holder

    def unmount(self, *, lazy: bool = False) -> int:
        """Let go, and say how many hold it still; the last one takes it away. Idempotent.

        Args:
            lazy: Take it away also while it is in use.

        Raises:
            InUseError: Files below it are open, and nobody else holds it; it stays.
            OSError: Unmounting failed.
        """
        if self._record is None:
            return 0
        left = self._mounts.release(self._record, self._holder, lazy=lazy)
        self._record = None
        return left

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.unmount()
