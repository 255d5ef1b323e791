"""Making a dm-verity tree while the data pass by, and writing it behind them.

All digests stay in memory until the tree is written: 32 bytes for 4096 bytes of data with the
defaults, at most `MAX_DIGESTS_SIZE`, and the higher levels, which are a hundredth of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError
from orlop.fsimage.verity.blocks import BlockStream
from orlop.fsimage.verity.dm import SUPERBLOCK_SIZE, DmVerity, DmVerityOptions

if TYPE_CHECKING:
    from orlop.fsimage.output import Output

MAX_DIGESTS_SIZE: Final = 1 << 30
"""How many bytes the digests of data may take: with the defaults, those of 128 GiB of data."""


class DmVerityHasher:
    """Hashes data from front to back, and makes their tree.

    Args:
        options: How.
    """

    def __init__(self, options: DmVerityOptions) -> None:
        self._options = options
        self._leaves = bytearray()
        self._stream = BlockStream(options.data_hash(), self._take)
        self._levels: list[bytearray] | None = None
        self._root_hash = b""

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Hash the next bytes.

        Raises:
            LimitExceededError: `MAX_DIGESTS_SIZE`.
            ValueError: The tree is finished.
        """
        self._check_open()
        self._stream.write(data)

    def skip(self, size: int, /) -> None:
        """Hash the next `size` bytes, which are zero, in no time.

        Raises:
            LimitExceededError: `MAX_DIGESTS_SIZE`.
            ValueError: The tree is finished.
        """
        self._check_open()
        self._stream.skip(size)

    def finish(self, *, hash_offset: int | None = None) -> DmVerity:
        """The device that data and tree make; to be called again only for another offset.

        Args:
            hash_offset: Where superblock and tree will begin: 0 on a device of their own; where
                None, behind the data on the same device, at the next hash block.

        Raises:
            ValueError: There are no data, or they do not end with a block: what is behind them on
                the device would be hashed too. Or the offset is not aligned, as for `DmVerity`.
        """
        size, options = self._stream.size, self._options
        if self._stream.rest or not size:
            raise ValueError(f"{size} bytes are not whole blocks of {options.data_block_size}")
        if self._levels is None:
            self._build()
        if hash_offset is None:
            hash_offset = size + -size % options.hash_block_size
        return DmVerity(
            options=options,
            root_hash=self._root_hash,
            data_blocks=size // options.data_block_size,
            hash_offset=hash_offset,
        )

    def write_tree(self, verity: DmVerity, output: Output) -> None:
        """Write `verity.tree_size` bytes: the superblock, if there is to be one, and the tree.

        Args:
            verity: What `finish` has returned.
            output: Stands at `verity.hash_offset`.

        Raises:
            ValueError: The tree is not finished, or is another one.
            OSError: Writing failed.
        """
        if self._levels is None or verity.root_hash != self._root_hash:
            raise ValueError("the tree is not finished, or it is another one")
        written = 0
        if verity.options.superblock:
            output.write(verity.superblock())
            written = SUPERBLOCK_SIZE
        start = verity.hash_start_block * verity.options.hash_block_size
        output.skip(start - verity.hash_offset - written)
        for level in reversed(self._levels):
            output.write(level)

    def _take(self, digests: bytes | bytearray) -> None:
        if len(self._leaves) + len(digests) > MAX_DIGESTS_SIZE:
            raise LimitExceededError(
                "the data have too many digests for memory",
                limit="MAX_DIGESTS_SIZE",
                value=MAX_DIGESTS_SIZE,
            )
        self._leaves += digests

    def _check_open(self) -> None:
        if self._levels is not None:
            raise ValueError("the tree is finished, and takes no more data")

    def _build(self) -> None:
        hashing = self._options.tree_hash()
        levels: list[bytearray] = []
        digests = self._leaves
        while len(digests) > hashing.digest_size:
            digests += bytes(-len(digests) % hashing.block_size)
            levels.append(digests)
            digests = hashing.digests(digests)
        self._levels, self._root_hash = levels, bytes(digests)


class DmVerityOutput:
    """An `Output` that hands everything on, hashes it, and at the end writes the tree behind it.

    Args:
        output: Takes the image, and then the tree if `append_tree` is called.
        options: How the tree is made.

    Attributes:
        hasher: What has hashed the image; for a tree on a device of its own.
    """

    def __init__(self, output: Output, options: DmVerityOptions) -> None:
        self.hasher = DmVerityHasher(options)
        self._output = output

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Write and hash the next bytes.

        Raises:
            LimitExceededError: `MAX_DIGESTS_SIZE`.
            OSError: Writing failed.
        """
        self._output.write(data)
        self.hasher.write(data)

    def skip(self, size: int, /) -> None:
        """Write and hash `size` zeros.

        Raises:
            LimitExceededError: `MAX_DIGESTS_SIZE`.
            OSError: Writing failed.
        """
        self._output.skip(size)
        self.hasher.skip(size)

    def append_tree(self) -> DmVerity:
        """Write the tree behind the data, at the next hash block.

        Raises:
            ValueError: The data are not whole blocks, or there are none.
            OSError: Writing failed.
        """
        verity = self.hasher.finish()
        self._output.skip(verity.hash_offset - verity.data_size)
        self.hasher.write_tree(verity, self._output)
        return verity
