import gzip
import zlib

import pytest

from orlop.compression import Compression, Compressor, Decompressor
from orlop.compression.compress import COMPRESSED_PIECE

NAMES = ["none", "gzip", "zstd"]
DATA = b"".join(b"%d: some text that can be compressed\n" % (n * n) for n in range(40_000))


def compress(name, data, size=1 << 30):
    compressor = Compressor(name)
    pieces = [compressor.feed(data[at : at + size]) for at in range(0, len(data), size)]
    stream = b"".join([*pieces, compressor.close()])
    assert compressor.size == len(stream)
    return stream


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", [b"", b"x" * 20, DATA[:COMPRESSED_PIECE], DATA], ids=len)
def test_what_is_compressed_comes_back(name, data):
    stream = compress(name, data)
    decompressor = Decompressor()
    pieces = [*decompressor.feed(stream), *decompressor.close()]
    assert b"".join(pieces) == data
    assert decompressor.compression is (Compression.NONE if name == "none" else Compression(name))


@pytest.mark.parametrize("name", NAMES)
def test_how_the_stream_is_cut_does_not_matter(name):
    expected = compress(name, DATA)
    for size in (511, 65536, COMPRESSED_PIECE, COMPRESSED_PIECE + 1):
        assert compress(name, DATA, size) == expected
    assert len(expected) < len(DATA) / 4 or name == "none"


def test_gzip_says_neither_name_nor_time_nor_system():
    """RFC 1952, 2.3: FLG, MTIME and OS; all that could differ between two runs is zero or fixed."""
    stream = compress("gzip", DATA)
    assert stream[:10] == bytes.fromhex("1f8b08000000000000ff")
    assert gzip.decompress(stream) == DATA
    member = zlib.decompressobj(wbits=31)
    assert (member.decompress(stream), member.unused_data) == (DATA, b"")


def test_zstd_has_one_frame_with_its_checksum():
    """RFC 8878, 3.1.1.1.1: bit 2 of the frame header's descriptor is Content_Checksum_flag."""
    stream = compress("zstd", DATA)
    assert stream[:4] == bytes.fromhex("28b52ffd")
    assert stream[4] & 4
    damaged = bytearray(stream)
    damaged[-1] ^= 1
    with pytest.raises(ValueError, match="broken"):
        list(Decompressor().feed(damaged))


@pytest.mark.parametrize("name", NAMES)
def test_memory_is_returned_and_closing_is_final(name):
    compressor = Compressor(name)
    assert isinstance(compressor.feed(memoryview(DATA)), bytes)
    assert compressor.close()
    for again in (compressor.close, lambda: compressor.feed(b"x")):
        with pytest.raises(ValueError, match="closed"):
            again()


def test_other_names_are_refused():
    with pytest.raises(KeyError):
        Compressor("xz")
