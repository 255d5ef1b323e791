import hashlib
import io
import os
from pathlib import Path

import pytest

from orlop.digest import Digest
from orlop.errors import (
    InvalidImageError,
    InvalidLayerError,
    LimitExceededError,
    UnsupportedError,
)
from orlop.fsimage.erofs import Device, ErofsReader, check_image, write_index
from orlop.fsimage.erofs import index_plan as plan_module
from orlop.fsimage.erofs.format import MAX_DEVICES, Layout
from orlop.testing.trees import Bytes, content, describe, everything
from orlop.tree import Node, directory

UUID = bytes(range(16))
GOLDEN = Path(__file__).parents[2] / "golden" / "erofs"
SOURCE = Digest.of(b"source")


def write(root, devices=(), **options):
    output = io.BytesIO()
    written = write_index(root, devices, output, uuid=UUID, **options)
    image = output.getvalue()
    assert len(image) == written.size
    return image, written


def reader(image, *devices):
    return ErofsReader(lambda offset, size: image[offset : offset + size], devices)


def one(node, name=b"name"):
    root = directory()
    root.children[name] = node
    return root


def small():
    store = Bytes()
    root = directory(0o755, mtime_ns=1_600_000_000_000_000_005)
    root.children[b"file"] = root.children[b"again"] = store.file(b"content")
    root.children[b"dir"] = sub = directory(0o700, 1000, 1000)
    sub.children[b"-"] = Node(0o120777, target=b"../file", mtime_ns=-1)
    sub.children[b"dev"] = Node(0o020644, rdev=os.makedev(1, 3), xattrs={b"user.k": b"v"})
    sub.children[b"holes"] = store.sparse([(512, b"s" * 512)], 2048)
    return root, store


