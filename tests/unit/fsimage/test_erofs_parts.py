import pytest

from orlop.errors import (
    InvalidImageError,
    InvalidLayerError,
    LimitExceededError,
    UnsupportedError,
)
from orlop.fsimage.erofs.chunks import MAX_FILE_CHUNKS, map_chunks
from orlop.fsimage.erofs.crc32c import checksum_size, crc32c, superblock_checksum
from orlop.fsimage.erofs.dirents import decode_block, encode_block, first_name, split_names
from orlop.fsimage.erofs.format import HOLE, MAX_DEVICES, SUPERBLOCK, SUPERBLOCK_SIZE
from orlop.fsimage.erofs.xattrs import decode_entries, decode_header, encode_xattrs, representable


def test_crc32c_agrees_with_the_published_check_value():
    assert crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283


def test_the_checksum_ignores_its_own_field():
    data = bytearray(range(256)) * 2
    checksum = superblock_checksum(bytes(data))
    data[4:8] = b"\xff" * 4
    assert superblock_checksum(bytes(data)) == checksum
    data[8] ^= 1
    assert superblock_checksum(bytes(data)) != checksum


def test_the_checksum_covers_a_block_or_its_rest():
    assert checksum_size(512) == 512
    assert checksum_size(1024) == 1024
    assert checksum_size(4096) == 3072


def test_the_superblock_has_its_size():
    assert SUPERBLOCK.size == SUPERBLOCK_SIZE == 128
    assert MAX_DEVICES == 16_374


@pytest.mark.parametrize("block_size", [512, 4096])
def test_names_fill_blocks_and_come_back(block_size):
    names = sorted(b"%d" % i * (1 + i % 80) for i in range(300))
    ends, size = split_names(names, block_size)
    start, total, seen = 0, 0, []
    for end in ends:
        part = names[start:end]
        block = encode_block(part, range(start, end), [1] * len(part))
        assert len(block) <= block_size
        if end < len(names):
            assert len(block) + 12 + len(names[end]) > block_size
            total += block_size
            block = block.ljust(block_size, b"\0")
        else:
            total += len(block)
        assert first_name(block) == part[0]
        seen += decode_block(block)
        start = end
    assert total == size
    assert [entry.name for entry in seen] == names
    assert [entry.nid for entry in seen] == list(range(len(names)))


def test_two_names_of_255_bytes_take_two_blocks_of_512():
    assert split_names([b"a" * 255, b"b" * 255], 512) == ([1, 2], 512 + 267)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        bytes(11),
        bytes(24),
        encode_block([b"a"], [1], [1])[:8] + b"\x0d\0\1\0a",
        encode_block([b"a"], [1], [1])[:12],
        encode_block([b"a/b"], [1], [1]),
        encode_block([b"a\0b", b"c"], [1, 2], [1, 1]),
        encode_block([b"", b"c"], [1, 2], [1, 1]),
        encode_block([b"n" * 256], [1], [1]),
        encode_block([b"a", b"b"], [1, 2], [1, 1])[:20] + b"\xff\xff\1\0ab",
    ],
)
def test_a_broken_directory_block_is_refused(block):
    with pytest.raises(InvalidImageError):
        decode_block(block)


def test_attributes_come_back_sorted():
    xattrs = {
        b"user.b": b"2",
        b"user.a": b"",
        b"trusted.overlay.opaque": b"y",
        b"security.selinux": b"s" * 65_535,
        b"system.posix_acl_access": b"acl",
        b"system.posix_acl_default": b"",
    }
    area = encode_xattrs(xattrs)
    assert len(area) % 4 == 0
    assert decode_header(area) == (0, ())
    entries = [(name, value) for name, value, _ in decode_entries(area, 12)]
    assert entries == sorted(xattrs.items())
    assert encode_xattrs({}) == b""


@pytest.mark.parametrize(
    "name",
    [b"com.apple.provenance", b"system.other", b"user.", b"user", b"", b"lustre.lov", b"user.\0x"],
)
def test_attributes_without_a_place_are_refused_by_name(name):
    with pytest.raises(UnsupportedError, match="extended attribute"):
        encode_xattrs({name: b""})


def test_namespaces_are_known():
    assert representable(b"user.x")
    assert representable(b"system.posix_acl_access")
    assert not representable(b"com.apple.provenance")
    assert not representable(b"system.posix")


