"""Who owns which bytes of an image: no byte twice, and none without an owner but zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import InvalidImageError
from orlop.fsimage.erofs.access import iter_range

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.fsimage.erofs.access import ReadAt


class Regions:
    """Claims to ranges of an image, judged all at once."""

    def __init__(self) -> None:
        self._claims: list[tuple[int, int, str]] = []
        self._shared: set[tuple[int, int]] = set()

    def claim(self, start: int, end: int, owner: str) -> None:
        """Claim bytes for one owner alone."""
        if start < end:
            self._claims.append((start, end, owner))

    def share(self, start: int, end: int) -> None:
        """Claim bytes that others may share: content, and shared attributes."""
        if start < end:
            self._shared.add((start, end))

    def judge(self, read: ReadAt, size: int) -> None:
        """Return if all claims stand and everything else in `size` bytes is zero.

        Raises:
            InvalidImageError: Two claims overlap, or unclaimed bytes are not zero.
        """
        shared = [(start, end, "content") for start, end in _union(sorted(self._shared))]
        position, last = 0, ""
        for start, end, owner in sorted([*self._claims, *shared]):
            if start < position:
                raise InvalidImageError(f"{owner} overlaps {last}", where=f"offset {start}")
            require_zeros(read, position, start)
            position, last = end, owner
        require_zeros(read, position, size)


def require(condition: object, message: str, where: int | str) -> None:
    """Return if the condition holds.

    Args:
        condition: What must be true.
        message: What is wrong otherwise.
        where: The number of an inode, or another place in words.

    Raises:
        InvalidImageError: The condition does not hold.
    """
    if not condition:
        place = where if isinstance(where, str) else f"inode {where}"
        raise InvalidImageError(message, where=place)


def require_zeros(read: ReadAt, start: int, end: int) -> None:
    """Return if the bytes from `start` to `end` are zeros.

    Raises:
        InvalidImageError: They are not.
    """
    for piece in iter_range(read, start, end - start):
        if any(piece):
            raise InvalidImageError(
                "bytes that belong to nothing are not zero", where=f"offset {start}"
            )
        start += len(piece)


def _union(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    first = last = 0
    for start, end in ranges:
        if start <= last:
            last = max(last, end)
            continue
        if first < last:
            yield first, last
        first, last = start, end
    if first < last:
        yield first, last