def dump(image):
    lines = []
    for start in range(0, len(image), 16):
        row = image[start : start + 16]
        if any(row):
            lines.append(f"{start:06x}  {row.hex(' ', 4)}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("form", ["flat", "chunk"])
@pytest.mark.parametrize("block_bits", [9, 12])
def test_bytes_are_pinned(form, block_bits):
    root, store = small()
    device = Device(store.source, store.size, "layer")
    image, _ = write(root, [device], form=form, block_bits=block_bits, read=store.read)
    golden = (GOLDEN / f"small-{form}-{block_bits}.txt").read_text()
    assert dump(image) == golden


def test_the_digest_of_a_tree_with_everything_is_pinned():
    store = Bytes()
    image, _ = write(everything(store), [Device(store.source, store.size)])
    assert hashlib.sha256(image).hexdigest() == PINNED


PINNED = "924edfd799a554762cc89586f6b16fecbf4c94d9e16c4832769d312d0b2b38e2"


def test_memory_of_the_output_is_not_sought_or_read():
    class Output:
        def __init__(self):
            self.pieces = []

        def write(self, piece):
            self.pieces.append(len(piece))
            return len(piece)

    root = directory()
    for number in range(20_000):
        root.children[b"%06d" % number] = Node(0o100644, mtime_ns=1)
    output = Output()
    written = write_index(root, [], output, uuid=UUID)
    assert sum(output.pieces) == written.size
    assert max(output.pieces) < 1 << 20
    assert written.inodes == 20_001


def test_links_are_counted_in_the_tree_that_is_written():
    root, _ = small()
    store = small()[1]
    del root.children[b"again"]
    image, _ = write(root, [Device(store.source, store.size)])
    images = reader(image, store.read_at)
    assert images.lookup(b"file").nlink == 1
    assert images.root.nlink == 3
    assert images.lookup(b"dir").nlink == 2


def test_inodes_are_compact_where_that_says_all():
    root = directory()
    root.children[b"compact"] = Node(0o100644, 65_535, 65_535)
    root.children[b"uid"] = Node(0o100644, 65_536)
    root.children[b"gid"] = Node(0o100644, 0, 65_536)
    root.children[b"time"] = Node(0o100644, mtime_ns=1)
    root.children[b"size"] = Node(0o100644, size=2**32, segments=())
    linked = root.children[b"linked"] = directory()
    many = Node(0o100644)
    for number in range(65_536):
        linked.children[b"%d" % number] = many
    image, _ = write(root)
    images = reader(image)

    def size(path):
        inode = images.lookup(path)
        return inode.xattr_start - inode.start

    assert size(b"compact") == 32
    assert {size(path) for path in (b"uid", b"gid", b"time", b"size", b"linked/0")} == {64}
    assert images.lookup(b"linked/0").nlink == 65_536


@pytest.mark.parametrize("length", range(400, 520, 4))
def test_a_target_shares_the_block_of_its_inode_or_has_its_own(length):
    root = directory()
    for number in range(20):
        root.children[b"%d" % number] = Node(0o120777, target=b"t" * (length + number))
    image, _ = write(root)
    check_image(lambda offset, size: image[offset : offset + size])
    images = reader(image)
    for number in range(20):
        inode = images.lookup(b"%d" % number, follow=False)
        inline = 32 + length + number <= 512
        assert inode.layout == (Layout.FLAT_INLINE if inline else Layout.FLAT_PLAIN)
        assert images.readlink(inode) == b"t" * (length + number)


def test_a_source_given_twice_is_one_device():
    store = Bytes()
    root = one(store.file(b"x"))
    device = Device(store.source, store.size)
    _, written = write(root, [device, Device(Digest.of(b"other"), 0), device])
    assert [entry.source for entry in written.devices] == [store.source, Digest.of(b"other")]


def test_the_tag_of_a_device_is_its_digest_unless_given():
    image, _ = write(directory(), [Device(SOURCE, 512), Device(Digest.of(b"b"), 0, "tag")])
    slots = reader(image).superblock.devices
    assert [slot.tag for slot in slots] == [SOURCE.encoded.encode(), b"tag"]


def test_without_devices_no_feature_is_needed():
    image, _ = write(one(Node(0o100644)))
    assert reader(image).superblock.incompat == 0


def test_the_flat_form_needs_the_device_table_only():
    store = Bytes()
    image, written = write(one(store.file(b"x")), [Device(store.source, store.size)])
    assert reader(image).superblock.incompat == 8
    assert not written.chunked


def test_content_off_the_blocks_is_copied():
    store = Bytes()
    root = one(store.file(b"c" * 9000))
    root.children[b"holes"] = store.sparse([(1, b"h" * 5000), (9000, b"i")], 20_000)
    device = Device(store.source, store.size)
    image, written = write(root, [device], block_bits=12, read=store.read)
    images = reader(image, store.read_at)
    assert written.copied == (9000 + 8192 + 4096 - 1 >> 12 << 12) + 4096
    for name, node in root.children.items():
        assert images.open(images.lookup(name)).read() == content(node, store)


def test_content_off_the_blocks_needs_something_to_read():
    store = Bytes()
    root = one(store.file(b"c" * 9000))
    with pytest.raises(UnsupportedError, match=r"/name: .*not aligned") as caught:
        write(root, [Device(store.source, store.size)], block_bits=12)
    assert "read" in caught.value.hint


def test_a_source_that_is_shorter_than_it_says_is_refused():
    store = Bytes()
    root = one(store.file(b"c" * 9000))
    with pytest.raises(InvalidLayerError, match="came as 1"):
        write(
            root, [Device(store.source, store.size)], block_bits=12,
            read=lambda source, offset, size: b"x",
        )  # fmt: skip


def test_copied_content_is_limited(monkeypatch):
    monkeypatch.setattr(plan_module, "MAX_COPIED", 4096)
    store = Bytes()
    root = one(store.file(b"c" * 100))
    root.children[b"second"] = store.file(b"c" * 100)
    with pytest.raises(LimitExceededError, match="MAX_COPIED = 4096"):
        write(root, [Device(store.source, store.size)], block_bits=12, read=store.read)


def test_chunk_tables_together_are_limited(monkeypatch):
    monkeypatch.setattr(plan_module, "MAX_CHUNKS", 3)
    store = Bytes()
    root = one(store.sparse([(512, b"s" * 512)], 1025))
    root.children[b"second"] = Node(0o100644, size=9, segments=())
    with pytest.raises(LimitExceededError, match="MAX_CHUNKS = 3"):
        write(root, [Device(store.source, store.size)])


@pytest.mark.parametrize(
    ("node", "error", "text"),
    [
        (Node(0o120777), InvalidImageError, "target"),
        (Node(0o120777, target=b"a\0b"), InvalidImageError, "target"),
        (Node(0o120777, target=b"t" * 4096), LimitExceededError, "MAX_TARGET"),
        (Node(0o100644, uid=2**32), LimitExceededError, "MAX_OWNER"),
        (Node(0o100644, uid=-1), LimitExceededError, "MAX_OWNER"),
        (Node(0o100644, mtime_ns=2**63 * 10**9), LimitExceededError, "MAX_MTIME"),
        (Node(0o020644, rdev=os.makedev(4096, 0)), LimitExceededError, "MAX_MAJOR"),
        (Node(0o060644, rdev=os.makedev(0, 2**20)), LimitExceededError, "MAX_MINOR"),
        (Node(0o100644, size=-1, source=SOURCE), InvalidImageError, "-1 bytes"),
        (Node(0o100644, size=1025, source=SOURCE), InvalidLayerError, "1025 bytes at 0"),
        (Node(0o100644, size=1, source=SOURCE, offset=-512), InvalidLayerError, "at -512"),
        (Node(0o100644, size=1, source=SOURCE, offset=2**70), InvalidLayerError, "which has"),
        (
            Node(0o100644, size=9999, source=SOURCE, segments=((0, 1025),)),
            InvalidLayerError, "1025 bytes",
        ),
        (
            Node(0o100644, size=9, source=SOURCE, segments=((5, 2), (0, 1))),
            InvalidLayerError, "out of place",
        ),
        (Node(0o100644, xattrs={b"com.apple.x": b""}), UnsupportedError, "com.apple.x"),
        (Node(0o100644, xattrs={b"user.x": bytes(65_536)}), LimitExceededError, "MAX_XATTR_VALUE"),
    ],
)  # fmt: skip
def test_what_the_format_cannot_hold_is_refused_by_name(node, error, text):
    root = directory()
    root.children[b"dir"] = one(node, b"the entry")
    with pytest.raises(error, match=f"^/dir/the entry: .*{text}"):
        write(root, [Device(SOURCE, 1024)])


def test_attributes_of_foreign_namespaces_are_dropped_on_demand():
    root = one(Node(0o100644, xattrs={b"com.apple.provenance": b"x"}))
    root.children[b"both"] = Node(0o100644, xattrs={b"com.apple.x": b"x", b"user.k": b"v"})
    image, _ = write(root, drop_foreign_xattrs=True)
    check_image(lambda offset, size: image[offset : offset + size])
    images = reader(image)
    assert images.xattrs(images.lookup(b"name")) == {}
    assert images.xattrs(images.lookup(b"both")) == {b"user.k": b"v"}
    with pytest.raises(UnsupportedError):
        write(root)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b"])
def test_names_that_are_none_are_refused(name):
    root = directory()
    root.children[b"dir"] = one(Node(0o100644), name)
    with pytest.raises(InvalidImageError, match=r"^/dir: a name"):
        write(root)


def test_long_names_are_refused():
    write(one(Node(0o100644), b"n" * 255))
    with pytest.raises(LimitExceededError, match="MAX_NAME = 255"):
        write(one(Node(0o100644), b"n" * 256))


def test_two_tebibytes_are_the_end_of_the_flat_form():
    half = 2**31 * 512
    devices = [Device(Digest.of(b"%d" % i), half) for i in range(2)]
    root = one(Node(0o100644, size=10, source=devices[1].source, offset=half - 512))
    with pytest.raises(LimitExceededError, match="MAX_BLOCKS") as caught:
        write(root, devices)
    assert "chunk form" in caught.value.hint
    image, _ = write(root, devices, form="chunk")
    check_image(lambda offset, size: image[offset : offset + size], [half, half])
    assert [slot.base > 0 for slot in reader(image).superblock.devices] == [True, False]


def test_a_device_of_two_tebibytes_is_refused():
    with pytest.raises(LimitExceededError, match="MAX_BLOCKS"):
        write(directory(), [Device(SOURCE, 2**41)], form="chunk")


def test_a_file_of_more_than_one_chunk_in_the_chunk_form():
    size = 2**40 + 512
    root = one(Node(0o100644, size=size, source=SOURCE, offset=1024))
    image, _ = write(root, [Device(SOURCE, size + 1024)], form="chunk")
    (extent,) = reader(image).extents(reader(image).lookup(b"name"))
    assert (extent.size, extent.device, extent.offset) == (size, 1, 1024)


def test_many_devices_leave_the_root_where_it_can_be_found():
    devices = [Device(Digest.of(b"%d" % i), 512) for i in range(MAX_DEVICES)]
    image, _ = write(one(Node(0o100644)), devices)
    assert [entry.name for entry in reader(image).list(reader(image).root)] == [b"name"]
    with pytest.raises(LimitExceededError, match="MAX_DEVICES"):
        write(directory(), [*devices, Device(SOURCE, 512)])


@pytest.mark.parametrize(
    "options",
    [{"uuid": b"short"}, {"block_bits": 10}, {"form": "other"}],
)
def test_arguments_that_make_no_sense(options):
    with pytest.raises(ValueError):
        write_index(directory(), [], io.BytesIO(), **{"uuid": UUID, **options})


def test_trees_that_make_no_sense():
    with pytest.raises(ValueError, match="root"):
        write(Node(0o100644))
    loop = directory()
    loop.children[b"loop"] = loop
    with pytest.raises(ValueError, match="twice"):
        write(loop)
    with pytest.raises(ValueError, match="none of the devices"):
        write(one(Node(0o100644, size=1, source=SOURCE)))
    with pytest.raises(ValueError, match="none of the devices"):
        write(one(Node(0o100644, size=1)))
    with pytest.raises(ValueError, match="two sizes"):
        write(directory(), [Device(SOURCE, 512), Device(SOURCE, 1024)])
    with pytest.raises(ValueError, match="negative"):
        write(directory(), [Device(SOURCE, -1)])
    with pytest.raises(ValueError, match="tag"):
        write(directory(), [Device(SOURCE, 1, "t" * 65)])


def test_a_hole_needs_no_device():
    image, _ = write(one(Node(0o100644, size=700, source=SOURCE, segments=((5, 0),))))
    assert reader(image).open(reader(image).lookup(b"name")).read() == bytes(700)


def test_the_tree_is_not_changed():
    store = Bytes()
    root = everything(store)
    before = describe(root)
    write(root, [Device(store.source, store.size)])
    assert describe(root) == before
