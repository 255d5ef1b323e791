"""Verifying all data of a device against the root hash of its dm-verity tree.

The tree is gone through depth first, every block read once and used only when it is verified, so
that no more of it is in memory than one block a level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import DigestMismatchError
from orlop.fsimage.input import read_exactly

if TYPE_CHECKING:
    from orlop.fsimage.input import ReadAt
    from orlop.fsimage.verity.blocks import BlockHash
    from orlop.fsimage.verity.dm import DmVerity


def verify_dm_verity(verity: DmVerity, read_data: ReadAt, read_tree: ReadAt) -> None:
    """Read everything; success means that every block is the one that the root hash stands for.

    Args:
        verity: What the device is, its root hash from a trusted place.
        read_data: Reads the device of the data.
        read_tree: Reads that of the tree, from its first byte on; the same for a tree that is
            appended.

    Raises:
        DigestMismatchError: A block is another one; the message names the first that is, in the
            order of the data.
        InvalidImageError: A device ends before its last block.
    """
    _Verifier(verity, read_data, read_tree).verify()


class _Verifier:
    def __init__(self, verity: DmVerity, read_data: ReadAt, read_tree: ReadAt) -> None:
        self._verity = verity
        self._fanout = verity.options.fanout
        self._data = _Blocks(verity.options.data_hash(), read_data, "data block", 0)
        self._levels = []
        blocks = verity.level_blocks
        start = verity.hash_start_block
        for level, count in zip(range(len(blocks))[::-1], blocks, strict=True):
            name = f"hash block of level {level}, block"
            hashing = verity.options.tree_hash()
            self._levels.append((_Blocks(hashing, read_tree, name, start), count))
            start += count

    def verify(self) -> None:
        self._descend(0, 0, 1, self._verity.root_hash)

    def _descend(self, depth: int, first: int, count: int, digests: bytes) -> None:
        """Verify blocks that hang below one block, and all below them."""
        if depth == len(self._levels):
            self._data.read(first, count, digests)
            return
        blocks, _ = self._levels[depth]
        below = (
            self._levels[depth + 1][1]
            if depth + 1 < len(self._levels)
            else self._verity.data_blocks
        )
        for number in range(first, first + count):
            start = (number - first) * blocks.hashing.digest_size
            block = blocks.read(number, 1, digests[start : start + blocks.hashing.digest_size])
            begin = number * self._fanout
            self._descend(depth + 1, begin, min(self._fanout, below - begin), block)


class _Blocks:
    """The data, or a level of the tree, read block by block and verified."""

    def __init__(self, hashing: BlockHash, read: ReadAt, name: str, start: int) -> None:
        self.hashing = hashing
        self._read = read
        self._name = name
        self._start = start

    def read(self, first: int, count: int, digests: bytes) -> bytes:
        """Blocks from the number `first` on, which have these digests."""
        size = self.hashing.block_size
        data = read_exactly(self._read, (self._start + first) * size, count * size)
        found = self.hashing.digests(data)
        if found != digests[: len(found)]:
            self._fail(first, bytes(found), digests)
        return data

    def _fail(self, first: int, found: bytes, digests: bytes) -> None:
        width = self.hashing.digest_size
        for start in range(0, len(found), width):
            actual, expected = found[start : start + width], digests[start : start + width]
            if actual != expected:
                number = first + start // width
                raise DigestMismatchError(
                    f"{self._name} {number}", expected=expected.hex(), actual=actual.hex()
                )
