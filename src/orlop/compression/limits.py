"""What a compressed stream may ask of its reader."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DecompressionLimits:
    """Bounds of what comes out of a compressed stream.

    Gzip cannot do better than 1032 to 1, and a tar full of zeros comes near; zstd stores zeros at
    32768 to 1. So a ratio alone says little about a small stream, and is asked only of a large one.

    Attributes:
        max_size: Bytes that may come out, compressed or not.
        max_ratio: Bytes that may come out for each byte that went in.
        ratio_floor: Bytes that may come out whatever the ratio.
        max_frames: Gzip members, zstd frames or other streams; some producers make one for each
            file.
        max_window_size: Bytes that zstd may look back, a power of two; this is what it needs as
            memory, and what xz may have. 128 MiB is what the `zstd` command takes without being
            asked for more, and twice what `xz -9` needs.
    """

    max_size: int = 1 << 40
    max_ratio: int = 2000
    ratio_floor: int = 1 << 30
    max_frames: int = 1_000_000
    max_window_size: int = 1 << 27
