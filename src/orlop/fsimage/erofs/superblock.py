"""The superblock and the device table, read and verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop.errors import InvalidImageError, UnsupportedError
from orlop.fsimage.erofs.access import read_exactly
from orlop.fsimage.erofs.crc32c import checksum_size, superblock_checksum
from orlop.fsimage.erofs.format import (
    COMPAT_SB_CHKSUM,
    DEVICE_SLOT,
    INCOMPAT_COMPR_CFGS,
    INCOMPAT_DEVICE_TABLE,
    INCOMPAT_NAMES,
    INCOMPAT_READABLE,
    MAGIC,
    MAX_BLOCK_BITS,
    MIN_BLOCK_BITS,
    SLOT_SIZE,
    SUPERBLOCK,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
)

if TYPE_CHECKING:
    from orlop.fsimage.erofs.access import ReadAt


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSlot:
    """A device that the image refers to.

    Attributes:
        tag: What the writer calls it.
        blocks: Its size in blocks.
        base: Its first block in the unified address space; 0 for none.
    """

    tag: bytes
    blocks: int
    base: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """What an image says of itself.

    Attributes:
        block_bits: log2 of the block size.
        root_nid: The number of the root directory.
        inodes: How many inodes there are, as the image says.
        epoch_ns: The mtime of compact inodes, in nanoseconds since 1970.
        blocks: Blocks of the image itself.
        meta_start: Where nid 0 lies, in bytes.
        xattr_start: Where shared attributes begin, in bytes.
        uuid: The image's UUID.
        volume_name: The image's name.
        compat: Features that readers may ignore.
        incompat: Features that readers must know.
        algorithms: A bit for each algorithm that content may be compressed with.
        devices: The extra devices.
    """

    block_bits: int
    root_nid: int
    inodes: int
    epoch_ns: int
    blocks: int
    meta_start: int
    xattr_start: int
    uuid: bytes
    volume_name: bytes
    compat: int
    incompat: int
    algorithms: int
    devices: tuple[DeviceSlot, ...]

    @property
    def block_size(self) -> int:
        """The block size in bytes."""
        return 1 << self.block_bits

    @property
    def size(self) -> int:
        """Bytes of the image itself."""
        return self.blocks << self.block_bits


def read_superblock(read: ReadAt) -> Superblock:
    """The superblock of an image, its checksum verified where it has one.

    Raises:
        InvalidImageError: There is none, or it contradicts itself.
        UnsupportedError: The image needs features that are not known here.
    """
    raw = read_exactly(read, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE)
    (
        magic, checksum, compat, block_bits, _extra, root_nid, inodes, epoch, fixed_nsec, blocks,
        meta_block, xattr_block, uuid, volume_name, incompat, compression, devices, slots_at,
        directory_bits, *_rest,
    ) = SUPERBLOCK.unpack(raw)  # fmt: skip
    if magic != MAGIC:
        raise InvalidImageError("this is no EROFS image", where="superblock")
    if not MIN_BLOCK_BITS <= block_bits <= MAX_BLOCK_BITS or directory_bits:
        raise InvalidImageError(f"blocks of 2**{block_bits} bytes", where="superblock")
    if compat & COMPAT_SB_CHKSUM:
        _verify(read, checksum, 1 << block_bits)
    _check_features(incompat)
    if fixed_nsec >= 1_000_000_000:
        raise InvalidImageError(f"{fixed_nsec} nanoseconds", where="superblock")
    seconds = epoch - (1 << 64) if epoch >> 63 else epoch
    return Superblock(
        block_bits=block_bits,
        root_nid=root_nid,
        inodes=inodes,
        epoch_ns=seconds * 1_000_000_000 + fixed_nsec,
        blocks=blocks,
        meta_start=meta_block << block_bits,
        xattr_start=xattr_block << block_bits,
        uuid=uuid,
        volume_name=volume_name.rstrip(b"\0"),
        compat=compat,
        incompat=incompat,
        algorithms=compression if incompat & INCOMPAT_COMPR_CFGS else 1,
        devices=_read_slots(
            read, devices if incompat & INCOMPAT_DEVICE_TABLE else 0, slots_at,
            blocks << block_bits,
        ),
    )  # fmt: skip


def _verify(read: ReadAt, checksum: int, block_size: int) -> None:
    covered = read_exactly(read, SUPERBLOCK_OFFSET, checksum_size(block_size))
    actual = superblock_checksum(covered)
    if actual != checksum:
        raise InvalidImageError(
            f"the checksum is {actual:#010x}, and {checksum:#010x} is written", where="superblock"
        )


def _check_features(incompat: int) -> None:
    unknown = incompat & ~INCOMPAT_READABLE
    if unknown:
        names = [
            INCOMPAT_NAMES.get(1 << bit, f"bit {bit}") for bit in range(32) if unknown >> bit & 1
        ]
        raise UnsupportedError(f"the EROFS image needs {', '.join(names)}")


def _read_slots(read: ReadAt, count: int, slots_at: int, size: int) -> tuple[DeviceSlot, ...]:
    start, length = slots_at * SLOT_SIZE, count * SLOT_SIZE
    if start + length > size:
        raise InvalidImageError("the device table is not in the image", where="superblock")
    table = read_exactly(read, start, length)
    return tuple(map(_decode_slot, DEVICE_SLOT.iter_unpack(table)))


def _decode_slot(fields: tuple[bytes, int, int, int, int]) -> DeviceSlot:
    tag, blocks, base, _, _ = fields
    return DeviceSlot(tag=tag.rstrip(b"\0"), blocks=blocks, base=base)