@pytest.mark.parametrize(
    ("xattrs", "limit"),
    [
        ({b"user." + b"n" * 251: b""}, "MAX_XATTR_NAME"),
        ({b"user.x": bytes(65_536)}, "MAX_XATTR_VALUE"),
        ({b"user.%d" % i: bytes(60_000) for i in range(5)}, "MAX_XATTR_AREA"),
    ],
)
def test_attributes_that_are_too_large_are_refused(xattrs, limit):
    with pytest.raises(LimitExceededError) as caught:
        encode_xattrs(xattrs)
    assert caught.value.limit == limit


def table(chunks, device=1, copied_at=0, block_bits=9):
    raw = chunks.table(device, copied_at, block_bits)
    return [
        (int.from_bytes(raw[i + 2 : i + 4], "little"), int.from_bytes(raw[i + 4 : i + 8], "little"))
        for i in range(0, len(raw), 8)
    ]


def test_a_whole_file_is_one_chunk():
    chunks = map_chunks([(0, 5000)], 5000, 1024, 9, 8192)
    assert chunks.bits == 13
    assert table(chunks) == [(1, 2)]
    assert chunks.format(9) == 0x20 | 4


def test_nothing_but_a_hole_is_one_chunk_however_large():
    assert table(map_chunks([], 1, 0, 9)) == [(0, HOLE)]
    assert table(map_chunks([], 10**12, 0, 9)) == [(0, HOLE)]
    assert map_chunks([], 2**60, 0, 9).count <= MAX_FILE_CHUNKS


def test_the_chunk_size_is_the_largest_that_cuts_at_segments():
    segments = [(0, 8192), (32_768, 16_384), (65_536, 100)]
    chunks = map_chunks(segments, 65_636, 512, 9, 1 << 20)
    assert chunks.bits == 13
    assert not chunks.copied
    assert table(chunks) == [
        (1, 1), (0, HOLE), (0, HOLE), (0, HOLE), (1, 17), (1, 33),
        (0, HOLE), (0, HOLE), (1, 49),
    ]  # fmt: skip


def test_segments_that_touch_are_one():
    chunks = map_chunks([(0, 100), (100, 412), (512, 0)], 1024, 512, 9, 4096)
    assert chunks.runs == [(0, 1, 512)]


def test_a_segment_that_no_address_can_name_is_copied():
    chunks = map_chunks([(100, 50), (1000, 1000)], 4096, 512, 9, 8192)
    assert not chunks.runs
    assert list(chunks.copied_ranges(4096)) == [(0, 2048)]
    assert chunks.copied_blocks(4096, 9) == 4
    assert table(chunks, copied_at=7) == [
        (0, 7), (0, 8), (0, 9), (0, 10), (0, HOLE), (0, HOLE), (0, HOLE), (0, HOLE),
    ]  # fmt: skip


def test_only_the_ragged_ends_of_a_segment_are_copied():
    # The file's byte 512 is stored at byte 1024: an address can name it.
    chunks = map_chunks([(100, 2000)], 4096, 612, 9, 8192)
    assert chunks.runs == [(1, 3, 1024)]
    assert chunks.copied == [(0, 1), (4, 1)]


def test_the_last_block_is_copied_where_the_device_cuts_it_off():
    chunks = map_chunks([(0, 1000), (4096, 700)], 4796, 512, 9, 2048)
    assert chunks.copied
    assert all(offset + 512 * count <= 2048 for _, count, offset in chunks.runs)


def test_a_table_is_never_longer_than_its_limit():
    size = 2**40
    chunks = map_chunks([(512, 512), (size - 512, 512)], size, 512, 9, 4096)
    assert chunks.count == MAX_FILE_CHUNKS
    assert chunks.copied_blocks(size, 9) == 2 * 2**20 // 512


def test_a_file_too_large_for_any_table_is_refused():
    with pytest.raises(LimitExceededError, match="MAX_FILE_CHUNKS"):
        map_chunks([], 2**62, 0, 9)


@pytest.mark.parametrize("segments", [[(10, 5), (12, 5)], [(10, 5), (0, 5)], [(90, 11)], [(0, -1)]])
def test_segments_out_of_place_are_refused(segments):
    with pytest.raises(InvalidLayerError, match="out of place"):
        map_chunks(segments, 100, 0, 9)
