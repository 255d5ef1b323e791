import hashlib
import io
import os

import pytest

from orlop.digest import Digest
from orlop.errors import (
    InvalidImageError,
    InvalidLayerError,
    LimitExceededError,
    UnsupportedError,
)
from orlop.fsimage.ext4 import Ext4Options, measure_ext4, write_ext4
from orlop.fsimage.output import StreamOutput
from orlop.testing.trees import Bytes, everything
from orlop.tree import Node, directory

UUID = bytes(range(16))
SOURCE = Digest.of(b"source")
PINNED = "68408c688881eaaee7e809b663dc0e31974acd10d36f7f24a8d0027010c74340"
MIB = 1 << 20


def options(**changes):
    return Ext4Options(**{"uuid": UUID, "journal": False, **changes})


def write(root, read=None, **changes):
    output = io.BytesIO()
    written = write_ext4(root, StreamOutput(output), read=read, options=options(**changes))
    image = output.getvalue()
    assert len(image) == written.size
    return image, written


def one(node, name=b"name"):
    root = directory()
    root.children[name] = node
    return root


def test_the_digest_of_a_tree_with_everything_is_pinned():
    store = Bytes()
    image, _ = write(everything(store), store.read, label=b"everything", time_ns=5 * 10**18)
    assert hashlib.sha256(image).hexdigest() == PINNED


def test_the_same_tree_gives_the_same_bytes_in_any_order():
    store = Bytes()
    root = everything(store)
    turned = directory(mtime_ns=root.mtime_ns)
    turned.children.update(reversed(root.children.items()))
    assert write(root, store.read) == write(turned, store.read)


def test_measuring_says_what_writing_makes():
    store = Bytes()
    root = everything(store)
    _, written = write(root, store.read, journal=True, free=MIB)
    assert written == measure_ext4(root, options(journal=True, free=MIB))
    assert written.journal_blocks == 1024
    assert written.free_blocks >= MIB >> 12
    assert written.size == written.blocks << 12


def test_the_tree_is_not_changed():
    root = directory()
    write(root)
    assert root.children == {}


def test_the_smallest_size_is_enough_and_one_block_less_is_not():
    root = one(Node(0o100644))
    smallest = measure_ext4(root, options()).size
    assert write(root, size=smallest)[1].size == smallest
    with pytest.raises(LimitExceededError, match=f"needs {smallest} bytes") as caught:
        measure_ext4(root, options(size=smallest - 4096))
    assert (caught.value.limit, caught.value.value) == ("size", smallest - 4096)
    assert f"{smallest}" in caught.value.hint


def test_free_space_counts_for_a_disk_of_a_given_size():
    smallest = measure_ext4(directory(), options()).size
    with pytest.raises(LimitExceededError, match="limit size"):
        measure_ext4(directory(), options(size=smallest, free=100 * MIB))


def test_a_disk_has_the_size_that_it_is_given():
    _, written = write(directory(), size=20 * MIB + 777)
    assert written.size == 20 * MIB + 777
    assert written.blocks == 20 * MIB >> 12


def test_a_last_group_that_is_too_small_is_left_out():
    written = measure_ext4(directory(), options(size=128 * MIB + 4096))
    assert (written.size, written.groups) == (128 * MIB + 4096, 1)


@pytest.mark.parametrize(
    ("size", "blocks"), [(100 * MIB, 1024), (130 * MIB, 4096), (10 << 30, 16_384)]
)
def test_journals_grow_with_the_disk(size, blocks):
    assert measure_ext4(directory(), options(size=size, journal=True)).journal_blocks == blocks


def test_a_smaller_journal_is_taken_where_only_that_has_room():
    root = one(Node(0o100644, size=115 * MIB, source=SOURCE))
    assert measure_ext4(root, options(size=130 * MIB, journal=True)).journal_blocks == 1024


def test_there_is_an_inode_for_so_many_bytes_and_some_to_spare():
    assert measure_ext4(directory(), options(size=160 * MIB)).inodes == 10_240 + 544
    assert measure_ext4(directory(), options(size=160 * MIB, bytes_per_inode=4096)).inodes > 40_960
    spare = measure_ext4(directory(), options(spare_inodes=5000))
    assert 5000 <= spare.free_inodes < 5100


