"""Random trees of files, directories and links, as this process can make them.

The content of their files lies in `DATA`, named by `SOURCE`.
"""

from __future__ import annotations

import os
import stat

from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.tree import Node

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
