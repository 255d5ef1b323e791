"""The digest by which fs-verity names a file, as the kernel measures it.

A file's blocks, the last one filled with zeros, are hashed, each after the salt; the digests are
put in blocks, filled with zeros, and hashed so again, until there is one digest: the root hash.
Salt that is there is filled with zeros to the block of the hash function, 64 bytes of SHA-256 and
128 of SHA-512. The root hash of an empty file is zero. The digest of the file is that of this
descriptor, without salt:

    offset  size  type   descriptor, little endian
         0     1  u8     version: 1
         1     1  u8     algorithm: 1 for SHA-256, 2 for SHA-512
         2     1  u8     log2 of the block size
         3     1  u8     bytes of the salt
         4     4         zero
         8     8  u64    bytes of the file
        16    64  bytes  root hash, filled with zeros
        80    32  bytes  salt, filled with zeros
       112   144         zero

Spec: Linux, Documentation/filesystems/fsverity.rst, "Merkle tree" and "fs-verity descriptor".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from orlop.digest import new_hash
from orlop.fsimage.verity.blocks import DIGEST_SIZES, BlockHash, BlockStream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.fsimage.verity.blocks import Algorithm

MAX_SALT_SIZE: Final = 32
MIN_BLOCK_SIZE: Final = 1024
MAX_BLOCK_SIZE: Final = 65_536

_DESCRIPTOR: Final = struct.Struct("<BBBB4xQ64s32s144x")
_VERSION: Final = 1
_ALGORITHMS: Final = {"sha256": 1, "sha512": 2}


class FsVerityHasher:
    """The fs-verity digest of a file that passes by; a block a level of it stays in memory.

    Args:
        algorithm: `sha256` or `sha512`.
        block_size: Bytes of a block, a power of two from 1024 to 65536. The kernel takes what is
            no larger than its pages and the blocks of the filesystem.
        salt: What is hashed before each block, 0 to 32 bytes.

    Raises:
        ValueError: One of them is something else.
    """

    def __init__(
        self, *, algorithm: Algorithm = "sha256", block_size: int = 4096, salt: bytes = b""
    ) -> None:
        if algorithm not in DIGEST_SIZES:
            raise ValueError(f"the algorithm {algorithm!r} is neither sha256 nor sha512")
        if not MIN_BLOCK_SIZE <= block_size <= MAX_BLOCK_SIZE or block_size & block_size - 1:
            raise ValueError(f"blocks of {block_size} bytes: a power of two from 1024 to 65536")
        if len(salt) > MAX_SALT_SIZE:
            raise ValueError(f"the salt has {len(salt)} bytes, more than {MAX_SALT_SIZE}")
        self._algorithm = algorithm
        self._salt = salt
        padded = salt + bytes(-len(salt) % new_hash(algorithm).block_size)
        self._hashing = BlockHash(algorithm, padded, block_size)
        self._levels: list[bytearray] = []
        self._stream = BlockStream(self._hashing, self._take)

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Hash the next bytes."""
        self._stream.write(data)

    def skip(self, size: int, /) -> None:
        """Hash the next `size` bytes, which are zero."""
        self._stream.skip(size)

    def digest(self) -> bytes:
        """The digest of the file, were it to end here; more may follow."""
        return new_hash(self._algorithm, self.descriptor()).digest()

    def descriptor(self) -> bytes:
        """The 256 bytes that the digest is made of."""
        return _DESCRIPTOR.pack(
            _VERSION, _ALGORITHMS[self._algorithm], self._hashing.block_size.bit_length() - 1,
            len(self._salt), self._stream.size, self._root_hash(), self._salt,
        )  # fmt: skip

    def _take(self, digests: bytes | bytearray) -> None:
        self._add(self._levels, 0, digests)

    def _add(self, levels: list[bytearray], number: int, digests: bytes | bytearray) -> None:
        """Put digests on a level; those of its blocks that are full go to the next."""
        while digests:
            if number == len(levels):
                levels.append(bytearray())
            level = levels[number]
            level += digests
            full = len(level) - len(level) % self._hashing.block_size
            digests = self._hashing.digests(level[:full])
            del level[:full]
            number += 1

    def _root_hash(self) -> bytes:
        levels = [level[:] for level in self._levels]
        if self._stream.rest:
            self._add(levels, 0, self._filled(self._stream.rest))
        number = 0
        while number < len(levels):
            level = levels[number]
            highest = number == len(levels) - 1
            if highest and len(level) == self._hashing.digest_size:
                return bytes(level)
            if level:
                self._add(levels, number + 1, self._filled(level))
            number += 1
        return b""

    def _filled(self, begun: bytearray) -> bytearray:
        """The digest of a block that is filled with zeros."""
        return self._hashing.digests(begun + bytes(-len(begun) % self._hashing.block_size))


def fs_verity_digest(
    chunks: Iterable[bytes | bytearray | memoryview],
    *,
    algorithm: Algorithm = "sha256",
    block_size: int = 4096,
    salt: bytes = b"",
) -> bytes:
    """The fs-verity digest of a file, given its bytes in order; arguments as `FsVerityHasher`.

    Raises:
        ValueError: As `FsVerityHasher`.
    """
    hasher = FsVerityHasher(algorithm=algorithm, block_size=block_size, salt=salt)
    for chunk in chunks:
        hasher.write(chunk)
    return hasher.digest()
