import bz2
import gzip
import lzma
import random
import subprocess
import sys
import zlib

import pytest

from orlop.compression import Compression, DecompressionLimits, Decompressor
from orlop.compression.decompress import PIECE_SIZE
from orlop.compression.gzip import MAX_HEADER_SIZE
from orlop.errors import InvalidLayerError, LimitExceededError
from support.compressed import SKIPPABLE, decompress, zstd_frame

DATA = bytes(random.Random(1).choices(b"abcd\0", k=3000))
FORMS = {"gzip": gzip.compress, "zstd": zstd_frame, "none": bytes}
compressed = pytest.mark.parametrize("compress", [gzip.compress, zstd_frame], ids=["gzip", "zstd"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chunk_size", [1, 2, 9, 10, 11, 1000, 10**6])
def test_streams_in_chunks(form, chunk_size):
    assert decompress(FORMS[form](DATA), chunk_size) == DATA


@pytest.mark.parametrize("form", FORMS)
def test_what_the_stream_is_shows_after_its_first_bytes(form):
    decompressor = Decompressor()
    assert decompressor.compression is None
    assert b"".join(decompressor.feed(FORMS[form](DATA))) == DATA
    assert decompressor.compression is Compression("" if form == "none" else form)
    assert decompressor.size == len(DATA)
    assert list(decompressor.close()) == []


@pytest.mark.parametrize("stream", [b"", b"x", b"\0" * 9])
def test_short_streams_are_not_compressed(stream):
    decompressor = Decompressor()
    assert b"".join([*decompressor.feed(stream), *decompressor.close()]) == stream
    assert decompressor.compression is Compression.NONE
    assert decompressor.size == len(stream)


@compressed
def test_nothing_at_all_compressed(compress):
    assert decompress(compress(b"")) == b""


@compressed
@pytest.mark.parametrize("chunk_size", [1, 13, 10**6])
def test_many_frames(compress, chunk_size):
    stream = compress(DATA) + compress(b"") + compress(b"tail") + compress(DATA)
    assert decompress(stream, chunk_size) == DATA + b"tail" + DATA


@pytest.mark.parametrize("chunk_size", [1, 5, 10**6])
def test_skippable_frames_anywhere(chunk_size):
    stream = SKIPPABLE + zstd_frame(DATA) + SKIPPABLE * 2 + zstd_frame(b"x") + SKIPPABLE
    assert decompress(stream, chunk_size) == DATA + b"x"


def test_a_stream_of_skippable_frames_only():
    assert decompress(SKIPPABLE * 3) == b""


def test_zstd_frames_without_checksum_or_size():
    from support.compressed import zstd

    compressor = zstd.ZstdCompressor()
    stream = compressor.compress(DATA) + compressor.flush()
    assert decompress(stream) == DATA


def gzip_member(flags, fields, data=DATA):
    plain = gzip.compress(data, mtime=0)
    header = plain[:3] + bytes([flags]) + plain[4:10] + fields
    if flags & 2:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    return header + plain[10:]


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 50, 10**6])
@pytest.mark.parametrize("flags", range(32))
def test_gzip_members_with_every_header_field(flags, chunk_size):
    fields = b"\x03\0abc" * bool(flags & 4) + b"name\0" * bool(flags & 8)
    fields += b"comment\0" * bool(flags & 16)
    assert decompress(gzip_member(flags, fields) * 2, chunk_size) == DATA * 2


@pytest.mark.parametrize("chunk_size", [1, 10**6])
@pytest.mark.parametrize("flags", [0x20, 0x40, 0x80])
def test_reserved_flags_of_gzip_are_refused(flags, chunk_size):
    with pytest.raises(InvalidLayerError, match="reserved"):
        decompress(gzip_member(flags, b""), chunk_size)


def test_the_checksum_of_a_gzip_header_is_verified():
    stream = bytearray(gzip_member(2, b""))
    stream[10] ^= 1
    with pytest.raises(InvalidLayerError, match="checksum"):
        decompress(bytes(stream))


def test_the_limit_of_gzip_headers():
    longest = MAX_HEADER_SIZE - 11
    assert decompress(gzip_member(8, b"n" * longest + b"\0")) == DATA
    for chunk_size in (1000, 10**6):
        with pytest.raises(InvalidLayerError, match="header is longer"):
            decompress(gzip_member(8, b"n" * (longest + 1) + b"\0"), chunk_size)


