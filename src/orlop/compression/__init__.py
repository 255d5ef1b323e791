"""Compressed layers: told by their content, decompressed as a stream and within limits."""

from orlop.compression.decompress import Decompressor
from orlop.compression.detect import Compression, detect
from orlop.compression.limits import DecompressionLimits

__all__ = ["Compression", "DecompressionLimits", "Decompressor", "detect"]
