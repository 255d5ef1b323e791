"""dm-verity as values: what its tree is like, where it lies, and how Linux is told of it.

The tree lies behind the data on their device, or on a device of its own. It begins with the
superblock, if there is one; the kernel does not read that, `veritysetup open` does.

    offset  size  type   superblock, little endian
         0     8  bytes  `verity`, two NULs
         8     4  u32    version: 1
        12     4  u32    hash type: 1, the salt comes before the data
        16    16  bytes  UUID, which may not be nil
        32    32  bytes  algorithm, filled with NULs
        64     4  u32    bytes of a data block
        68     4  u32    bytes of a hash block
        72     8  u64    data blocks
        80     2  u16    bytes of the salt
        82     6         zero
        88   256  bytes  salt, filled with zeros
       344   168         zero

The tree begins at the next hash block. A block of its lowest level holds the digests of as many
data blocks as fit, one of a higher level those of blocks of the level below; what is left of the
last block of each level is zero. There are as many levels as make the highest a single block. The
highest comes first on the device, the lowest last. The root hash is that of the highest block; of
one data block alone it is that block's, and there is no tree.

Spec: Linux, Documentation/admin-guide/device-mapper/verity.rst; cryptsetup, "DMVerity" (wiki),
"Verity superblock format".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError, UnsupportedError
from orlop.fsimage.input import read_exactly
from orlop.fsimage.verity.blocks import DIGEST_SIZES, Algorithm, BlockHash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.fsimage.input import ReadAt

SUPERBLOCK_SIZE: Final = 512
MAX_SALT_SIZE: Final = 256
BLOCK_SIZES: Final = (512, 1024, 2048, 4096)

_SUPERBLOCK: Final = struct.Struct("<8sII16s32sIIQH6x256s168x")
_MAGIC: Final = b"verity\0\0"
_VERSION: Final = 1
_HASH_TYPE: Final = 1
_SECTOR: Final = 512
_MAX_SECTORS: Final = 1 << 55


@dataclass(frozen=True, slots=True, kw_only=True)
class DmVerityOptions:
    """How a tree is to be made; the defaults are those of `veritysetup format`.

    Attributes:
        uuid: The 16 bytes that name the device, not all of them zero; not used without superblock.
        salt: What is hashed before each block, 0 to 256 bytes.
        algorithm: `sha256` or `sha512`.
        data_block_size: Bytes that have a digest of their own: 512, 1024, 2048 or 4096.
        hash_block_size: Bytes of a block of the tree, likewise.
        superblock: Whether the tree begins with a superblock.

    Raises:
        ValueError: One of them is something else.
    """

    uuid: bytes = b""
    salt: bytes = b""
    algorithm: Algorithm = "sha256"
    data_block_size: int = 4096
    hash_block_size: int = 4096
    superblock: bool = True

    def __post_init__(self) -> None:
        if self.superblock and (len(self.uuid) != 16 or not any(self.uuid)):
            raise ValueError("a superblock needs a UUID of 16 bytes that is not nil")
        if len(self.salt) > MAX_SALT_SIZE:
            raise ValueError(f"the salt has {len(self.salt)} bytes, more than {MAX_SALT_SIZE}")
        if self.algorithm not in DIGEST_SIZES:
            raise ValueError(f"the algorithm {self.algorithm!r} is neither sha256 nor sha512")
        for size in (self.data_block_size, self.hash_block_size):
            if size not in BLOCK_SIZES:
                raise ValueError(f"blocks of {size} bytes: they may have 512, 1024, 2048 or 4096")

    @property
    def digest_size(self) -> int:
        """Bytes of a digest."""
        return DIGEST_SIZES[self.algorithm]

    @property
    def fanout(self) -> int:
        """How many digests a block of the tree holds."""
        return self.hash_block_size // self.digest_size

    def data_hash(self) -> BlockHash:
        """What hashes blocks of data."""
        return BlockHash(self.algorithm, self.salt, self.data_block_size)

    def tree_hash(self) -> BlockHash:
        """What hashes blocks of the tree."""
        return BlockHash(self.algorithm, self.salt, self.hash_block_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class DmVerity:
    """A device that dm-verity protects: all that is needed to open it, and to verify it.

    Attributes:
        options: How the tree was made.
        root_hash: What all the rest is verified against.
        data_blocks: How many blocks of data there are, at least one.
        hash_offset: Where the superblock, or the tree that has none, begins on its device, in
            bytes; a multiple of 512, and without superblock of the hash block size.

    Raises:
        ValueError: One of them is something else.
    """

    options: DmVerityOptions
    root_hash: bytes
    data_blocks: int
    hash_offset: int

    def __post_init__(self) -> None:
        if len(self.root_hash) != self.options.digest_size:
            raise ValueError(f"the root hash has {len(self.root_hash)} bytes")
        if not 0 < self.sectors <= _MAX_SECTORS:
            raise ValueError(f"{self.data_blocks} blocks of data")
        unit = _SECTOR if self.options.superblock else self.options.hash_block_size
        if self.hash_offset < 0 or self.hash_offset % unit:
            raise ValueError(f"the hash offset {self.hash_offset} is no multiple of {unit}")

    @property
    def data_size(self) -> int:
        """Bytes of data."""
        return self.data_blocks * self.options.data_block_size

    @property
    def sectors(self) -> int:
        """Length of the data in sectors of 512 bytes."""
        return self.data_size // _SECTOR

    @property
    def level_blocks(self) -> tuple[int, ...]:
        """How many blocks each level of the tree has, the highest level first."""
        found, count = [], self.data_blocks
        while count > 1:
            count = -(-count // self.options.fanout)
            found.append(count)
        return tuple(reversed(found))

    @property
    def hash_start_block(self) -> int:
        """Where the tree begins on its device, in hash blocks."""
        start = self.hash_offset + (SUPERBLOCK_SIZE if self.options.superblock else 0)
        return -(-start // self.options.hash_block_size)

    @property
    def tree_size(self) -> int:
        """Bytes from `hash_offset` to the end of the tree."""
        end = self.hash_start_block + sum(self.level_blocks)
        return end * self.options.hash_block_size - self.hash_offset

    def superblock(self) -> bytes:
        """The 512 bytes of the superblock."""
        options = self.options
        return _SUPERBLOCK.pack(
            _MAGIC, _VERSION, _HASH_TYPE, options.uuid, options.algorithm.encode(),
            options.data_block_size, options.hash_block_size, self.data_blocks,
            len(options.salt), options.salt,
        )  # fmt: skip

    def table(
        self, data_device: str, hash_device: str | None = None, *, features: Sequence[str] = ()
    ) -> str:
        """The line that makes Linux open the device, as for `dmsetup create --readonly --table`.

        Args:
            data_device: The device of the data, as a path or `major:minor`.
            hash_device: That of the tree; the same where None.
            features: Optional parameters, such as `ignore_zero_blocks`, `panic_on_corruption`.

        Raises:
            ValueError: A device's name is empty or has spaces in it.
        """
        devices = (data_device, data_device if hash_device is None else hash_device)
        for device in devices:
            if device.split() != [device]:
                raise ValueError(f"{device!r} cannot be named in a table")
        options = self.options
        words = (
            0, self.sectors, "verity", 1, *devices, options.data_block_size,
            options.hash_block_size, self.data_blocks, self.hash_start_block, options.algorithm,
            self.root_hash.hex(), options.salt.hex() or "-",
            *((len(features), *features) if features else ()),
        )  # fmt: skip
        return " ".join(map(str, words))

    def kernel_argument(
        self,
        data_device: str,
        hash_device: str | None = None,
        *,
        name: str = "root",
        features: Sequence[str] = (),
    ) -> str:
        """What opens the device at boot, on the kernel's command line: `dm-mod.create="…"`.

        The kernel needs `CONFIG_DM_INIT`; the device is the first one, `/dev/dm-0`, if no other
        is made before it.

        Args:
            data_device: As for `table`.
            hash_device: As for `table`.
            name: The name of the new device.
            features: As for `table`.

        Raises:
            ValueError: As `table`; or a name has a comma, a semicolon or a quote in it.

        Spec: Linux, Documentation/admin-guide/device-mapper/dm-init.rst.
        """
        table = self.table(data_device, hash_device, features=features)
        if not name or any(sign in name + table for sign in ',;"\\') or name.split() != [name]:
            raise ValueError(f"{name!r} and {table!r} cannot be said on a kernel's command line")
        return f'dm-mod.create="{name},,,ro,{table}"'

    def open_command(
        self, data_device: str, hash_device: str | None = None, *, name: str = "root"
    ) -> tuple[str, ...]:
        """The words of the `veritysetup open` that opens the device."""
        options = self.options
        words = ["veritysetup", "open", data_device, name, hash_device or data_device]
        words.append(self.root_hash.hex())
        if self.hash_offset:
            words.append(f"--hash-offset={self.hash_offset}")
        if not options.superblock:
            words += [
                "--no-superblock", "--format=1", f"--hash={options.algorithm}",
                f"--data-block-size={options.data_block_size}",
                f"--hash-block-size={options.hash_block_size}",
                f"--data-blocks={self.data_blocks}", f"--salt={options.salt.hex() or '-'}",
            ]  # fmt: skip
        return tuple(words)


def read_dm_verity(read: ReadAt, root_hash: bytes, *, hash_offset: int = 0) -> DmVerity:
    """What the superblock of a device says, which is trusted no further than the root hash proves.

    Args:
        read: Reads the device that the tree is on.
        root_hash: From a trusted place; the superblock does not have it.
        hash_offset: Where the superblock is, in bytes.

    Raises:
        InvalidImageError: There is none, or it contradicts itself or the root hash.
        UnsupportedError: It needs what is not known here.
    """
    raw = read_exactly(read, hash_offset, SUPERBLOCK_SIZE)
    magic, version, kind, uuid, name, data_size, hash_size, blocks, salt_size, salt = (
        _SUPERBLOCK.unpack(raw)
    )
    where = f"offset {hash_offset}"
    if magic != _MAGIC:
        raise InvalidImageError("this is no dm-verity superblock", where=where)
    if (version, kind) != (_VERSION, _HASH_TYPE):
        raise UnsupportedError(f"dm-verity of version {version} and hash type {kind}")
    if salt_size > MAX_SALT_SIZE:
        raise InvalidImageError(f"the salt has {salt_size} bytes", where=where)
    try:
        return DmVerity(
            options=DmVerityOptions(
                uuid=uuid,
                salt=salt[:salt_size],
                algorithm=_algorithm(name),
                data_block_size=data_size,
                hash_block_size=hash_size,
            ),
            root_hash=root_hash,
            data_blocks=blocks,
            hash_offset=hash_offset,
        )
    except ValueError as error:
        raise InvalidImageError(str(error), where=where) from None


def _algorithm(field: bytes) -> Algorithm:
    name = field.rstrip(b"\0")
    if name == b"sha256":
        return "sha256"
    if name == b"sha512":
        return "sha512"
    raise UnsupportedError(f"dm-verity with the algorithm {name!r}", hint="use sha256 or sha512")
