import gzip
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.compression import Compressor, Decompressor
from orlop.errors import OrlopError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SKIPPABLE = b"\x53\x2a\x4d\x18\x03\0\0\0abc"
DATA = st.one_of(st.binary(max_size=500), st.binary(max_size=20).map(lambda piece: piece * 5000))
LEVELS = st.integers(1, 9)
GZIP = st.builds(gzip.compress, DATA, LEVELS)
ZSTD = st.builds(
    lambda data, level: zstd.compress(
        data, options={100: level, zstd.CompressionParameter.checksum_flag: 1}
    ),
    DATA,
    LEVELS,
)


def decompress(stream, chunk_sizes=()):
    decompressor = Decompressor()
    pieces, position = [], 0
    for size in chunk_sizes:
        pieces += decompressor.feed(stream[position : position + size])
        position += size
    pieces += decompressor.feed(stream[position:])
    return b"".join([*pieces, *decompressor.close()])


@given(st.lists(GZIP, min_size=1, max_size=4), st.lists(st.integers(0, 300), max_size=20))
def test_gzip_members_are_joined(members, chunk_sizes):
    """A gzip file consists of a series of members that simply appear one after another."""
    expected = b"".join(map(gzip.decompress, members))
    assert decompress(b"".join(members), chunk_sizes) == expected


@given(
    st.lists(st.one_of(ZSTD, st.just(SKIPPABLE)), min_size=1, max_size=4),
    st.lists(st.integers(0, 300), max_size=20),
)
def test_zstd_frames_are_joined(frames, chunk_sizes):
    """Frames are independent; the decompressed content is the concatenation of all of them."""
    expected = b"".join(zstd.decompress(frame) for frame in frames if frame != SKIPPABLE)
    assert decompress(b"".join(frames), chunk_sizes) == expected


@given(st.one_of(GZIP, ZSTD), st.data())
def test_a_cut_stream_is_refused(stream, data):
    """A stream that ends before its checksum is no stream."""
    size = data.draw(st.integers(1, len(stream) - 1))
    with pytest.raises(OrlopError, match="cut short"):
        decompress(stream[:size])


@given(st.binary(min_size=10).filter(lambda data: data[:2] not in (b"\x1f\x8b", b"\x28\xb5")))
def test_what_is_not_compressed_passes_unchanged(data):
    """A layer without compression is its own bytes."""
    try:
        assert decompress(data, [3, 0, 5]) == data
    except OrlopError:
        assert data[:1] in b"BLP7\xfd\x04\x1f]PQRSTUVWXYZ[\\]^_"


@given(
    st.sampled_from(["none", "gzip", "zstd"]),
    DATA,
    st.lists(st.integers(0, 60_000), max_size=8),
)
def test_compressed_streams_come_back_and_do_not_depend_on_their_pieces(name, data, cuts):
    """The same content has the same digest, whoever packs it and in whatever pieces."""
    once = Compressor(name)
    stream = once.feed(data) + once.close()
    compressor, pieces, position = Compressor(name), [], 0
    for size in cuts:
        pieces.append(compressor.feed(memoryview(data)[position : position + size]))
        position += size
    pieces += [compressor.feed(data[position:]), compressor.close()]
    assert b"".join(pieces) == stream
    if name != "none":
        assert decompress(stream) == data
