"""Large files are written by a second thread: the same tree, the same errors, nothing left over."""

import errno
import os
import stat
import threading

import pytest

from orlop.digest import Digest
from orlop.errors import InvalidLayerError
from orlop.rootfs import helper, write_tree
from orlop.tree import Node, directory
from support.views import differences, view

SOURCE = Digest.of(b"source")
SIZES = (1, helper.LARGE - 1, helper.LARGE, helper.LARGE + 1, 300_000)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(os.urandom(1 << 20))
    handle = os.open(path, os.O_RDONLY)
    yield handle
    os.close(handle)


@pytest.fixture
def target(tmp_path):
    (tmp_path / "target").mkdir()
    handle = os.open(tmp_path / "target", os.O_RDONLY)
    yield handle
    os.close(handle)


def tree():
    own = os.geteuid(), os.getegid()
    root = directory(0o755, *own)
    for number in range(100):
        folder = root.children[b"%d" % number] = directory(0o500, *own, mtime_ns=number)
        for size in SIZES:
            node = Node(
                stat.S_IFREG | 0o444, *own, size, size, source=SOURCE,
                offset=number * 1000,
            )  # fmt: skip
            folder.children[b"%d" % size] = node
        folder.children[b"again"] = node
    return root


def handles():
    return len(os.listdir("/proc/self/fd"))


def test_the_same_tree_as_one_thread_writes(tmp_path, source, target, monkeypatch):
    asked = []
    report = write_tree(tree(), target, lambda digest: asked.append(digest) or source)
    assert asked == [SOURCE]
    assert (report.inodes, report.links) == (600, 100)
    monkeypatch.setattr("orlop.rootfs.write.LARGE", 1 << 40)
    (tmp_path / "alone").mkdir()
    alone = os.open(tmp_path / "alone", os.O_RDONLY)
    try:
        assert write_tree(tree(), alone, lambda _: source) == report
    finally:
        os.close(alone)
    assert differences(view(tmp_path / "alone"), view(tmp_path / "target")) == []


@pytest.mark.parametrize("offset", [1 << 20, (1 << 20) - 1000])
def test_content_that_is_not_there(source, target, offset):
    root = tree()
    root.children[b"50"].children[b"300000"].offset = offset
    before, threads = handles(), threading.active_count()
    with pytest.raises(InvalidLayerError, match="50/300000"):
        write_tree(root, target, lambda _: source)
    assert (handles(), threading.active_count()) == (before, threads)


def test_an_error_names_the_file(source, target, monkeypatch):
    def copy(_, node, fd):
        if node.offset == 70_000:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(helper.ContentCopier, "copy", copy)
    root = tree()
    for folder in root.children.values():
        for name in (b"1", b"65535"):
            del folder.children[name]
    before, threads = handles(), threading.active_count()
    with pytest.raises(OSError, match="No space left") as caught:
        write_tree(root, target, lambda _: source)
    assert caught.value.filename == b"70/65536"
    assert (handles(), threading.active_count()) == (before, threads)


def test_an_error_elsewhere_ends_the_thread(source, target):
    root = tree()
    root.children[b"99"].children[b"a/b"] = Node(stat.S_IFREG)
    before, threads = handles(), threading.active_count()
    with pytest.raises(Exception, match="not a name"):
        write_tree(root, target, lambda _: source)
    assert (handles(), threading.active_count()) == (before, threads)
