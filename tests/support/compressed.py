"""Helpers: compress with the plain libraries, decompress in chunks of a given size."""

import sys

from orlop.compression import Decompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHECKED = {zstd.CompressionParameter.checksum_flag: 1}
SKIPPABLE = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"


def zstd_frame(data, **parameters):
    options = {
        getattr(zstd.CompressionParameter, name): value for name, value in parameters.items()
    }
    return zstd.compress(data, options=CHECKED | options)


def decompress(stream, chunk_size=1 << 16, **options):
    decompressor = Decompressor(**options)
    pieces = []
    for start in range(0, len(stream), chunk_size):
        pieces += decompressor.feed(stream[start : start + chunk_size])
    pieces += decompressor.close()
    return b"".join(pieces)
