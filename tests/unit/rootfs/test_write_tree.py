import errno
import os
import stat

import pytest

from orlop.digest import Digest
from orlop.errors import InvalidLayerError, UnsafePathError, UnsupportedError
from orlop.rootfs import read_tree, remove_tree, write_tree
from orlop.tree import Node, directory

ROOT = os.geteuid() == 0
SOURCE = Digest.of(b"the tar")
DATA = bytes(range(256)) * 4096


def file(offset=0, size=0, *, mode=0o644, segments=None, **more):
    node = Node(stat.S_IFREG | mode, size=size, offset=offset, segments=segments, **more)
    node.source = SOURCE if size else None
    return node


def link(target):
    return Node(stat.S_IFLNK | 0o777, target=target)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "tar"
    path.write_bytes(DATA)
    fd = os.open(path, os.O_RDONLY)
    yield lambda digest: fd
    os.close(fd)


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target"
    path.mkdir()
    yield path
    parent = os.open(tmp_path, os.O_RDONLY)
    remove_tree(parent, b"target")
    os.close(parent)


@pytest.fixture
def write(source, target):
    def write(root, **options):
        fd = os.open(target, os.O_RDONLY)
        before = len(os.listdir("/proc/self/fd"))
        try:
            return write_tree(root, fd, source, **{"ownership": ROOT, **options})
        finally:
            assert len(os.listdir("/proc/self/fd")) == before
            os.close(fd)

    return write


def tree(**children):
    root = directory(0o755, mtime_ns=1)
    root.children.update({name.encode(): node for name, node in children.items()})
    return root


def nested(depth):
    root = here = directory()
    for _ in range(depth):
        below = directory()
        here.children[b"d"] = below
        here = below
    return root


def test_content_of_all_sizes_is_copied(write, target):
    sizes = [0, 1, 511, 512, 4097, 65535, 65536, 65537, 262144, 900_001]
    write(tree(**{f"f{size}": file(7, size) for size in sizes}))
    for size in sizes:
        assert (target / f"f{size}").read_bytes() == DATA[7 : 7 + size]


def test_content_in_any_order_of_the_source(write, target):
    offsets = [900_000, 5, 262_143, 0, 262_144, 30_000, 29_000]
    write(tree(**{f"f{offset}": file(offset, 3000) for offset in offsets}))
    for offset in offsets:
        assert (target / f"f{offset}").read_bytes() == DATA[offset : offset + 3000]


def test_stored_segments_are_written_and_the_rest_is_a_hole(write, target):
    size = 50 << 20
    write(tree(sparse=file(100, size, segments=((4096, 10), (size - 3, 3)))))
    found = (target / "sparse").read_bytes()
    assert found[4096:4106] == DATA[100:110]
    assert found[-3:] == DATA[110:113]
    assert found.count(0) == size - 13 + DATA[100:113].count(0)
    assert (target / "sparse").stat().st_blocks * 512 < 1 << 20


def test_names_of_one_node_are_hard_links(write, target):
    shared = file(0, 10)
    report = write(tree(a=tree(x=shared), b=tree(c=tree(y=shared), z=shared), w=shared))
    assert (target / "a/x").stat().st_nlink == 4
    assert (target / "b/c/y").samefile(target / "w")
    assert (report.inodes, report.links) == (4, 3)


def test_links_pass_through_directories_that_close_at_the_end(write, target):
    shared = file(0, 10)
    closed = tree(x=shared)
    closed.mode = stat.S_IFDIR | 0o000
    write(tree(a=closed, b=shared))
    assert stat.S_IMODE((target / "a").stat().st_mode) == 0
    (target / "a").chmod(0o700)
    assert (target / "a/x").samefile(target / "b")


def test_metadata_of_every_kind(write, target):
    root = tree(
        suid=file(0, 5, mode=0o4751, mtime_ns=1_234_567_890_123_456_789),
        world=file(0, 5, mode=0o666),
        link=Node(stat.S_IFLNK | 0o777, target=b"/no/where", mtime_ns=5_000_000_001),
        fifo=Node(stat.S_IFIFO | 0o622, mtime_ns=7),
        socket=Node(stat.S_IFSOCK | 0o600),
        sticky=directory(0o1777, mtime_ns=999_999_999),
        closed=tree(inside=file()),
    )
    root.children[b"closed"].mode = stat.S_IFDIR | 0o2510
    for _, node in root.children.items():
        node.uid, node.gid = os.getuid(), os.getgid()
    write(root)
    for name, node in root.children.items():
        found = os.lstat(os.path.join(os.fsencode(target), name))
        assert (found.st_mode, found.st_mtime_ns) == (node.mode, node.mtime_ns), name
    assert target.stat().st_mtime_ns == 1
    assert os.readlink(target / "link") == "/no/where"


