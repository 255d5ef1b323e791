"""Compressed layers: told by their content, decompressed within limits, and compressed again."""

from orlop.compression.compress import CompressionName, Compressor
from orlop.compression.decompress import Decompressor
from orlop.compression.detect import Compression, detect
from orlop.compression.limits import DecompressionLimits

__all__ = [
    "Compression", "CompressionName", "Compressor", "DecompressionLimits", "Decompressor", "detect",
]  # fmt: skip