@compressed
def test_every_cut_is_refused(compress):
    stream = compress(DATA[:300])
    for size in range(1, len(stream)):
        for chunk_size in (1, 10**6):
            with pytest.raises(InvalidLayerError, match="cut short"):
                decompress(stream[:size], chunk_size)


@compressed
def test_every_cut_of_the_second_frame_is_refused(compress):
    first, second = compress(b"first"), compress(DATA[:100])
    for size in range(1, len(second)):
        with pytest.raises(InvalidLayerError, match="cut short"):
            decompress(first + second[:size])


@compressed
def test_no_bit_can_flip_unseen(compress):
    stream = compress(DATA[:200])
    silent = 0
    for bit in range(8 * len(stream)):
        flipped = bytearray(stream)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            silent += decompress(bytes(flipped)) == DATA[:200]
        except (InvalidLayerError, LimitExceededError):
            continue
        unseen = decompress(bytes(flipped)) != DATA[:200]
        assert not unseen or bit < 32, bit  # without its magic a stream counts as not compressed
    assert silent < 72  # time stamp, operating system and extra flags of gzip are not protected


@compressed
@pytest.mark.parametrize(
    "garbage", [b"\0", bytes(512), b"garbage that is long enough", b"\x1f\x8b\x09" * 9]
)
def test_garbage_after_the_end_is_refused(compress, garbage):
    for chunk_size in (1, 10**6):
        with pytest.raises(InvalidLayerError, match=r"broken|cut short"):
            decompress(compress(DATA) + garbage, chunk_size)


def test_one_compression_after_another_is_refused():
    for stream in (gzip.compress(b"x") + zstd_frame(b"x"), zstd_frame(b"x") + gzip.compress(b"x")):
        with pytest.raises(InvalidLayerError, match="broken"):
            decompress(stream)


def test_wrong_checksums_and_lengths():
    stream = bytearray(gzip.compress(DATA))
    for position in (-8, -4, -1):
        broken = bytearray(stream)
        broken[position] ^= 1
        with pytest.raises(InvalidLayerError, match="broken"):
            decompress(bytes(broken))
    frame = bytearray(zstd_frame(DATA))
    frame[-1] ^= 1
    with pytest.raises(InvalidLayerError, match="broken"):
        decompress(bytes(frame))


def test_the_error_says_how_far_the_stream_was_read():
    with pytest.raises(InvalidLayerError) as caught:
        decompress(gzip.compress(DATA)[:500])
    assert caught.value.where == "compressed offset 500"


@compressed
def test_pieces_are_small_and_made_as_they_are_asked_for(compress):
    decompressor = Decompressor()
    pieces = decompressor.feed(compress(bytes(64 << 20)))
    seen = 0
    for piece in pieces:
        seen += len(piece)
        assert 0 < len(piece) <= PIECE_SIZE
        assert decompressor.size == seen
    assert seen == 64 << 20


def test_uncompressed_pieces_are_small_too():
    pieces = list(Decompressor().feed(memoryview(bytes(5 * PIECE_SIZE + 1))))
    assert [len(piece) for piece in pieces] == 5 * [PIECE_SIZE] + [1]
    assert {type(piece) for piece in pieces} == {bytes}


def test_pieces_must_be_taken_before_the_next_chunk():
    decompressor = Decompressor()
    pieces = decompressor.feed(gzip.compress(DATA))
    with pytest.raises(ValueError, match="were not all taken"):
        decompressor.feed(b"")
    with pytest.raises(ValueError, match="were not all taken"):
        decompressor.close()
    assert b"".join(pieces) == DATA
    assert list(decompressor.close()) == []


@compressed
def test_the_limit_of_size(compress):
    stream = compress(bytes(100_000))
    assert decompress(stream, limits=DecompressionLimits(max_size=100_000)) == bytes(100_000)
    with pytest.raises(LimitExceededError) as caught:
        decompress(stream, limits=DecompressionLimits(max_size=99_999))
    assert (caught.value.limit, caught.value.value) == ("max_size", 99_999)


def test_the_limit_of_size_holds_for_what_is_not_compressed():
    for size in (5, 50):
        assert decompress(bytes(size), limits=DecompressionLimits(max_size=size)) == bytes(size)
        with pytest.raises(LimitExceededError, match="max_size"):
            decompress(bytes(size), limits=DecompressionLimits(max_size=size - 1))


