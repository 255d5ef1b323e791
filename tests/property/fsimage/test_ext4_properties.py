import io
from bisect import bisect_right

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from orlop.errors import LimitExceededError
from orlop.fsimage.ext4 import Ext4Options, measure_ext4, write_ext4
from orlop.fsimage.ext4.directory import Index
from orlop.fsimage.ext4.format import BLOCK, GROUP
from orlop.fsimage.ext4.groups import block_bitmap, inode_bitmap, used_inodes
from orlop.fsimage.ext4.names_hash import hash_name
from orlop.fsimage.ext4.plan import Plan
from orlop.fsimage.ext4.sizing import choose
from orlop.fsimage.output import StreamOutput
from support.random_trees import DATA, names, trees

UUID = bytes(range(16))
SEED = (1, 2, 3, 4)

options = st.builds(
    Ext4Options,
    uuid=st.binary(min_size=16, max_size=16),
    journal=st.booleans(),
    free=st.sampled_from([0, 1, 1 << 20, 1 << 27, 3 << 30]),
    bytes_per_inode=st.sampled_from([1024, 4096, 16_384, 1 << 20]),
    spare_inodes=st.sampled_from([0, 512, 50_000]),
)


def resized(given_options, size):
    return Ext4Options(
        uuid=given_options.uuid,
        size=size,
        free=given_options.free,
        journal=given_options.journal,
        bytes_per_inode=given_options.bytes_per_inode,
        spare_inodes=given_options.spare_inodes,
    )


@given(
    content=st.integers(5, 1_000_000),
    inodes=st.integers(11, 300_000),
    asked=options,
    more=st.integers(0, 3) | st.integers(0, 3 * GROUP),
)
@example(
    content=30_000,
    inodes=307_838,
    more=5,
    asked=Ext4Options(uuid=UUID, journal=False, free=2 << 30, spare_inodes=0),
)
@settings(deadline=None)
def test_a_disk_of_at_least_the_smallest_size_has_room(content, inodes, asked, more):
    """What fits on a disk fits on every larger one."""
    least = choose(content, inodes, asked).geometry.blocks
    larger = choose(content, inodes, resized(asked, (least + more) * BLOCK))
    assert larger.geometry.blocks <= least + more


@given(content=st.integers(5, 1_000_000), inodes=st.integers(11, 300_000), asked=options)
@settings(deadline=None)
def test_what_a_disk_needs_is_enough_and_less_is_not(content, inodes, asked):
    """The error of a disk that is too small says the smallest that is not."""
    with pytest.raises(LimitExceededError) as caught:
        choose(content, inodes, resized(asked, BLOCK))
    needed = int(caught.value.hint.removesuffix(" bytes").rpartition(" ")[2])
    assert choose(content, inodes, resized(asked, needed)).geometry.blocks == needed // BLOCK
    with pytest.raises(LimitExceededError, match=f"needs {needed} bytes"):
        choose(content, inodes, resized(asked, needed - BLOCK))


@given(trees, options)
@settings(deadline=None)
def test_bitmaps_and_counts_say_the_same(root, asked):
    """A block or inode is free, or it is used; what is said of all is the sum of the groups."""
    assume(b"lost+found" not in root.children)
    plan = Plan(root, asked)
    groups = range(plan.geometry.groups)
    free_blocks = free_inodes = 0
    for group in groups:
        bits = int.from_bytes(block_bitmap(plan, group), "little").bit_count()
        free_blocks += GROUP - bits
        if used_inodes(plan, group):
            free_inodes += GROUP - int.from_bytes(inode_bitmap(plan, group), "little").bit_count()
        else:
            assert inode_bitmap(plan, group) == b""
            free_inodes += plan.geometry.group_inodes
    summary = plan.summary()
    assert (free_blocks, free_inodes) == (summary.free_blocks, summary.free_inodes)
    assert summary.free_blocks * BLOCK >= asked.free
    assert summary.free_inodes >= asked.spare_inodes


@given(trees, st.integers(0, 1 << 20))
@settings(deadline=None, max_examples=30)
def test_the_same_tree_gives_the_same_bytes(root, label):
    """Output is deterministic, and as long as was measured."""
    assume(b"lost+found" not in root.children)
    asked = Ext4Options(uuid=UUID, label=b"%d" % label, journal=False)
    images = []
    for _ in range(2):
        output = io.BytesIO()
        write_ext4(
            root, StreamOutput(output),
            read=lambda source, offset, size: DATA[offset : offset + size], options=asked,
        )  # fmt: skip
        images.append(output.getvalue())
    assert images[0] == images[1]
    assert len(images[0]) == measure_ext4(root, asked).size


@given(st.sets(names, min_size=1, max_size=300), st.integers(1, 255))
@settings(deadline=None)
def test_every_name_is_in_the_leaf_that_its_hash_leads_to(found, length):
    """The entries of a leaf have hashes from that of the leaf to that of the next."""
    longer = sorted({(name + b"-" * length)[:255] for name in found})
    index = Index(longer, SEED)
    assert sorted(name for leaf in index.leaves for name in leaf) == longer
    assert index.hashes == sorted(index.hashes)
    for number, leaf in enumerate(index.leaves):
        for name in leaf:
            reached = bisect_right(index.hashes, hash_name(name, SEED)) - 1
            assert reached == number or (number and index.hashes[number] & 1)
