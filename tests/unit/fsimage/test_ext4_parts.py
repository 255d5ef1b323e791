import os
import struct

import pytest

from orlop.errors import InvalidImageError, InvalidLayerError, LimitExceededError
from orlop.fsimage.ext4 import directory as directory_module
from orlop.fsimage.ext4.content import stored_runs
from orlop.fsimage.ext4.crc16 import crc16
from orlop.fsimage.ext4.directory import MAX_LEAVES, Index, fits_one_block
from orlop.fsimage.ext4.extents import encode_tree, split_run, tree_size
from orlop.fsimage.ext4.format import BLOCK, FLEX, GROUP, MAX_BLOCKS
from orlop.fsimage.ext4.geometry import Geometry, journal_size
from orlop.fsimage.ext4.inode import encode_device, encode_time
from orlop.fsimage.ext4.names_hash import hash_name
from orlop.fsimage.ext4.sink import Sink
from orlop.fsimage.ext4.xattrs import encode_xattrs
from orlop.tree import Node

SEED = struct.unpack("<4I", bytes.fromhex("be45cb2605bf36bebde684841a28f0fd"))
SECOND = 1_000_000_000


def test_the_checksum_of_groups_is_crc16_of_ansi():
    assert crc16(b"123456789") == 0x4B37
    assert crc16(b"56789", crc16(b"1234")) == 0x4B37


def test_hashes_of_names_are_those_of_e2fsprogs():
    assert hash_name(b"entry-5", SEED) == 0xAFDC2BD8


def test_no_name_hashes_like_the_end_of_a_directory():
    hashes = {hash_name(b"%d" % number, SEED) for number in range(5000)}
    assert len(hashes) > 4990
    assert not any(value & 1 or value == 0xFFFFFFFE for value in hashes)


@pytest.mark.parametrize(
    ("time_ns", "seconds", "extra"),
    [
        (0, 0, 0),
        (-1, 0xFFFFFFFF, 999_999_999 << 2),
        (-(2**31) * SECOND, 0x80000000, 0),
        ((2**31 - 1) * SECOND + 5, 0x7FFFFFFF, 5 << 2),
        (2**31 * SECOND, 0x80000000, 1),
        (2**32 * SECOND, 0, 1),
        ((2**34 - 2**31) * SECOND - 1, 0x7FFFFFFF, 999_999_999 << 2 | 3),
    ],
)
def test_times_reach_from_1901_to_2446(time_ns, seconds, extra):
    assert encode_time(time_ns) == (seconds, extra)


@pytest.mark.parametrize(
    ("major", "minor", "words"),
    [(1, 3, (0x103, 0)), (255, 255, (0xFFFF, 0)), (256, 0, (0, 256 << 8)), (8, 256, (0, 0x100800))],
)
def test_small_device_numbers_have_the_old_form(major, minor, words):
    assert struct.unpack("<2I", encode_device(os.makedev(major, minor))) == words


@pytest.mark.parametrize(
    ("extents", "blocks"), [(0, 0), (4, 0), (5, 1), (340, 1), (341, 2), (1360, 4), (1361, 6)]
)
def test_extent_trees_have_as_many_blocks_as_they_need(extents, blocks):
    assert tree_size(extents) == blocks
    root, nodes = encode_tree([(2 * n, n, 1) for n in range(extents)], range(100, 100 + blocks))
    assert len(nodes) == blocks
    assert len(root) <= 60


def test_a_tree_of_two_levels_leads_to_all_extents():
    extents = [(2 * number, 10_000 + number, 1) for number in range(1500)]
    root, nodes = encode_tree(extents, range(50, 50 + tree_size(1500)))
    by_block = dict(enumerate(nodes, 50))

    def read(node):
        magic, count, most, depth, _ = struct.unpack_from("<4HI", node)
        assert (magic, len(node) <= 12 + 12 * most) == (0xF30A, True)
        for at in range(12, 12 + 12 * count, 12):
            if depth:
                first, low, high, _ = struct.unpack_from("<IIHH", node, at)
                below = list(read(by_block[low]))
                assert (below[0][0], high) == (first, 0)
                yield from below
            else:
                logical, length, high, low = struct.unpack_from("<IHHI", node, at)
                assert high == 0
                yield logical, low, length

    assert list(read(root)) == extents


