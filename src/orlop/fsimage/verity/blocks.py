"""The digests of a stream's blocks: what both kinds of verity make their trees of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orlop.digest import new_hash

if TYPE_CHECKING:
    from collections.abc import Callable

Algorithm: TypeAlias = Literal["sha256", "sha512"]

DIGEST_SIZES: Final = {"sha256": 32, "sha512": 64}
_PIECE: Final = 1 << 20  # a multiple of every block size


class BlockHash:
    """Hashes blocks of one size, each after the same salt.

    Args:
        algorithm: `sha256` or `sha512`.
        salt: What is hashed before each block.
        block_size: In bytes.

    Attributes:
        digest_size: Bytes of one digest.
        block_size: Bytes of one block.
    """

    def __init__(self, algorithm: Algorithm, salt: bytes, block_size: int) -> None:
        self.digest_size = DIGEST_SIZES[algorithm]
        self.block_size = block_size
        self._copy = new_hash(algorithm, salt).copy

    def digests(self, data: bytes | bytearray | memoryview) -> bytearray:
        """The digests of whole blocks, one after another.

        Args:
            data: The blocks, of one byte an item.
        """
        copy, size = self._copy, self.block_size
        found = bytearray()
        with memoryview(data) as view:
            for start in range(0, len(view), size):
                state = copy()
                state.update(view[start : start + size])
                found += state.digest()
        return found


class BlockStream:
    """A stream that is hashed block by block as it comes.

    Args:
        hashing: How.
        take: Called with the digests of the next blocks, in order.

    Attributes:
        size: Bytes that have come.
        rest: Those behind the last whole block.
    """

    def __init__(self, hashing: BlockHash, take: Callable[[bytes | bytearray], object]) -> None:
        self.size = 0
        self.rest = bytearray()
        self._hashing = hashing
        self._take = take
        self._of_zeros = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        with memoryview(data) as given, given.cast("B") as view:
            start = self._fill(view)
            whole = len(view) - (len(view) - start) % self._hashing.block_size
            for begin in range(start, whole, _PIECE):
                self._take(self._hashing.digests(view[begin : min(begin + _PIECE, whole)]))
            self.rest += view[max(start, whole) :]
            self.size += len(view)

    def skip(self, size: int) -> None:
        """Take `size` zeros, of which no more than a block is hashed."""
        block_size = self._hashing.block_size
        begun = min(-len(self.rest) % block_size, size)
        self.write(bytes(begun))
        blocks, rest = divmod(size - begun, block_size)
        if blocks and not self._of_zeros:
            self._of_zeros = bytes(self._hashing.digests(bytes(block_size)))
        self.size += blocks * block_size
        while blocks:
            count = min(blocks, _PIECE // self._hashing.digest_size)
            self._take(self._of_zeros * count)
            blocks -= count
        self.write(bytes(rest))

    def _fill(self, view: memoryview) -> int:
        """Complete the block that was begun; how many bytes that took."""
        if not self.rest:
            return 0
        missing = self._hashing.block_size - len(self.rest)
        self.rest += view[:missing]
        if len(self.rest) == self._hashing.block_size:
            self._take(self._hashing.digests(self.rest))
            self.rest = bytearray()
        return min(missing, len(view))
