import os
import stat

import pytest

from orlop.errors import InvalidLayerError, NeedsParentsError, UnsafePathError
from orlop.rootfs import StreamWriter, remove_tree
from orlop.tree import Link, Node, Put

ROOT = os.geteuid() == 0


def file(offset, size, *, segments=None, mode=0o644):
    return Node(stat.S_IFREG | mode, size=size, offset=offset, segments=segments)


def folder():
    return Node(stat.S_IFDIR | 0o755)


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target"
    path.mkdir()
    yield path
    fd = os.open(tmp_path, os.O_RDONLY)
    remove_tree(fd, b"target")
    os.close(fd)


@pytest.fixture
def writer(target):
    fd = os.open(target, os.O_RDONLY)
    before = len(os.listdir("/proc/self/fd"))
    with StreamWriter(fd, ownership=ROOT, userxattr=not ROOT) as writer:
        yield writer
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(fd)


def test_content_that_spans_chunks(writer, target):
    data = bytes(range(200))
    entry = Put(b"f", file(10, 150))
    for start in range(0, 200, 7):
        writer.feed(data[start : start + 7], start, [entry] if start == 0 else [])
    writer.close()
    assert (target / "f").read_bytes() == data[10:160]


def test_a_sparse_file_across_chunks(writer, target):
    entry = Put(b"f", file(4, 1000, segments=((100, 3), (900, 5))))
    writer.feed(b"....ab", 0, [entry])
    writer.feed(b"cde", 6, [])
    writer.feed(b"fgh...", 9, [])
    writer.close()
    expected = bytearray(1000)
    expected[100:103] = b"abc"
    expected[900:905] = b"defgh"
    assert (target / "f").read_bytes() == expected


def test_a_hole_has_no_content(writer, target):
    writer.feed(b"", 0, [Put(b"f", file(0, 5000, segments=()))])
    writer.close()
    assert (target / "f").read_bytes() == bytes(5000)


def test_later_entries_replace_what_is_on_disk(writer, target):
    writer.feed(b"abcdef", 0, [
        Put(b"d", folder()), Put(b"d/e", folder()), Put(b"d/e/f", file(0, 1)),
        Put(b"d", file(1, 2)), Put(b"x", file(3, 1)), Link(b"y", b"x"), Put(b"x", file(4, 2)),
    ])  # fmt: skip
    writer.close()
    assert sorted(os.listdir(target)) == ["d", "x", "y"]
    assert [(target / name).read_bytes() for name in "dxy"] == [b"bc", b"ef", b"d"]


def test_a_stream_that_ends_inside_a_file(writer):
    writer.feed(b"ab", 0, [Put(b"f", file(0, 3))])
    with pytest.raises(InvalidLayerError, match="f: the tar ends"):
        writer.close()


def test_bytes_that_are_left_out_are_a_mistake(writer):
    writer.feed(b"ab", 0, [Put(b"f", file(0, 5))])
    with pytest.raises(ValueError, match="left out"):
        writer.feed(b"d", 3, [])


def test_an_entry_inside_of_another_ones_content_is_a_mistake(writer):
    with pytest.raises(ValueError, match="before the content"):
        writer.feed(b"ab", 0, [Put(b"f", file(0, 5)), Put(b"g", file(0, 0))])


@pytest.mark.parametrize("path", [b"..", b"d/..", b"a\0b"])
def test_a_name_that_leaves_its_directory_is_refused(writer, path):
    with pytest.raises(UnsafePathError):
        writer.feed(b"", 0, [Put(b"d", folder()), Put(path, folder())])


def test_links_out_of_the_root_lead_to_the_root(writer, target, tmp_path):
    (tmp_path / "outside").mkdir()
    link = Node(stat.S_IFLNK | 0o777, target=b"../../outside")
    writer.feed(b"", 0, [
        Put(b"outside", folder()), Put(b"l", link), Put(b"l/f", file(0, 0)),
    ])  # fmt: skip
    writer.close()
    assert os.listdir(tmp_path / "outside") == []
    assert os.listdir(target / "outside") == ["f"]


def test_a_layer_that_needs_those_below_it(writer):
    writer.feed(b"", 0, [Put(b"d/f", file(0, 0))])
    with pytest.raises(NeedsParentsError, match="/d has no entry"):
        writer.close()


def test_directories_keep_their_own_times(writer, target):
    node = Node(stat.S_IFDIR | 0o555, mtime_ns=5)
    writer.feed(b"", 0, [Put(b"d", node), Put(b"d/f", file(0, 0))])
    writer.close()
    found = (target / "d").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o555, 5)