def test_extents_have_at_most_32768_blocks():
    assert split_run(7, [(100, 40_000), (90_000, 1)]) == [
        (7, 100, 32_768), (32_775, 32_868, 7232), (40_007, 90_000, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("segments", "runs"),
    [
        ((), []),
        (((0, 1),), [(0, 1)]),
        (((4095, 2),), [(0, 2)]),
        (((0, 10), (20, 10), (5000, 1)), [(0, 2)]),
        (((0, 4096), (8192, 1), (9000, 0), (40_000, 1000)), [(0, 1), (2, 1), (9, 2)]),
    ],
)
def test_segments_that_share_blocks_are_one_run(segments, runs):
    assert stored_runs(Node(0o100644, size=50_000, segments=segments)) == runs


@pytest.mark.parametrize("segments", [((5, 2), (6, 2)), ((9, 2),), ((0, -1),)])
def test_segments_out_of_place_are_refused(segments):
    with pytest.raises(InvalidLayerError, match="out of place"):
        stored_runs(Node(0o100644, size=10, segments=segments))


def test_one_block_holds_4080_bytes_of_entries():
    names = [b"%02d" % number + b"n" * 246 for number in range(15)]
    assert fits_one_block([*names, b"n" * 208])
    assert not fits_one_block([*names, b"n" * 209])


def test_an_index_goes_on_where_a_hash_has_names_in_two_leaves(monkeypatch):
    monkeypatch.setattr(directory_module, "hash_name", lambda name, seed: 8)
    index = Index([b"%05d" % number + b"n" * 200 for number in range(40)], SEED)
    assert [len(leaf) for leaf in index.leaves] == [18, 18, 4]
    assert index.hashes == [8, 9, 9]


def test_a_directory_with_too_many_leaves_is_refused(monkeypatch):
    monkeypatch.setattr(directory_module, "MAX_LEAVES", 2)
    names = [b"%05d" % number + b"n" * 200 for number in range(60)]
    with pytest.raises(LimitExceededError, match="MAX_LEAVES = 2") as caught:
        Index(names, SEED)
    assert "60 entries" in str(caught.value)
    assert MAX_LEAVES == 507 * 510


def test_access_control_lists_lose_the_owners_that_mean_nothing():
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, 6, owner)
        for tag, owner in [(1, 2**32 - 1), (2, 1000), (4, 2**32 - 1), (8, 7), (16, 0), (32, 0)]
    )
    expected = struct.pack("<I", 1) + b"".join(
        struct.pack("<HH" if owner is None else "<HHI", tag, 6, *([] if owner is None else [owner]))
        for tag, owner in [(1, None), (2, 1000), (4, None), (8, 7), (16, None), (32, None)]
    )
    inside, block = encode_xattrs({b"system.posix_acl_access": acl})
    assert inside.endswith(expected)
    assert len(inside) == 96
    assert not block


@pytest.mark.parametrize(
    "value",
    [
        b"", b"\1\0\0\0", b"\2\0\0\0x",
        b"\2\0\0\0\3\0\7\0\0\0\0\0", b"\2\0\0\0\1\0\x08\0\0\0\0\0",
    ],
)  # fmt: skip
def test_what_is_no_access_control_list_is_refused(value):
    with pytest.raises(InvalidImageError, match="posix_acl_default"):
        encode_xattrs({b"system.posix_acl_default": value})


def test_an_access_control_list_without_entries_is_none():
    assert encode_xattrs({b"system.posix_acl_access": b"\2\0\0\0"}) == (b"", b"")


def test_attributes_go_to_a_block_where_the_inode_has_no_room():
    inside, block = encode_xattrs({b"user.a": b"1" * 40, b"user.b": b"2" * 40, b"user.c": b"3"})
    assert b"1" * 40 in inside
    assert b"2" * 40 in block
    assert (len(inside), len(block)) == (96, BLOCK)


