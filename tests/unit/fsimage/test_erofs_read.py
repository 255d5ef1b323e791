import io
import struct

import pytest

from orlop.digest import Digest
from orlop.errors import InvalidImageError, LimitExceededError, NotFoundError, UnsupportedError
from orlop.fsimage.erofs import Device, ErofsReader, write_index
from orlop.fsimage.erofs import read as read_module
from orlop.fsimage.erofs import tree as tree_module
from orlop.fsimage.erofs.crc32c import superblock_checksum
from orlop.testing.trees import Bytes, content, describe, describe_node, everything
from orlop.tree import Node, directory


def write(root, store, **options):
    output = io.BytesIO()
    devices = [Device(store.source, store.size)]
    write_index(root, devices, output, uuid=bytes(range(16)), **options)
    return output.getvalue()


def opened(image, *devices):
    return ErofsReader(lambda offset, size: image[offset : offset + size], devices)


def seal(image):
    """The image with the checksum that its bytes have."""
    struct.pack_into("<I", image, 1028, superblock_checksum(bytes(image[1024:1536])))
    return bytes(image)


@pytest.fixture
def store():
    return Bytes()


@pytest.fixture
def root(store):
    return everything(store)


@pytest.fixture(params=["flat", "chunk"])
def reader(root, store, request):
    return opened(write(root, store, form=request.param), store.read_at)


def test_the_superblock_says_what_was_written(reader):
    superblock = reader.superblock
    assert superblock.uuid == bytes(range(16))
    assert superblock.block_size == 512
    assert superblock.epoch_ns == 0
    assert len(superblock.devices) == 1


def test_the_tree_comes_back(reader, root, store):
    assert describe(reader.tree([store.source])) == describe(root)


def test_names_come_in_byte_order_without_the_special_ones(reader, root):
    names = [entry.name for entry in reader.list(reader.root)]
    assert names == sorted(root.children)


def test_stat_describes_without_content(reader, root, store):
    node = reader.stat(reader.lookup(b"xattrs"))
    assert describe_node(node) == describe_node(root.children[b"xattrs"])
    node = reader.stat(reader.lookup(b"one"))
    assert (node.size, node.source) == (5000, None)


def test_lookup_of_every_name_in_a_large_directory(reader, root):
    for name in root.children[b"large"].children:
        assert reader.lookup(b"large/" + name).mtime_ns >= 0
    for name in (b"a", b"entry-", b"entry-7000", b"~"):
        with pytest.raises(NotFoundError):
            reader.lookup(b"large/" + name)


def linked():
    root = directory()
    sub = root.children[b"sub"] = directory()
    sub.children[b"file"] = Node(0o100600)
    for name, target in {
        b"absolute": b"/sub/file", b"up": b"../../../sub/file", b"dir": b"/sub/.",
        b"loop": b"loop", b"dangling": b"nowhere", b"chain0": b"sub/file",
    }.items():  # fmt: skip
        root.children[name] = Node(0o120777, target=target)
    for number in range(1, 45):
        target = b"chain%d" % (number - 1)
        root.children[b"chain%d" % number] = Node(0o120777, target=target)
    return root


@pytest.mark.parametrize(
    "path",
    [
        b"sub/file", b"/sub/file", b"//sub/./file", b"absolute", b"up", b"dir/file",
        b"dir/../sub/file", b"../../sub/file", b"chain39",
    ],
)  # fmt: skip
def test_paths_stay_inside_the_root(store, path):
    reader = opened(write(linked(), store))
    assert reader.lookup(path).mode == 0o100600


@pytest.mark.parametrize("path", [b"absent", b"sub/absent", b"dangling", b"sub/file/x", b"up/"])
def test_paths_that_lead_nowhere(store, path):
    with pytest.raises(NotFoundError):
        opened(write(linked(), store)).lookup(path)


@pytest.mark.parametrize("path", [b"loop", b"loop/x", b"chain40"])
def test_links_are_followed_forty_times(store, path):
    with pytest.raises(LimitExceededError, match="MAX_SYMLINKS = 40"):
        opened(write(linked(), store)).lookup(path)


def test_the_last_link_is_followed_on_demand(store):
    reader = opened(write(linked(), store))
    assert reader.lookup(b"up", follow=False).is_link
    assert not reader.lookup(b"up").is_link
    assert reader.lookup(b"dir/", follow=False).is_dir
    assert reader.lookup(b"").is_dir


def test_streams_read_seek_and_end(reader, root, store):
    node = root.children[b"holes"]
    data = content(node, store)
    with reader.open(reader.lookup(b"holes")) as stream:
        assert stream.seekable()
        assert stream.read() == data
        assert stream.read() == b""
        for position in (0, 1, 4095, 4096, 16_384, 36_864, len(data) - 1, len(data)):
            assert stream.seek(position) == position
            assert stream.read(5000) == data[position : position + 5000]
        assert stream.seek(-3, io.SEEK_END) == len(data) - 3
        assert stream.seek(1, io.SEEK_CUR) == len(data) - 2
        assert stream.read(1) == data[-2:-1]
        stream.seek(len(data) + 10)
        assert stream.read(1) == b""
    assert b"".join(reader.iter_data(reader.lookup(b"holes"))) == data


