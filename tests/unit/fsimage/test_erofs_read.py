import io

import pytest

from orlop.digest import Digest
from orlop.errors import InvalidImageError, LimitExceededError, NotFoundError, UnsupportedError
from orlop.fsimage.erofs import Device, ErofsReader, write_index
from orlop.testing.trees import Bytes, content, describe, describe_node, everything
from orlop.tree import Node, directory


def write(root, store, **options):
    output = io.BytesIO()
    devices = [Device(store.source, store.size)]
    write_index(root, devices, output, uuid=bytes(range(16)), **options)
    return output.getvalue()


def opened(image, *devices):
    return ErofsReader(lambda offset, size: image[offset : offset + size], devices)


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
