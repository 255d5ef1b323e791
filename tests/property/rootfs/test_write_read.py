"""A tree that is written and read again is the same tree."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.rootfs import read_tree, remove_tree, write_tree
from orlop.tree import dump
from support.random_trees import DATA, ROOT, trees


@pytest.fixture
def base(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    remove_tree(fd, b"tree")
    os.close(fd)


@pytest.fixture(scope="module")
def source():
    fd = os.memfd_create("source")
    os.write(fd, DATA)
    yield lambda _: fd
    os.close(fd)


def contents(node, found):
    """Pairs of the content's digest in the tree and on disk."""
    for name, child in node.children.items():
        if child.is_dir:
            yield from contents(child, found.children[name])
        elif child.size:
            data = DATA[child.offset : child.offset + child.size]
            yield Digest.of(data), found.children[name].source


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(trees, st.data())
def test_what_is_written_is_read(base, source, root, data):
    """Names, types, owners, modes, times, xattrs, links and content are kept."""
    files = [node for node in root.children.values() if not node.is_dir]
    if files:
        root.children[b"another name"] = data.draw(st.sampled_from(files))
    remove_tree(base, b"tree")
    os.mkdir("tree", dir_fd=base)
    fd = os.open("tree", os.O_RDONLY, dir_fd=base)
    try:
        report = write_tree(root, fd, source, ownership=ROOT)
        found = read_tree(fd, digest_files=True)
    finally:
        os.close(fd)
    assert report.dropped == ()
    assert dump(found) == dump(root)
    for expected, actual in contents(root, found):
        assert actual == expected
