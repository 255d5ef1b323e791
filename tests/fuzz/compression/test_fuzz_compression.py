"""Broken compressed streams end in an error of orlop, soon, and with little memory."""

import gzip
import random
import sys

import pytest

from orlop.compression import DecompressionLimits, Decompressor
from orlop.errors import OrlopError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROUNDS = 1500
DATA = bytes(random.Random(7).choices(b"abcdefgh\0", k=2000)) + bytes(3000)
SKIPPABLE = b"\x53\x2a\x4d\x18\x03\0\0\0abc"
LIMITS = DecompressionLimits(max_size=1 << 22, max_window_size=1 << 22, max_frames=100)
CHECKED = {zstd.CompressionParameter.checksum_flag: 1}
SEEDS = [
    gzip.compress(DATA) + gzip.compress(b"second"),
    zstd.compress(DATA, options=CHECKED) + SKIPPABLE + zstd.compress(b"second", options=CHECKED),
]
MAGIC_SIZE = 4


def mutated(stream, chance):
    data = bytearray(stream)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(MAGIC_SIZE, len(data))
        action = chance.randrange(4)
        if action == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif action == 1:
            data[at] = chance.choice((0, 0xFF, 0x80, 0x1F))
        elif action == 2:
            data[at:at] = data[at : at + chance.randrange(1, 40)]
        else:
            del data[at : at + chance.randrange(1, 40)]
    return bytes(data)


def outcome(stream, chunk_size):
    decompressor = Decompressor(limits=LIMITS)
    pieces = []
    try:
        for start in range(0, len(stream), chunk_size):
            pieces += decompressor.feed(stream[start : start + chunk_size])
        pieces += decompressor.close()
    except OrlopError as error:
        return type(error)
    return b"".join(pieces)


@pytest.mark.parametrize("seed", [0, 1], ids=["gzip", "zstd"])
def test_mutated_streams(seed):
    chance = random.Random(seed)
    whole = DATA + b"second"
    assert outcome(SEEDS[seed], 100) == whole
    refused = 0
    for _ in range(ROUNDS):
        stream = mutated(SEEDS[seed], chance)
        found = outcome(stream, 1 << 20)
        assert outcome(stream, chance.choice((1, 7, 64))) == found
        if isinstance(found, type):
            refused += 1
        else:
            assert found in (whole, DATA)
    assert refused > ROUNDS * 3 // 4
