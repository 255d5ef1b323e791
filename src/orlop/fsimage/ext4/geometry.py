"""How a disk is divided: how many groups and inodes, and where what is not content lies.

A group with a copy of the superblock begins with it, the descriptors of all groups, and blocks
kept for more descriptors. In the first group of each sixteen there follow the block bitmaps of the
sixteen, their inode bitmaps and their inode tables. Everything else is for content.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from orlop.fsimage.ext4.format import DESCRIPTORS, FLEX, GROUP, INODES, MAX_BLOCKS

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind: TypeAlias = Literal["super", "blocks", "inodes", "table"]

_GROWTH: Final = 1024
"""How many times its size a filesystem can grow to while mounted."""
_MIN_RESERVED: Final = 16
_MAX_DESCRIPTOR_BLOCKS: Final = 1024
_MIN_LAST: Final = 50
"""Blocks that a last group must have besides what is not content; `mke2fs` asks for as many."""
JOURNAL_SIZES: Final = (
    (1 << 15, 1024), (1 << 18, 4096), (1 << 19, 8192), (1 << 22, 16384), (1 << 23, 32768),
    (1 << 24, 65536), (1 << 25, 131_072), (1 << 63, 262_144),
)  # fmt: skip
"""Blocks of a journal by the blocks that the filesystem has fewer than, as `mke2fs` chooses."""


class Region(NamedTuple):
    """Blocks that are not content.

    Attributes:
        start: The first block.
        length: How many.
        kind: What they are.
        group: Whose they are.
    """

    start: int
    length: int
    kind: Kind
    group: int


def journal_size(blocks: int) -> int:
    """Blocks of the journal of a filesystem of so many blocks."""
    return next(size for below, size in JOURNAL_SIZES if blocks < below)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How many blocks and inodes there are.

    Attributes:
        blocks: Blocks of the filesystem.
        group_inodes: Inodes in a group.
    """

    blocks: int
    group_inodes: int

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return -(-self.blocks // GROUP)

    @property
    def inodes(self) -> int:
        """How many inodes there are."""
        return self.groups * self.group_inodes

    @property
    def table_blocks(self) -> int:
        """Blocks of a group's inode table."""
        return self.group_inodes // INODES

    @property
    def descriptor_blocks(self) -> int:
        """Blocks of the descriptors of all groups."""
        return -(-self.groups // DESCRIPTORS)

    @cached_property
    def reserved_blocks(self) -> int:
        """Blocks kept for descriptors of more groups, beside each copy of the descriptors."""
        most = min(self.blocks * _GROWTH, MAX_BLOCKS)
        used = self.descriptor_blocks
        wanted = -(-most // (GROUP * DESCRIPTORS)) - used
        return min(max(wanted, _MIN_RESERVED), _MAX_DESCRIPTOR_BLOCKS - used)

    @cached_property
    def copies(self) -> list[int]:
        """The groups that have a superblock, ascending: 0, 1 and the powers of 3, 5 and 7."""
        found = {0, 1}
        for base in (3, 5, 7):
            power = base
            while power < self.groups:
                found.add(power)
                power *= base
        return sorted(group for group in found if group < self.groups)

    @property
    def copy_blocks(self) -> int:
        """Blocks of a superblock with what follows it."""
        return 1 + self.descriptor_blocks + self.reserved_blocks

    @property
    def gaps(self) -> int:
        """How many pieces at most the space for content is cut into by the rest."""
        return len(self.copies) + -(-self.groups // FLEX)

    @property
    def capacity(self) -> int:
        """Blocks for content."""
        rest = self.groups * (2 + self.table_blocks)
        return self.blocks - rest - len(self.copies) * self.copy_blocks

    def whole(self) -> Geometry:
        """The same without a last group that is too small for what it must have."""
        last = self.blocks % GROUP
        if not last or self.groups == 1 or last >= self.least_last():
            return self
        return Geometry(blocks=self.blocks - last, group_inodes=self.group_inodes)

    def least_last(self) -> int:
        """Blocks that the last group must have."""
        copy = self.copy_blocks if self.copies[-1] == self.groups - 1 else 0
        return copy + 2 + self.table_blocks + _MIN_LAST

    def group_size(self, group: int) -> int:
        """Blocks of a group."""
        return min(GROUP, self.blocks - group * GROUP)

    def regions(self) -> list[Region]:
        """Where everything lies that is not content, ascending."""
        copies = [Region(group * GROUP, self.copy_blocks, "super", group) for group in self.copies]
        taken = {region.start for region in copies}
        found = list(copies)
        for first in range(0, self.groups, FLEX):
            found += self._flex(first, taken)
        found.sort()
        return found

    def _flex(self, first: int, taken: set[int]) -> Iterator[Region]:
        """Bitmaps and tables of sixteen groups, which make way for superblocks on their way."""
        groups = range(first, min(first + FLEX, self.groups))
        at = first * GROUP + (self.copy_blocks if first * GROUP in taken else 0)
        lengths: list[tuple[Kind, int]] = [
            ("blocks", 1), ("inodes", 1), ("table", self.table_blocks)
        ]  # fmt: skip
        for kind, length in lengths:
            for group in groups:
                border = (at // GROUP + 1) * GROUP
                if border in taken and at + length > border:
                    at = border + self.copy_blocks
                yield Region(at, length, kind, group)
                at += length
        assert at <= self.blocks, "the last groups are too small for their tables"


def group_inodes(groups: int, inodes: int) -> int:
    """How many inodes each group has, so that all have at least so many."""
    return max(-(-inodes // (groups * INODES)) * INODES, INODES)
