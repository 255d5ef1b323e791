"""The blocks for content, given out from the first to the last, and who has which in the end."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from orlop.fsimage.ext4.format import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.fsimage.ext4.geometry import Geometry, Region


class Space:
    """Gives out all blocks between regions, ascending.

    Args:
        geometry: How the disk is divided.
        regions: What is not content, ascending.

    Attributes:
        at: The next block to be given out.
        end: Where the run of free blocks that it lies in ends.
    """

    __slots__ = ("_blocks", "_free", "_regions", "at", "end")

    def __init__(self, geometry: Geometry, regions: Sequence[Region]) -> None:
        self._blocks = geometry.blocks
        self._regions = regions
        self._free = self._runs()
        self.at, self.end = next(self._free)

    def _runs(self) -> Iterator[tuple[int, int]]:
        """The runs of blocks that are for content: start and end."""
        at = 0
        for start, length, _, _ in self._regions:
            if at < start:
                yield at, start
            at = start + length
        if at < self._blocks:
            yield at, self._blocks

    def take(self, count: int) -> list[tuple[int, int]]:
        """The next blocks, as runs of start and length."""
        runs = []
        while count:
            if self.at == self.end:
                self.at, self.end = next(self._free)
            length = min(count, self.end - self.at)
            runs.append((self.at, length))
            self.at += length
            count -= length
        return runs

    def used(self) -> Used:
        """Which blocks of the filesystem are used so far."""
        runs = []
        for start, end in self._runs():
            if start >= self.at:
                break
            runs.append((start, min(end, self.at)))
        runs += [(start, start + length) for start, length, _, _ in self._regions]
        return Used(runs)


class Used:
    """Runs of used blocks.

    Args:
        runs: Start and end of each; they do not overlap.
    """

    __slots__ = ("_ends", "_starts")

    def __init__(self, runs: list[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(runs):
            if self._ends and self._ends[-1] == start:
                self._ends[-1] = end
            else:
                self._starts.append(start)
                self._ends.append(end)

    def in_group(self, group: int) -> Iterator[tuple[int, int]]:
        """Start and end of the used runs of a group, counted from its first block."""
        first = group * GROUP
        index = bisect_right(self._ends, first)
        while index < len(self._starts) and self._starts[index] < first + GROUP:
            yield max(self._starts[index] - first, 0), min(self._ends[index] - first, GROUP)
            index += 1
