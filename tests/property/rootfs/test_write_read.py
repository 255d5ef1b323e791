"""A tree that is written and read again is the same tree."""

import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.rootfs import read_tree, remove_tree, write_tree
from orlop.tree import Node, dump

ROOT = os.geteuid() == 0
SOURCE = Digest.of(b"source")
DATA = os.urandom(1 << 20)

names = st.binary(min_size=1, max_size=20).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."}
)
owners = st.integers(0, 2**32 - 2) if ROOT else st.just(os.geteuid())
times = st.integers(-(2**31 - 1) * 10**9, 2**31 * 10**9 - 1)
xattrs = st.dictionaries(
    st.sampled_from([b"user.a", b"user.b", *([b"trusted.c"] if ROOT else [])]),
    st.binary(max_size=40),
    max_size=2,
)
kinds = st.sampled_from([stat.S_IFREG, stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK])


@st.composite
def leaves(draw):
    kind = draw(kinds)
    mode = 0o777 if kind == stat.S_IFLNK else draw(st.integers(0, 0o777))
    node = Node(kind | mode, draw(owners), draw(owners), draw(times))
    if kind == stat.S_IFLNK:
        node.target = draw(
            st.binary(min_size=1, max_size=30).filter(lambda text: b"\0" not in text)
        )
    if kind == stat.S_IFREG:
        node.xattrs = draw(xattrs)
        node.size = draw(st.sampled_from([0, 0, 1, 100, 5000, 300_000]))
        node.source = SOURCE if node.size else None
        node.offset = draw(st.integers(0, len(DATA) - node.size))
    return node


@st.composite
def directories(draw, children):
    node = Node(
        stat.S_IFDIR | 0o700 | draw(st.integers(0, 0o1077)), draw(owners), draw(owners),
        draw(times), xattrs=draw(xattrs),
    )  # fmt: skip
    node.children.update(draw(st.dictionaries(names, children, max_size=4)))
    return node


trees = directories(st.recursive(leaves(), directories, max_leaves=12))


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
