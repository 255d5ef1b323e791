"""A copy of a directory is the directory again."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop.rootfs import copy_tree, read_tree, remove_tree, write_tree
from orlop.tree import iter_differences
from orlop.tree.node import walk
from support.random_trees import DATA, ROOT, trees


@pytest.fixture
def base(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    for name in (b"tree", b"copy"):
        remove_tree(fd, name)
    os.close(fd)


@pytest.fixture(scope="module")
def source():
    fd = os.memfd_create("source")
    os.write(fd, DATA)
    yield lambda _: fd
    os.close(fd)


def fresh(base, name):
    remove_tree(base, name)
    os.mkdir(name, dir_fd=base)
    return os.open(name, os.O_RDONLY, dir_fd=base)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(trees, st.data())
def test_a_copy_equals_its_source(base, source, root, data):
    """Names, types, owners, modes, times, xattrs, links and content are kept."""
    files = [node for node in root.children.values() if not node.is_dir]
    if files:
        root.children[b"another name"] = data.draw(st.sampled_from(files))
    original, copy = fresh(base, b"tree"), fresh(base, b"copy")
    try:
        write_tree(root, original, source, ownership=ROOT)
        report = copy_tree(original, copy, ownership=ROOT)
        before, after = (read_tree(fd, digest_files=True) for fd in (original, copy))
    finally:
        os.close(original)
        os.close(copy)
    assert report.dropped == ()
    assert list(iter_differences(before, after)) == []
    digests = [{path: node.source for path, node in walk(tree)} for tree in (before, after)]
    assert digests[0] == digests[1]
