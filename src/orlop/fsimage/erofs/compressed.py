"""Compressed content: what is cut into which pieces, and the index that finds them again.

A file is cut into *extents* of a fixed length, each compressed by itself into whole blocks, at the
end of which it lies, zeros before it. An extent that would save no block is stored as it is. Beside
the inode, aligned to 8 bytes, comes a header, 8 bytes of zeros, and an index with 8 bytes for each
block of the file:

    offset type   field             of the header
    0      u32                      0
    4      u16    advise            0x2: extents take more than one block
    6      u8     algorithm         0 LZ4, 3 Zstandard
    7      u8     clusterbits       log2 of a block of the file over that of the image: 0

    0      u16    advise            of the index: 0 stored, 1 an extent begins, 2 one goes on
    2      u16    clusterofs        where in the block that is: 0
    4      u32    blkaddr           of 0 and 1: its first block
    4      u16    delta[0]          of 2: how many blocks ago it began; of the first of these,
                                    `BLOCK_COUNT` and how many blocks it takes
    6      u16    delta[1]          of 2: how many blocks on the next one begins

Spec: Linux, fs/erofs/erofs_fs.h, `struct z_erofs_map_header` and `z_erofs_lcluster_index`.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from concurrent.futures import Future

_Key = TypeVar("_Key")

HEADER: Final = Struct("<IHBB8x")
ENTRY: Final = Struct("<HHI")
ENTRY_SIZE: Final = 8
BIG_PCLUSTERS: Final = 0x2
BLOCK_COUNT: Final = 1 << 11
MAX_EXTENT: Final = 1 << 20
"""Bytes of an extent, as far as every Linux that knows extents of many blocks can read them."""
STORED, BEGINS, GOES_ON = 0, 1, 2
_WORKERS: Final = 2
_AHEAD: Final = 6


class Codec(Protocol):
    """An algorithm that Linux can undo.

    Attributes:
        algorithm: Its number in images.
        configuration: What the image says of it.
        extent: Bytes that are compressed at once.
        kernel: The Linux that knows it.
    """

    @property
    def algorithm(self) -> int: ...  # noqa: D102 - told above
    @property
    def configuration(self) -> bytes: ...  # noqa: D102
    @property
    def extent(self) -> int: ...  # noqa: D102
    @property
    def kernel(self) -> tuple[int, int]: ...  # noqa: D102

    def compress(self, data: bytes, /) -> bytes:
        """The data compressed, as one block or frame."""


class Extents:
    """The index of one file, as its extents are written.

    Attributes:
        blocks: How many blocks they take.
        saved: Whether any of them is compressed.
    """

    __slots__ = ("_entries", "blocks", "saved")

    def __init__(self) -> None:
        self._entries = bytearray()
        self.blocks = 0
        self.saved = False

    def add_stored(self, start: int, count: int) -> None:
        """An extent of `count` blocks that lies as it is from block `start` on."""
        for block in range(start, start + count):
            self._entries += ENTRY.pack(STORED, 0, block)
        self.blocks += count

    def add_compressed(self, start: int, count: int, blocks: int) -> None:
        """An extent of `count` blocks, more than one, that takes `blocks` from `start` on."""
        entries = [ENTRY.pack(BEGINS, 0, start)]
        for at in range(1, count):
            back = BLOCK_COUNT | blocks if at == 1 else at
            entries.append(ENTRY.pack(GOES_ON, 0, back | count - at << 16))
        self._entries += b"".join(entries)
        self.blocks += blocks
        self.saved = True

    @property
    def size(self) -> int:
        """Bytes of header and index."""
        return HEADER.size + len(self._entries)

    @property
    def count(self) -> int:
        """How many blocks of the file it has so far."""
        return len(self._entries) // ENTRY_SIZE

    def encode(self, algorithm: int) -> bytes:
        """Header and index."""
        return HEADER.pack(0, BIG_PCLUSTERS, algorithm, 0) + self._entries


def encode_configuration(codec: Codec) -> bytes:
    """What follows the superblock: of each algorithm, the length of its configuration, and that."""
    return len(codec.configuration).to_bytes(2, "little") + codec.configuration


def iter_compressed(
    codec: Codec, pieces: Iterable[tuple[_Key, bytes]]
) -> Generator[tuple[_Key, bytes, bytes]]:
    """Compress pieces in a few threads; each with its key and what came out, in their order.

    Empty pieces take their place in that order, and nothing comes out of them.
    """
    with ThreadPoolExecutor(_WORKERS) as pool:
        waiting: deque[tuple[_Key, bytes, Future[bytes] | None]] = deque()
        try:
            for key, data in pieces:
                waiting.append((key, data, pool.submit(codec.compress, data) if data else None))
                if len(waiting) > _AHEAD:
                    yield _result(*waiting.popleft())
            while waiting:
                yield _result(*waiting.popleft())
        finally:
            for _, _, future in waiting:
                if future is not None:
                    future.cancel()


def _result(key: _Key, data: bytes, future: Future[bytes] | None) -> tuple[_Key, bytes, bytes]:
    return key, data, b"" if future is None else future.result()
