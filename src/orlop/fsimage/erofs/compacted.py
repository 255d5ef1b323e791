"""The index of compressed content in its compacted form, which mkfs.erofs writes: read only.

Entries come in packs that have the address of one block for all of their entries:

    offset size   what a pack of 2 (of 16) has
    0      4 (28) entries of 16 (14) bits: the lower 12 are clusterofs or delta[0], then 2 of advise
    4 (28) 4      the block that the first extent of the pack follows on or begins at

Of an entry that goes on with an extent and is the last of its pack, delta[1] is there in place of
delta[0]. Packs of 16 are aligned to 32 bytes; before and behind them there are packs of 2.

Spec: Linux, fs/erofs/zmap.c, `z_erofs_load_compact_lcluster`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from orlop.fsimage.erofs.compressed import BLOCK_COUNT, GOES_ON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.fsimage.erofs.access import Metadata

_LOW_BITS: Final = 12
_LOW: Final = (1 << _LOW_BITS) - 1
_KIND: Final = 0x3
_ADDRESS_SIZE: Final = 4
_SMALL: Final = 2
_SMALL_SIZE: Final = 8
_LARGE: Final = 16
_LARGE_SIZE: Final = 32


class Packs(NamedTuple):
    """How an index is divided.

    Attributes:
        before: Entries in packs of 2 before those of 16.
        large: Entries in packs of 16.
        behind: Entries in packs of 2 behind those.
    """

    before: int
    large: int
    behind: int

    @property
    def size(self) -> int:
        """Bytes of all packs."""
        small = -(-self.before // _SMALL) - (-self.behind // _SMALL)
        return small * _SMALL_SIZE + self.large // _LARGE * _LARGE_SIZE


def divide(start: int, count: int, *, large: bool) -> Packs:
    """How an index of `count` entries is divided that begins at `start`.

    Args:
        start: Where it begins in the image, in bytes.
        count: How many entries it has.
        large: Whether it has packs of 16.
    """
    before = -start % _LARGE_SIZE // (_SMALL_SIZE // _SMALL)
    if not large or before >= count:
        return Packs(count, 0, 0)
    in_large = (count - before) // _LARGE * _LARGE
    return Packs(before, in_large, count - before - in_large)


def iter_entries(
    meta: Metadata, start: int, packs: Packs, *, big: bool
) -> Iterator[tuple[int, int, int]]:
    """Advise, clusterofs and block or delta[0] of each entry, as in a full index.

    Args:
        meta: Reads the image.
        start: Where the index begins, in bytes.
        packs: How it is divided.
        big: Whether extents may take more than one block.
    """
    kinds = ((packs.before, _SMALL, _SMALL_SIZE), (packs.large, _LARGE, _LARGE_SIZE),
             (packs.behind, _SMALL, _SMALL_SIZE))  # fmt: skip
    for entries, count, size in kinds:
        for first in range(0, entries, count):
            pack = _decode(meta(start, size), count, big=big)
            yield from pack[: entries - first]
            start += size


def _decode(pack: bytes, count: int, *, big: bool) -> list[tuple[int, int, int]]:
    width = (len(pack) - _ADDRESS_SIZE) * 8 // count
    bits = int.from_bytes(pack[:-_ADDRESS_SIZE], "little")
    block = int.from_bytes(pack[-_ADDRESS_SIZE:], "little")
    values = [bits >> width * number for number in range(count)]
    raw = [(value >> _LOW_BITS & _KIND, value & _LOW) for value in values]
    entries = []
    if not big:
        block += 1  # it is the one before the first that begins here
    for number, (kind, low) in enumerate(raw):
        counted = kind == GOES_ON and low & BLOCK_COUNT
        if kind != GOES_ON:
            entries.append((kind, low, block))
            # The next entry says how many blocks there are, if it goes on and is in this pack.
            following = raw[number + 1] if number + 1 < count else (0, 0)
            block += not (big and following[0] == GOES_ON)
            continue
        if big and counted:
            block += low & ~BLOCK_COUNT
        if number + 1 == count and not counted:
            before_kind, before = raw[number - 1]
            low = 1 + (0 if before_kind != GOES_ON else 1 if before & BLOCK_COUNT else before)
        entries.append((kind, 0, low))
    return entries