@compressed
def test_the_limit_of_the_ratio_and_its_floor(compress):
    stream = compress(bytes(10 << 20))
    above = DecompressionLimits(max_ratio=100, ratio_floor=10 << 20)
    assert len(decompress(stream, limits=above)) == 10 << 20
    below = DecompressionLimits(max_ratio=100, ratio_floor=5 << 20)
    with pytest.raises(LimitExceededError) as caught:
        decompress(stream, limits=below)
    assert caught.value.limit == "max_ratio"
    generous = DecompressionLimits(max_ratio=40_000, ratio_floor=0)
    assert len(decompress(stream, limits=generous)) == 10 << 20


def test_a_bomb_is_stopped_at_its_first_pieces():
    decompressor = Decompressor(limits=DecompressionLimits(ratio_floor=1 << 20))
    pieces = decompressor.feed(zstd_frame(bytes(512 << 20)))
    with pytest.raises(LimitExceededError, match="max_ratio"):
        for _ in pieces:
            pass
    assert decompressor.size < 64 << 20


def test_gzip_never_reaches_the_default_ratio():
    assert DecompressionLimits().max_ratio > 1032


@pytest.mark.parametrize("frame", [gzip.compress(b""), zstd_frame(b""), SKIPPABLE])
def test_the_limit_of_frames(frame):
    assert decompress(frame * 10, limits=DecompressionLimits(max_frames=10)) == b""
    with pytest.raises(LimitExceededError) as caught:
        decompress(frame * 11, limits=DecompressionLimits(max_frames=10))
    assert (caught.value.limit, caught.value.value) == ("max_frames", 10)


def test_the_limit_of_the_window():
    frame = zstd_frame(bytes(1 << 21), window_log=21)
    assert len(decompress(frame, limits=DecompressionLimits(max_window_size=1 << 21))) == 1 << 21
    with pytest.raises(LimitExceededError) as caught:
        decompress(frame, limits=DecompressionLimits(max_window_size=1 << 20))
    assert (caught.value.limit, caught.value.value) == ("max_window_size", 1 << 20)


def test_the_default_window_is_what_the_command_takes():
    def header(log):
        return b"\x28\xb5\x2f\xfd\x00" + bytes([(log - 10) << 3]) + b"\x01\0\0"

    assert decompress(header(27)) == b""
    with pytest.raises(LimitExceededError, match="max_window_size"):
        decompress(header(28))


def test_libraries_are_loaded_only_for_their_streams():
    program = (
        "import sys\n"
        "from orlop.compression import Decompressor\n"
        "list(Decompressor().feed(bytes(512)))\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'isal', 'backports', 'compression', 'lzma', 'bz2'}))\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert output.stdout == "[]\n"


@pytest.mark.parametrize("name", ["bzip2", "xz"])
@pytest.mark.parametrize("chunk_size", [1, 100, 10**6])
def test_what_the_programs_of_other_formats_write(name, chunk_size):
    stream = subprocess.run([name, "-9"], input=DATA, capture_output=True, check=True).stdout
    for data, expected in ((stream, DATA), (stream * 3, DATA * 3)):
        decompressor = Decompressor(foreign=True)
        pieces = []
        for start in range(0, len(data), chunk_size):
            pieces += decompressor.feed(data[start : start + chunk_size])
        assert b"".join([*pieces, *decompressor.close()]) == expected
        assert decompressor.compression is Compression(name)


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress])
def test_other_formats_are_held_to_the_same(compress):
    stream = compress(DATA)
    for damaged in (stream[:-1], stream + b"\0", stream[:40] + b"damage" + stream[46:]):
        decompressor = Decompressor(foreign=True)
        with pytest.raises(InvalidLayerError):
            b"".join([*decompressor.feed(damaged), *decompressor.close()])
    bomb = compress(bytes(1 << 24))
    for limit, value in (("max_size", 1 << 18), ("max_ratio", 10)):
        limits = DecompressionLimits(ratio_floor=1 << 19, **{limit: value})
        with pytest.raises(LimitExceededError, match=limit):
            list(Decompressor(foreign=True, limits=limits).feed(bomb))


def test_xz_within_its_memory():
    limits = DecompressionLimits(max_window_size=1 << 20)
    with pytest.raises(LimitExceededError, match="max_window_size"):
        list(Decompressor(foreign=True, limits=limits).feed(lzma.compress(DATA, preset=9)))
