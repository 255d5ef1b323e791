"""How large a filesystem must be for what it is to hold."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, NamedTuple

from orlop.errors import LimitExceededError
from orlop.fsimage.ext4.extents import MAX_LENGTH, tree_size
from orlop.fsimage.ext4.format import BLOCK_BITS, GROUP, MAX_BLOCKS, MAX_INODES, blocks_of
from orlop.fsimage.ext4.geometry import JOURNAL_SIZES, Geometry, group_inodes, journal_size

if TYPE_CHECKING:
    from orlop.fsimage.ext4.options import Ext4Options

_TREE_GROWTH: Final = 3
"""Blocks that the extent tree of a file can grow by where its blocks are cut in two."""
_LEAST_JOURNAL: Final = JOURNAL_SIZES[0][1]


class Sizing(NamedTuple):
    """What was chosen.

    Attributes:
        geometry: The division of the disk.
        journal: Blocks of the journal.
    """

    geometry: Geometry
    journal: int


class _Need(NamedTuple):
    """What must fit: blocks with what is to be free, those of content, inodes, bytes for each."""

    blocks: int
    content: int
    inodes: int
    ratio: int

    def geometry(self, blocks: int) -> Geometry:
        """A filesystem of at most so many blocks; it may have fewer inodes than needed."""
        # Where the tree has more inodes than its bytes are worth, what is free gets its share.
        more = (max(blocks - self.content, 0) << BLOCK_BITS) // self.ratio
        inodes = max(self.inodes + more, (blocks << BLOCK_BITS) // self.ratio)
        inodes = min(inodes, MAX_INODES - GROUP)
        groups = -(-blocks // GROUP)
        each = min(group_inodes(groups, inodes), GROUP)
        whole = Geometry(blocks=blocks, group_inodes=each).whole()
        if whole.groups < groups:
            each = min(group_inodes(whole.groups, inodes), GROUP)
            return Geometry(blocks=whole.blocks, group_inodes=each)
        return whole

    def fits(self, blocks: int, journal: int) -> bool:
        """Whether a filesystem of at most so many blocks has room."""
        geometry = self.geometry(blocks)
        trees = tree_size(-(-journal // MAX_LENGTH)) + _TREE_GROWTH * geometry.gaps
        needed = self.blocks + journal + 1 + trees
        return geometry.inodes >= self.inodes and geometry.capacity >= needed

    def smallest(self, journal: int) -> Geometry:
        """The smallest filesystem that has room.

        Raises:
            LimitExceededError: There is none.
        """
        low = high = self.blocks + journal
        while high < MAX_BLOCKS and not self.fits(high, journal):
            low, high = high, min(2 * high, MAX_BLOCKS)
        if high > MAX_BLOCKS or not self.fits(high, journal):
            raise LimitExceededError(
                f"a filesystem with {self.blocks + journal} blocks of content and free space",
                limit="MAX_BLOCKS", value=MAX_BLOCKS,
            )  # fmt: skip
        sizes = range(low, high)
        found = bisect_left(sizes, True, key=lambda blocks: self.fits(blocks, journal))
        return self.geometry(low + found)


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
        content + blocks_of(options.free),
        content,
        inodes + options.spare_inodes,
        options.bytes_per_inode,
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
        if allowed and need.fits(blocks, journal):
            return Sizing(geometry, journal)
    journal = _LEAST_JOURNAL if options.journal else 0
    smallest = need.smallest(journal)
    if smallest.blocks <= blocks:  # where a few blocks more would be a row of inodes more
        return Sizing(smallest, journal)
    least = smallest.blocks << BLOCK_BITS
    raise LimitExceededError(
        f"the image needs {least} bytes", limit="size", value=options.size,
        hint=f"give a size of at least {least} bytes",
    )  # fmt: skip


def _smallest(need: _Need, wanted: bool) -> Sizing:
    journal = _LEAST_JOURNAL if wanted else 0
    geometry = need.smallest(journal)
    while wanted and journal < journal_size(geometry.blocks):
        journal = journal_size(geometry.blocks)
        geometry = need.smallest(journal)
    return Sizing(geometry, journal)
