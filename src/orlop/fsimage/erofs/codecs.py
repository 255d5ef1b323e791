"""The algorithms that content of images can be compressed with."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from struct import Struct
from typing import Final, Literal, TypeAlias

from orlop.errors import UnsupportedError
from orlop.fsimage.erofs.compressed import MAX_EXTENT, Codec

Compression: TypeAlias = Literal["lz4", "zstd"]

_LZ4: Final = Struct("<HH10x")  # longest distance, most blocks of an extent
_ZSTD: Final = Struct("<BB4x")  # format 0, log2 of the window less 10
_LZ4_DISTANCE: Final = 0xFFFF
DEFAULT_EXTENTS: Final[dict[Compression, int]] = {"lz4": 1 << 16, "zstd": 1 << 17}
DEFAULT_LEVELS: Final[dict[Compression, int]] = {"lz4": 0, "zstd": 3}
LEVELS: Final[dict[Compression, tuple[int, int]]] = {"lz4": (0, 12), "zstd": (1, 19)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lz4:
    """LZ4 blocks; Linux 5.13, the first that reads extents of many blocks.

    Attributes:
        extent: Bytes that are compressed at once.
        level: 0 for the quick way, 1 to 12 for those that search.
    """

    extent: int
    level: int
    algorithm = 0
    kernel = (5, 13)

    @property
    def configuration(self) -> bytes:
        """The longest distance, and the most blocks of an extent."""
        return _LZ4.pack(_LZ4_DISTANCE, self.extent >> 12)

    def compress(self, data: bytes, /) -> bytes:
        """One block, without its length."""
        from lz4.block import compress

        if not self.level:
            return bytes(compress(data, store_size=False))
        mode = "high_compression"
        return bytes(compress(data, mode=mode, compression=self.level, store_size=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Zstd:
    """Zstandard frames; Linux 6.10, built with EROFS_FS_ZIP_ZSTD.

    Attributes:
        extent: Bytes that are compressed at once, which the window is as large as.
        level: 1 to 19.
    """

    extent: int
    level: int
    algorithm = 3
    kernel = (6, 10)

    @property
    def configuration(self) -> bytes:
        """The format, and how large windows are."""
        return _ZSTD.pack(0, max(self.extent.bit_length() - 1 - 10, 0))

    def compress(self, data: bytes, /) -> bytes:
        """One frame."""
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd

        return bytes(zstd.compress(data, self.level))


def make_codec(name: Compression, *, level: int | None = None, extent: int | None = None) -> Codec:
    """The algorithm of this name.

    Args:
        name: `lz4` or `zstd`.
        level: How hard it tries, 0 to 12 or 1 to 19; 0 or 3 where None.
        extent: Bytes that are compressed at once, a power of two from 8 KiB to 1 MiB: larger ones
            save more, and cost more where little of a file is read. 64 or 128 KiB where None.

    Raises:
        UnsupportedError: Its library is not installed.
        ValueError: The level or the extent is none that it has.
    """
    level = DEFAULT_LEVELS[name] if level is None else level
    extent = DEFAULT_EXTENTS[name] if extent is None else extent
    low, high = LEVELS[name]
    if not low <= level <= high:
        raise ValueError(f"{name} has levels {low} to {high}, not {level}")
    if not 8192 <= extent <= MAX_EXTENT or extent & extent - 1:
        raise ValueError(
            f"an extent of {extent} bytes is no power of two from 8192 to {MAX_EXTENT}"
        )
    if name == "zstd":
        return Zstd(extent=extent, level=level)
    try:
        import lz4.block  # noqa: F401 - asks whether it is there
    except ImportError:
        raise UnsupportedError(
            "compressing with LZ4 needs a library that is not installed",
            hint="install orlop with it: pip install 'orlop[lz4]'",
        ) from None
    return Lz4(extent=extent, level=level)
