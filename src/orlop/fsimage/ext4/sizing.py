"""How large a filesystem must be for what it is to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from orlop.errors import LimitExceededError
from orlop.fsimage.ext4.extents import MAX_LENGTH, tree_size
from orlop.fsimage.ext4.format import BLOCK_BITS, GROUP, MAX_BLOCKS, MAX_INODES, blocks_of
from orlop.fsimage.ext4.geometry import JOURNAL_SIZES, Geometry, group_inodes, journal_size

if TYPE_CHECKING:
    from orlop.fsimage.ext4.options import Ext4Options

_TREE_GROWTH: Final = 3
"""Blocks that the extent tree of a file can grow by where its blocks are cut in two."""


class Sizing(NamedTuple):
    """What was chosen.

    Attributes:
        geometry: The division of the disk.
        journal: Blocks of the journal.
    """

    geometry: Geometry
    journal: int


class _Need(NamedTuple):
    """What must fit: blocks of content with what is to be free, and inodes."""

    blocks: int
    inodes: int
    ratio: int

    def geometry(self, blocks: int) -> Geometry:
        """A filesystem of at most so many blocks; it may have fewer inodes than needed."""
        inodes = min(max(self.inodes, (blocks << BLOCK_BITS) // self.ratio), MAX_INODES - GROUP)
        groups = -(-blocks // GROUP)
        each = min(group_inodes(groups, inodes), GROUP)
        whole = Geometry(blocks=blocks, group_inodes=each).whole()
        if whole.groups < groups:
            each = min(group_inodes(whole.groups, inodes), GROUP)
            return Geometry(blocks=whole.blocks, group_inodes=each)
        return whole

    def lacks(self, geometry: Geometry, journal: int) -> int:
        """How many blocks are missing; up to 0 if none are."""
        if geometry.inodes < self.inodes:
            return (self.inodes // GROUP) * GROUP + 1 - geometry.blocks
        trees = _TREE_GROWTH * geometry.gaps
        rest = 1 + journal + tree_size(-(-journal // MAX_LENGTH)) + trees
        return self.blocks + rest - geometry.capacity

    def smallest(self, journal: int) -> Geometry:
        """The smallest filesystem that has room.

        Raises:
            LimitExceededError: There is none.
        """
        blocks = self.blocks + journal
        while True:
            geometry = self.geometry(blocks)
            lacking = self.lacks(geometry, journal)
            if lacking <= 0:
                return geometry
            if geometry.blocks < blocks:  # the group begun is too small to be one
                full = Geometry(blocks=blocks, group_inodes=geometry.group_inodes)
                lacking = max(lacking, full.least_last() - blocks % GROUP)
            blocks += lacking
            if blocks > MAX_BLOCKS:
                raise LimitExceededError(
                    f"a filesystem of {blocks} blocks", limit="MAX_BLOCKS", value=MAX_BLOCKS
                )


def choose(content: int, inodes: int, options: Ext4Options) -> Sizing:
    """Divide the disk.

    Args:
        content: Blocks of content.
        inodes: Inodes that are used, reserved ones with them.
        options: What is asked for.

    Raises:
        LimitExceededError: `size` is too small, or what is needed is more than any filesystem has.
    """
    need = _Need(
        content + blocks_of(options.free), inodes + options.spare_inodes, options.bytes_per_inode
    )
    if options.size is None:
        return _smallest(need, options.journal)
    blocks = options.size >> BLOCK_BITS
    if blocks > MAX_BLOCKS:
        raise LimitExceededError(
            f"a filesystem of {blocks} blocks", limit="MAX_BLOCKS", value=MAX_BLOCKS
        )
    geometry = need.geometry(blocks)
    wanted = journal_size(geometry.blocks) if options.journal else 0
    for journal in sorted({0, *(size for _, size in JOURNAL_SIZES)}, reverse=True):
        allowed = journal <= wanted and bool(journal) == options.journal
        if allowed and need.lacks(geometry, journal) <= 0:
            return Sizing(geometry, journal)
    least = _smallest(need, options.journal).geometry.blocks << BLOCK_BITS
    raise LimitExceededError(
        f"the image needs {least} bytes", limit="size", value=options.size,
        hint=f"give a size of at least {least} bytes",
    )  # fmt: skip


def _smallest(need: _Need, wanted: bool) -> Sizing:
    journal = JOURNAL_SIZES[0][1] if wanted else 0
    geometry = need.smallest(journal)
    while wanted and journal < journal_size(geometry.blocks):
        journal = journal_size(geometry.blocks)
        geometry = need.smallest(journal)
    return Sizing(geometry, journal)