def test_the_umask_is_neither_obeyed_nor_changed(write, target):
    before = os.umask(0o077)
    try:
        write(tree(f=file(mode=0o666), d=directory(0o777), p=Node(stat.S_IFIFO | 0o666)))
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert {stat.S_IMODE(os.lstat(target / name).st_mode) for name in "fdp"} == {0o666, 0o777}


def test_directories_are_deeper_than_handles_and_stack(write, target):
    write(nested(1500))
    fd = os.open(target, os.O_RDONLY)
    depth, here = 0, read_tree(fd)
    os.close(fd)
    while here.children:
        here, depth = here.children[b"d"], depth + 1
    assert depth == 1500


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/etc", b"a\0b"])
@pytest.mark.parametrize("node", [file(), directory(), link(b"x")], ids=["file", "dir", "link"])
def test_a_name_that_leaves_its_directory_is_refused(write, name, node):
    root = directory()
    root.children[name] = node
    with pytest.raises(UnsafePathError):
        write(root)


def test_a_directory_with_two_names_is_refused(write):
    twice = directory()
    with pytest.raises(InvalidLayerError, match="two names"):
        write(tree(a=twice, b=twice))


@pytest.mark.parametrize("size", [11, 100_000])
def test_a_short_source_names_the_entry(write, size):
    with pytest.raises(InvalidLayerError, match="d/short"):
        write(tree(d=tree(short=file(len(DATA) - 10, size))))


def test_errors_of_the_system_name_the_entry(write, target):
    (target / "d").mkdir()
    with pytest.raises(FileExistsError) as caught:
        write(tree(d=directory()))
    assert caught.value.filename == b"d"


def test_times_outside_of_the_filesystem_are_recorded(write):
    report = write(
        tree(f=file(mtime_ns=1 << 70), link=Node(stat.S_IFLNK, mtime_ns=-(1 << 80), target=b"x"))
    )
    assert {drop.path for drop in report.dropped} == {b"f", b"link"}
    assert all(drop.what.startswith("mtime_ns") for drop in report.dropped)


def test_times_before_1970_are_kept(write, target):
    report = write(tree(f=file(mtime_ns=-1), d=directory(mtime_ns=-1_500_000_000)))
    assert report.dropped == ()
    assert (target / "f").stat().st_mtime_ns == -1
    assert (target / "d").stat().st_mtime_ns == -1_500_000_000


def test_user_xattrs_of_links_and_devices_are_recorded_as_dropped(write):
    report = write(tree(l=Node(stat.S_IFLNK, target=b"x", xattrs={b"user.a": b"1"})))
    assert [(drop.path, drop.what) for drop in report.dropped] == [(b"l", "xattr user.a")]


@pytest.mark.parametrize(("free", "error"), [(1 << 20, UnsupportedError), (0, OSError)])
def test_xattrs_that_one_file_has_no_room_for(write, monkeypatch, free, error):
    """As on ext4, where a file has a block for them: that the disk is full is said where it is."""

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    found = os.statvfs("/")
    monkeypatch.setattr(os, "setxattr", refuse)
    monkeypatch.setattr(
        os, "fstatvfs", lambda fd: os.statvfs_result((*found[:4], free, *found[5:]))
    )
    with pytest.raises(error) as caught:
        write(tree(f=file(0, 3, xattrs={b"user.a": b"1"})))
    assert ("xattr user.a" in str(caught.value)) == (free > 0)


def test_xattrs_of_files_that_nobody_may_write(write, target):
    write(tree(f=file(0, 3, mode=0o444, xattrs={b"user.a": b"1"})))
    assert os.getxattr(target / "f", "user.a") == b"1"
    assert stat.S_IMODE((target / "f").stat().st_mode) == 0o444
