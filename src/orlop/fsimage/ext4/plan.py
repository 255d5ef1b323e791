"""Measure an image: what lies where, before a byte of it is written.

Content lies in this order: the tables of the resize inode, the journal, then of all inodes by
number directories, long targets and blocks of attributes, then of all by number files. The extent
tree of a file follows it.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

from orlop.fsimage.ext4.content import stored_runs
from orlop.fsimage.ext4.extents import (
    MAX_LENGTH,
    Extent,
    encode_one,
    encode_tree,
    split_run,
    tree_size,
)
from orlop.fsimage.ext4.format import BLOCK_BITS
from orlop.fsimage.ext4.inodes import Inodes
from orlop.fsimage.ext4.options import Ext4Options, WrittenExt4
from orlop.fsimage.ext4.sizing import choose
from orlop.fsimage.ext4.space import Space
from orlop.tree.node import S_IFMT, S_IFREG

if TYPE_CHECKING:
    from orlop.tree.node import Node


class Pieces(NamedTuple):
    """Where a file lies that one extent from its first block on cannot describe.

    Attributes:
        extents: All extents.
        tree: The blocks of their tree.
    """

    extents: list[Extent]
    tree: list[int]

    @property
    def blocks(self) -> int:
        """All blocks of the file."""
        return sum(length for _, _, length in self.extents) + len(self.tree)


class Plan:
    """Where everything of one image lies.

    Args:
        root: The root directory.
        options: What is asked for.

    Attributes:
        options: What is asked for.
        inodes: The inodes.
        geometry: How the disk is divided.
        regions: What is not content.
        starts: The first block of each inode's content that lies in one piece, by place.
        pieces: Where all other content lies, by place.
        resize_block: The block of the resize inode, 0 where there is none.
        journal_blocks: Blocks of the journal.
        journal: Where it lies.
        used: Which blocks are used.
        free_blocks: How many are not.
    """

    def __init__(self, root: Node, options: Ext4Options) -> None:
        self.options = options
        self.inodes = Inodes(root, options)
        sizing = choose(self.inodes.content(), self.inodes.used, options)
        self.geometry = sizing.geometry
        self.regions = self.geometry.regions()
        self.starts = array("Q", bytes(8 * len(self.inodes.order)))
        self.pieces: dict[int, Pieces] = {}
        self.resize_block = 0
        self.journal_blocks = sizing.journal
        self._space = Space(self.geometry, self.regions)
        self._place_reserved()
        self._place_metadata()
        self._place_files()
        self.used = self._space.used()
        self.free_blocks = self.geometry.blocks - sum(
            end - start
            for group in range(self.geometry.groups)
            for start, end in self.used.in_group(group)
        )

    def summary(self) -> WrittenExt4:
        """What the image is."""
        geometry, size = self.geometry, self.options.size
        return WrittenExt4(
            size=geometry.blocks << BLOCK_BITS if size is None else size,
            blocks=geometry.blocks,
            free_blocks=self.free_blocks,
            inodes=geometry.inodes,
            free_inodes=geometry.inodes - self.inodes.used,
            groups=geometry.groups,
            journal_blocks=self.journal_blocks,
        )

    def body(self, place: int, length: int) -> tuple[bytes, int]:
        """What an inode has in the place of extents, and how many blocks that is."""
        pieces = self.pieces.get(place)
        if pieces is None:
            return encode_one(self.starts[place], length), length
        return encode_tree(*pieces)[0], pieces.blocks

    def _place_reserved(self) -> None:
        if self.geometry.reserved_blocks:
            self.resize_block = self._space.take(1)[0][0]
        self.journal = self._pieces([(0, self.journal_blocks)])

    def _place_metadata(self) -> None:
        inodes, space = self.inodes, self._space
        for place, node in enumerate(inodes.order):
            shared = inodes.shared.get(place)
            if shared is not None and shared.first == place:
                shared.address = space.take(1)[0][0]
            if node.mode & S_IFMT != S_IFREG:
                self._place(place, inodes.blocks(place, node))

    def _place_files(self) -> None:
        for place, node in enumerate(self.inodes.order):
            if node.mode & S_IFMT != S_IFREG or not node.size:
                continue
            if node.segments is None:
                self._place(place, self.inodes.blocks(place, node))
            else:
                self.pieces[place] = self._pieces(stored_runs(node))

    def _place(self, place: int, length: int) -> None:
        space = self._space
        if length <= MAX_LENGTH and space.at + length <= space.end:
            self.starts[place] = space.at
            space.at += length
        else:
            self.pieces[place] = self._pieces([(0, length)])

    def _pieces(self, runs: list[tuple[int, int]]) -> Pieces:
        """Blocks for these runs of a file: first block in the file, and how many."""
        take = self._space.take
        extents = [
            extent for logical, length in runs for extent in split_run(logical, take(length))
        ]
        tree = take(tree_size(len(extents)))
        return Pieces(extents, [start + each for start, length in tree for each in range(length)])
