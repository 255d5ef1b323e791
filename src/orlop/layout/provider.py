"""A layout as `orlop.images` wants content: documents by digest, and whether a blob is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from orlop.layout.blobs import read_blob, stat_blob

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.layout.driver.protocol import ImageDriver


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """What is known about a blob of a layout.

    Attributes:
        size: Its length, in bytes.
    """

    size: int


@final
class LayoutProvider:
    """What a layout holds, for the functions of `orlop.images`; see `orlop.images.Inventory`.

    Args:
        driver: The layout.
    """

    def __init__(self, driver: ImageDriver) -> None:
        self._driver = driver

    def read(self, digest: Digest, size: int, /) -> bytes:
        """The whole of a blob, verified; see `read_blob`."""
        return read_blob(self._driver, digest, size)

    def stat(self, digest: Digest, /) -> StoredBlob | None:
        """What is known about a blob, or None where the layout does not hold it."""
        size = stat_blob(self._driver, digest)
        return None if size is None else StoredBlob(size=size)
