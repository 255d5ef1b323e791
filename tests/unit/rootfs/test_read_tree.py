import os
import stat

import pytest

from orlop.digest import Digest
from orlop.errors import LimitExceededError
from orlop.rootfs import read_tree


@pytest.fixture
def read(tmp_path):
    def read(**options):
        fd = os.open(tmp_path, os.O_RDONLY)
        before = len(os.listdir("/proc/self/fd"))
        try:
            return read_tree(fd, **options)
        finally:
            assert len(os.listdir("/proc/self/fd")) == before
            os.close(fd)

    return read


def test_names_come_in_byte_order(tmp_path, read):
    for name in (b"b", b"a", b"\xff", b"B", b"a-"):
        os.mkdir(os.path.join(os.fsencode(tmp_path), name))
    assert list(read().children) == [b"B", b"a", b"a-", b"b", b"\xff"]


def test_hard_links_share_a_node(tmp_path, read):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x").write_text("x")
    os.link(tmp_path / "d/x", tmp_path / "y")
    (tmp_path / "z").write_text("x")
    root = read()
    assert root.children[b"y"] is root.children[b"d"].children[b"x"]
    assert root.children[b"z"] is not root.children[b"y"]


def test_everything_that_a_node_says(tmp_path, read):
    (tmp_path / "f").write_bytes(b"12345")
    os.chmod(tmp_path / "f", 0o4750)
    os.setxattr(tmp_path / "f", "user.note", b"hello")
    os.utime(tmp_path / "f", ns=(1, 1_000_000_002))
    os.symlink("../../etc", tmp_path / "l")
    os.mkfifo(tmp_path / "p")
    found = read().children
    file = found[b"f"]
    assert (file.mode, file.size, file.mtime_ns) == (stat.S_IFREG | 0o4750, 5, 1_000_000_002)
    assert (file.uid, file.gid, file.xattrs) == (os.getuid(), os.getgid(), {b"user.note": b"hello"})
    assert (found[b"l"].target, found[b"l"].size) == (b"../../etc", 0)
    assert found[b"p"].type == stat.S_IFIFO


def test_content_has_its_digest(tmp_path, read):
    (tmp_path / "f").write_bytes(b"12345")
    (tmp_path / "empty").touch()
    found = read(digest_files=True).children
    assert found[b"f"].source == Digest.of(b"12345")
    assert found[b"empty"].source is None
    assert read().children[b"f"].source is None


def test_the_number_of_names_is_limited(tmp_path, read):
    for number in range(4):
        (tmp_path / str(number)).mkdir()
    assert len(read(max_inodes=4).children) == 4
    with pytest.raises(LimitExceededError, match="max_inodes = 3"):
        read(max_inodes=3)