def test_many_inodes_need_groups_to_be_in():
    written = measure_ext4(directory(), options(spare_inodes=100_000))
    assert written.groups == 4
    assert written.free_inodes >= 100_000


def test_content_is_read_once_in_order_and_in_pieces():
    asked = []

    def read(source, offset, size):
        asked.append((offset, size))
        return b"c" * size

    root = one(Node(0o100644, size=2 * MIB + 5, source=SOURCE, offset=512), b"a")
    root.children[b"b"] = Node(
        0o100644, size=99_999, source=SOURCE, offset=7, segments=((10, 5), (50_000, 3))
    )
    root.children[b"c"] = Node(0o100644, size=9, source=SOURCE, offset=3)
    write(root, read)
    assert asked == [
        (512, MIB), (512 + MIB, MIB), (512 + 2 * MIB, 5), (7, 5), (12, 3), (3, 9),
    ]  # fmt: skip


def test_equal_attributes_share_a_block():
    def blocks(values):
        root = directory()
        for number, value in enumerate(values):
            root.children[b"%d" % number] = Node(0o100644, xattrs={b"user.k": value})
        written = measure_ext4(root, options(size=64 * MIB, bytes_per_inode=1 << 30))
        return written.blocks - written.free_blocks - -(-written.inodes // 16)

    none = blocks([])
    assert blocks([b"v" * 100] * 1024) == none + 1 + 4
    assert blocks([b"v" * 100] * 1025) == none + 2 + 4
    assert blocks([b"v" * 100, b"w" * 100]) == none + 2


def test_lost_found_is_made_only_where_there_is_none():
    without = measure_ext4(directory(), options(size=MIB))
    given = measure_ext4(one(directory(0o700), b"lost+found"), options(size=MIB))
    assert without.free_inodes == given.free_inodes
    assert given.free_blocks == without.free_blocks + 3


def test_a_lost_found_that_is_no_directory_is_refused():
    with pytest.raises(UnsupportedError, match=r"^/lost\+found is no directory"):
        measure_ext4(one(Node(0o100644), b"lost+found"), options())


@pytest.mark.parametrize(
    ("node", "error", "text"),
    [
        (Node(0o120777), InvalidImageError, "target"),
        (Node(0o120777, target=b"a\0b"), InvalidImageError, "target"),
        (Node(0o120777, target=b"t" * 4096), LimitExceededError, "MAX_TARGET = 4095"),
        (Node(0o644), InvalidImageError, "mode 644"),
        (Node(0o100644, uid=2**32), LimitExceededError, "MAX_OWNER = 4294967295"),
        (Node(0o100644, gid=-1), LimitExceededError, "MAX_OWNER"),
        (Node(0o100644, mtime_ns=(2**34 - 2**31) * 10**9), LimitExceededError, "MAX_TIME"),
        (Node(0o100644, mtime_ns=-(2**31) * 10**9 - 1), LimitExceededError, "MIN_TIME"),
        (Node(0o020644, rdev=os.makedev(4096, 0)), LimitExceededError, "MAX_MAJOR = 4095"),
        (Node(0o060644, rdev=os.makedev(0, 2**20)), LimitExceededError, "MAX_MINOR = 1048575"),
        (Node(0o100644, size=-1, source=SOURCE), InvalidImageError, "-1 bytes"),
        (Node(0o100644, size=2**44 - 4095, segments=()), LimitExceededError, "MAX_SIZE"),
        (Node(0o100644, size=1, source=SOURCE, offset=-512), InvalidLayerError, "at -512"),
        (
            Node(0o100644, size=9, source=SOURCE, segments=((5, 2), (0, 1))),
            InvalidLayerError, "out of place",
        ),
        (Node(0o100644, xattrs={b"com.apple.x": b""}), UnsupportedError, "com.apple.x"),
        (Node(0o100644, xattrs={b"system.richacl": b""}), UnsupportedError, "system.richacl"),
        (Node(0o100644, xattrs={b"user.x": bytes(5000)}), LimitExceededError, "MAX_XATTR_AREA"),
        (
            Node(0o100644, xattrs={b"user." + b"n" * 251: b""}), LimitExceededError,
            "MAX_XATTR_NAME",
        ),
        (Node(0o100644, xattrs={b"system.posix_acl_access": b"x"}), InvalidImageError, "posix_acl"),
    ],
)  # fmt: skip
def test_what_the_format_cannot_hold_is_refused_by_name(node, error, text):
    root = directory()
    root.children[b"dir"] = one(node, b"the entry")
    with pytest.raises(error, match=f"^/dir/the entry: .*{text}"):
        measure_ext4(root, options())


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b"])
def test_names_that_are_none_are_refused(name):
    root = directory()
    root.children[b"dir"] = one(Node(0o100644), name)
    with pytest.raises(InvalidImageError, match=r"^/dir: a name"):
        measure_ext4(root, options())


def test_long_names_are_refused():
    measure_ext4(one(Node(0o100644), b"n" * 255), options())
    with pytest.raises(LimitExceededError, match="MAX_NAME = 255"):
        measure_ext4(one(Node(0o100644), b"n" * 256), options())


def test_an_inode_has_at_most_65000_names():
    node = Node(0o100644)
    root = directory()
    root.children.update((b"%d" % number, node) for number in range(65_000))
    measure_ext4(root, options())
    root.children[b"one more"] = node
    with pytest.raises(LimitExceededError, match=r"^/0: a file of 65001 names .*MAX_LINKS = 65000"):
        measure_ext4(root, options())


def test_attributes_of_foreign_namespaces_are_dropped_on_demand():
    root = one(Node(0o100644, xattrs={b"com.apple.provenance": b"x", b"user.k": b"v"}))
    with pytest.raises(UnsupportedError):
        write(root)
    kept = one(Node(0o100644, xattrs={b"user.k": b"v"}))
    assert write(root, drop_foreign_xattrs=True) == write(kept)


def test_a_disk_ends_where_block_numbers_do():
    root = one(Node(0o100644, size=2**43, source=SOURCE))
    root.children[b"second"] = Node(0o100644, size=2**43, source=SOURCE)
    with pytest.raises(LimitExceededError, match="MAX_BLOCKS = 4294967295"):
        measure_ext4(root, options())
    with pytest.raises(LimitExceededError, match="MAX_BLOCKS"):
        measure_ext4(directory(), options(size=2**44))


class Nothing:
    def __init__(self):
        self.size = self.written = 0

    def write(self, data):
        self.size += len(data)
        self.written += len(data)

    def skip(self, size):
        self.size += size


def test_the_largest_disk_is_mostly_skipped():
    output = Nothing()
    written = write_ext4(
        directory(), output, read=None, options=options(size=2**44 - 4096, journal=True)
    )
    assert output.size == written.size == 2**44 - 4096
    assert output.written < 256 * MIB
    assert written.free_blocks < written.blocks == 2**32 - 1


def test_a_source_that_is_shorter_than_it_says_is_refused():
    for size in (9000, 2 * MIB):
        with pytest.raises(InvalidLayerError, match="came as 1"):
            write(one(Node(0o100644, size=size, source=SOURCE)), lambda *_: b"x")


def test_content_without_a_source_is_a_mistake():
    with pytest.raises(ValueError, match="no source"):
        measure_ext4(one(Node(0o100644, size=1)), options())


def test_a_directory_in_two_places_is_a_mistake():
    twice = directory()
    root = one(twice)
    root.children[b"again"] = twice
    with pytest.raises(ValueError, match="twice"):
        measure_ext4(root, options())
    with pytest.raises(ValueError, match="root of a tree"):
        measure_ext4(Node(0o100644), options())


@pytest.mark.parametrize(
    "changes",
    [
        {"uuid": b"short"}, {"label": b"l" * 17}, {"label": b"a\0b"}, {"size": 4095},
        {"free": -1}, {"spare_inodes": -1}, {"time_ns": -1}, {"bytes_per_inode": 512},
        {"time_ns": (2**34 - 2**31) * 10**9},
    ],
)  # fmt: skip
def test_options_out_of_range_are_mistakes(changes):
    with pytest.raises(ValueError):
        options(**changes)
