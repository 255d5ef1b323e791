"""A mounted image, as an application holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.digest import Digest
    from orlop.metadata import MountRecord
    from orlop.storage.storage import Storage


class Mount:
    """A hold on a mounted image; as a context manager it gives the root directory and lets go.

    Without the right to mount, the root is a directory that the image was written to: it stays,
    and must not be written to.

    Attributes:
        path: The root directory.
    """

    def __init__(
        self, storage: Storage, path: Path, record: MountRecord | None, holder: str
    ) -> None:
        self.path = path
        self._storage = storage
        self._record = record
        self._holder = holder

    @property
    def mounted(self) -> bool:
        """Whether something is mounted, rather than written out."""
        return self._record is not None

    def unmount(self, *, lazy: bool = False) -> None:
        """Let go; the last one who does takes the mount away. Idempotent.

        Args:
            lazy: Take it away also while it is in use.

        Raises:
            InUseError: Files below it are open, and nobody else holds it; it stays.
            OSError: Unmounting failed.
        """
        if self._record is not None:
            self._storage.mounts.release(self._record, self._holder, lazy=lazy)
            self._record = None

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.unmount()


@dataclass(frozen=True, slots=True, kw_only=True)
class MountInfo:
    """One mount that is there, as the store knows it.

    Attributes:
        target: Where it is.
        image: The name of the image, where it is one.
        layer: The ID of the layer, where it is one.
        container: The ID of the container whose own that layer is, if any.
        name: What the container or the layer is called, if anything.
        stack: The stack of layers, where it is nothing but that: an image's, or what layers and
            containers share and stand on.
        driver: What mounted it.
        writable: Whether it takes writes.
        pids: The processes that hold it, alive.
        kept: How many hold it that are no process: it stays until it is unmounted.
        created_at_ns: Since when, in nanoseconds since 1970.
    """

    target: str
    image: str
    layer: str | None = None
    container: str | None = None
    name: str = ""
    stack: Digest | None = None
    driver: str
    writable: bool = False
    pids: tuple[int, ...]
    kept: int
    created_at_ns: int