def test_attributes_beside_the_inode_have_one_block():
    encode_xattrs({b"user.a": bytes(BLOCK - 32 - 4 - 16 - 4)})
    with pytest.raises(LimitExceededError, match=r"4064 bytes beside .*MAX_XATTR_AREA = 4060"):
        encode_xattrs({b"user.a": bytes(BLOCK - 32 - 4 - 16)})


def test_the_hash_of_a_block_of_attributes_is_made_of_those_of_its_entries():
    _, block = encode_xattrs({b"user.a": b"1" * 100, b"user.b": b"2" * 100})
    magic, count, blocks, total, _ = struct.unpack_from("<5I", block)
    (first,) = struct.unpack_from("<I", block, 32 + 12)
    (second,) = struct.unpack_from("<I", block, 32 + 20 + 12)
    assert (magic, count, blocks) == (0xEA020000, 0, 1)
    assert total == (first << 16 | first >> 16) & 0xFFFFFFFF ^ second


def test_tables_of_any_size_make_way_for_superblocks():
    for inodes in range(16, GROUP + 1, 16):
        end = 0
        for start, length, _, _ in Geometry(blocks=18 * GROUP, group_inodes=inodes).regions():
            assert start >= end
            end = start + length
        assert end <= 18 * GROUP


@pytest.mark.parametrize("blocks", [4000, 32_768, 100_000, 3_000_000, 33_000_000])
@pytest.mark.parametrize("inodes", [16, 8192, GROUP])
def test_regions_neither_overlap_nor_leave_the_disk(blocks, inodes):
    geometry = Geometry(blocks=blocks, group_inodes=inodes).whole()
    end = 0
    for start, length, _, _ in geometry.regions():
        assert start >= end
        end = start + length
    assert end <= geometry.blocks
    taken = sum(length for _, length, _, _ in geometry.regions())
    assert geometry.capacity == geometry.blocks - taken


def test_superblocks_are_copied_to_powers_of_three_five_and_seven():
    geometry = Geometry(blocks=130 * GROUP, group_inodes=16)
    assert geometry.copies == [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]


def test_bitmaps_and_tables_of_sixteen_groups_lie_together():
    regions = Geometry(blocks=40 * GROUP, group_inodes=8192).regions()
    for start, _, kind, group in regions:
        if kind != "super":
            assert start // GROUP == group // FLEX * FLEX


@pytest.mark.parametrize("blocks", [GROUP, GROUP * 1000, MAX_BLOCKS])
def test_descriptors_can_grow_within_what_one_block_addresses(blocks):
    geometry = Geometry(blocks=blocks, group_inodes=16)
    assert geometry.descriptor_blocks + geometry.reserved_blocks <= 1024


def test_journals_are_as_large_as_mke2fs_makes_them():
    sizes = [journal_size(blocks) for blocks in (1000, 32_768, 262_144, 524_288, 2**32 - 1)]
    assert sizes == [1024, 4096, 8192, 16_384, 262_144]


class Record:
    def __init__(self):
        self.calls = []

    def write(self, data):
        self.calls.append(bytes(data))

    def skip(self, size):
        self.calls.append(size)


def test_small_pieces_are_written_together_and_large_gaps_skipped():
    output = Record()
    sink = Sink(output)
    sink.put(0, b"a")
    sink.put(3, b"b")
    sink.put(1 << 20, b"c")
    sink.put((1 << 20) + 1, b"d" * 70_000)
    sink.finish(2 << 20)
    rest = (1 << 20) - 70_001
    assert output.calls == [b"a\0\0b", (1 << 20) - 4, b"c", b"d" * 70_000, rest]


def test_nothing_is_written_twice():
    sink = Sink(Record())
    sink.put(0, b"ab")
    with pytest.raises(AssertionError, match="larger than what was measured"):
        sink.put(1, b"c")