def test_a_terabyte_of_hole_is_no_work(reader):
    with reader.open(reader.lookup(b"hole")) as stream:
        stream.seek(-1, io.SEEK_END)
        assert stream.read() == b"\0"


def test_only_regular_files_are_opened(reader):
    with pytest.raises(UnsupportedError):
        reader.open(reader.lookup(b"pipe"))
    with pytest.raises(NotFoundError):
        list(reader.list(reader.lookup(b"pipe")))


def test_without_devices_they_are_looked_for_behind_the_image(root, store):
    for form in ("flat", "chunk"):
        reader = opened(write(root, store, form=form) + store.data)
        assert reader.open(reader.lookup(b"one")).read() == content(root.children[b"one"], store)


def test_a_device_that_ends_too_early(root, store):
    reader = opened(write(root, store), lambda offset, size: b"")
    with pytest.raises(InvalidImageError, match="ends inside"):
        reader.open(reader.lookup(b"one")).read()


def test_devices_must_be_as_many_as_in_the_table(root, store):
    with pytest.raises(ValueError, match="2 devices"):
        opened(write(root, store), store.read_at, store.read_at)


def test_the_tree_needs_a_name_for_each_device(reader):
    with pytest.raises(ValueError, match="0 sources for 1"):
        reader.tree([])


def test_the_tree_is_bounded(reader, store):
    with pytest.raises(LimitExceededError, match="max_entries = 10"):
        reader.tree([store.source], max_entries=10)


def test_content_that_no_node_can_point_at_is_adopted(store):
    root = directory()
    root.children[b"file"] = store.file(b"c" * 100)
    reader = opened(write(root, store, block_bits=12, read=store.read), store.read_at)
    with pytest.raises(UnsupportedError, match="not one range") as caught:
        reader.tree([store.source])
    assert "adopt" in caught.value.hint
    other = Digest.of(b"other")
    tree = reader.tree([store.source], adopt=lambda inode: (other, inode.nid))
    assert tree.children[b"file"].source == other


def test_targets_and_attributes_of_a_tree_are_bounded(reader, store, monkeypatch):
    monkeypatch.setattr(tree_module, "MAX_TREE_TEXT", 1000)
    with pytest.raises(LimitExceededError, match="MAX_TREE_TEXT = 1000"):
        reader.tree([store.source])


def test_the_pieces_of_a_file_are_bounded(reader, store, monkeypatch):
    monkeypatch.setattr(tree_module, "MAX_EXTENTS", 4)
    with pytest.raises(LimitExceededError, match="MAX_EXTENTS = 4"):
        reader.open(reader.lookup(b"holes"))
    with pytest.raises(LimitExceededError, match="MAX_EXTENTS = 4"):
        reader.tree([store.source])


def test_shared_attributes_are_read(store):
    root = directory()
    root.children[b"a"] = Node(0o100644, xattrs={b"user.k": b"value"})
    root.children[b"b"] = Node(0o100644, xattrs={b"user.own": b"v"})
    image = bytearray(write(root, store))
    reader = opened(bytes(image))
    first, second = reader.lookup(b"a"), reader.lookup(b"b")
    entry = first.xattr_start + 12
    # The second inode's entry gives way to the number of the first one's entry.
    image[second.xattr_start + 4] = 1
    image[second.xattr_start + 12 : second.end] = (
        (entry // 4).to_bytes(4, "little").ljust(second.xattr_size - 12, b"\0")
    )
    struct.pack_into("<H", image, second.start + 2, 2)
    reader = opened(seal(image))
    assert reader.xattrs(reader.lookup(b"b")) == {b"user.k": b"value"}


def test_shared_attributes_are_bounded(store, monkeypatch):
    root = directory()
    root.children[b"a"] = Node(0o100644, xattrs={b"user.k": b"v" * 600})
    root.children[b"b"] = Node(0o100644, xattrs={b"user.own": b"v" * 40})
    image = bytearray(write(root, store))
    reader = opened(bytes(image))
    entry = reader.lookup(b"a").xattr_start + 12
    second = reader.lookup(b"b")
    image[second.xattr_start + 4] = 8
    image[second.xattr_start + 12 : second.xattr_start + 44] = (entry // 4).to_bytes(
        4, "little"
    ) * 8
    struct.pack_into("<H", image, second.start + 2, 9)
    monkeypatch.setattr(read_module, "MAX_XATTR_AREA", 2000)
    reader = opened(seal(image))
    with pytest.raises(LimitExceededError, match="MAX_XATTR_AREA = 2000"):
        reader.xattrs(reader.lookup(b"b"))


def test_a_directory_with_a_chunk_table_is_refused(store):
    image = bytearray(write(directory(), store))
    root = opened(bytes(image)).root
    struct.pack_into("<H", image, root.start, 4 << 1)
    reader = opened(seal(image))
    with pytest.raises(UnsupportedError, match="chunk table"):
        list(reader.list(reader.root))


def test_a_target_longer_than_any(store):
    root = directory()
    root.children[b"link"] = Node(0o120777, target=b"t")
    image = bytearray(write(root, store))
    inode = opened(bytes(image)).lookup(b"link", follow=False)
    struct.pack_into("<I", image, inode.start + 8, 4096)
    reader = opened(seal(image))
    with pytest.raises(InvalidImageError, match="a target of 4096 bytes"):
        reader.readlink(reader.lookup(b"link", follow=False))
