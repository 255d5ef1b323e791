"""What is written is read again: by our scanner, and by tarfile."""

import io
import os
import struct
import tarfile

from hypothesis import assume, given
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.tar import END_OF_ARCHIVE, TarScanner, encode_entry, padding
from orlop.tree import Link, Node, Opaque, Put, Whiteout, directory, dump, merge
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG

SOURCE = Digest.of(b"the archive")
NS = 10**9

BYTES = st.sampled_from([b"a", b"-", b" ", b"=", b"\n", b"%", b"\\", b"\xc3\xa4", b"\xff", b".x"])
COMPONENTS = st.builds(
    lambda parts, times: (b"".join(parts) * times)[:250],
    st.lists(BYTES, min_size=1, max_size=4),
    st.sampled_from([1, 1, 1, 25, 99, 250]),
)
PATHS = st.lists(COMPONENTS, min_size=1, max_size=6).map(b"/".join)
TIMES = st.one_of(
    st.integers(-(10**20), 10**20),
    st.integers(0, 2**33).map(lambda seconds: seconds * NS),
    st.sampled_from([-1, -NS, -NS - 1, 8**11 * NS - 1, 8**11 * NS, (2**63 - 1) * NS]),
)
IDS = st.one_of(st.integers(0, 2**32 - 2), st.sampled_from([0, 2**21 - 1, 2**21]))
PERMISSIONS = st.integers(0, 0o7777)
XATTRS = st.dictionaries(
    st.one_of(
        st.sampled_from([b"user.a", b"security.capability", b"user.=", b"user.%3D", b"trusted.\n"]),
        st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name),
    ),
    st.binary(max_size=300),
    max_size=3,
)


def acl(owner, group, mask, others):
    entries = [(1, owner, -1), (2, 7, 1000), (4, group, -1), (16, mask, -1), (32, others, -1)]
    packed = (struct.pack("<HHI", tag, bits, who % 2**32) for tag, bits, who in entries)
    return struct.pack("<I", 2) + b"".join(packed)


@st.composite
def nodes(draw):
    kind = draw(st.sampled_from([S_IFREG, S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO]))
    node = Node(kind | draw(PERMISSIONS), draw(IDS), draw(IDS), draw(TIMES))
    node.xattrs = draw(XATTRS)
    if kind == S_IFLNK:
        node.mode, node.target = kind | 0o777, draw(PATHS)
    elif kind == S_IFREG:
        node.size = draw(st.sampled_from([0, 1, 511, 512, 513, 1300]))
    elif kind in (S_IFCHR, S_IFBLK):
        node.rdev = os.makedev(draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1)))
    if kind in (S_IFREG, S_IFDIR) and draw(st.booleans()):
        owner, group, mask, others = (draw(st.integers(0, 7)) for _ in range(4))
        node.mode = node.mode & ~0o777 | owner << 6 | mask << 3 | others
        node.xattrs = {
            **node.xattrs, b"system.posix_acl_access": acl(owner, group, mask, others)
        }  # fmt: skip
    return node


@st.composite
def changesets(draw):
    """Entries, and the inode of each that is a hard link."""
    found = []
    files = []
    for _ in range(draw(st.integers(0, 5))):
        path = draw(PATHS)
        what = draw(st.sampled_from(["put", "put", "put", "link", "whiteout", "opaque"]))
        if what == "link" and files:
            target, node = draw(st.sampled_from(files))
            assume(path != target)
            found.append((Link(path, target), node))
        elif what == "whiteout":
            found.append((Whiteout(path), None))
        elif what == "opaque":
            found.append((Opaque(path), None))
        else:
            node = draw(nodes())
            found.append((Put(path, node), None))
            if not node.is_dir:
                files.append((path, node))
    return found


def archive(changeset):
    pieces = []
    for entry, inode in changeset:
        pieces.append(encode_entry(entry, inode=inode))
        if isinstance(entry, Put) and entry.node.size:
            pieces += [b"x" * entry.node.size, padding(entry.node.size)]
    return b"".join([*pieces, END_OF_ARCHIVE])


def facts(entry):
    if not isinstance(entry, Put):
        return [getattr(entry, name) for name in ("path", "target") if hasattr(entry, name)]
    node = entry.node
    return [
        entry.path, node.mode, node.uid, node.gid, node.mtime_ns, node.size, node.rdev,
        node.target, dict(node.xattrs),
    ]  # fmt: skip


@given(changesets())
def test_the_scanner_reads_what_was_written(changeset):
    """A changeset is an archive, and an archive a changeset."""
    stream = archive(changeset)
    scanner = TarScanner(SOURCE)
    found = scanner.feed(stream) + scanner.close()
    assert list(map(type, found)) == [type(entry) for entry, _ in changeset]
    assert list(map(facts, found)) == [facts(entry) for entry, _ in changeset]
    for entry in found:
        if isinstance(entry, Put) and entry.node.size:
            node = entry.node
            assert stream[node.offset : node.offset + node.size] == b"x" * node.size
    assert archive(changeset) == stream


def raw(text):
    return text.encode("utf-8", "surrogateescape")


@given(changesets())
def test_tarfile_reads_the_same(changeset):
    """A tar archive is the same archive for every reader."""
    with tarfile.open(
        fileobj=io.BytesIO(archive(changeset)), mode="r:", encoding="utf-8"
    ) as tar:  # fmt: skip
        members = tar.getmembers()
    assert len(members) == len(changeset)
    for info, (entry, inode) in zip(members, changeset, strict=True):
        if isinstance(entry, (Whiteout, Opaque)):
            name = raw(info.name).rpartition(b"/")[2]
            assert (info.isreg(), info.size, name[:4]) == (True, 0, b".wh.")
            continue
        node = inode or entry.node
        assert raw(info.name) == entry.path
        assert (info.mode, info.uid, info.gid) == (node.mode & 0o7777, node.uid, node.gid)
        assert info.type == kind_of(entry)
        assert raw(info.linkname) == (node.target if inode is None else entry.target)
        assert int(info.mtime) == int(float(node.mtime_ns / NS)) or abs(node.mtime_ns) > 2**53
        if info.isdev() and not info.isfifo():
            assert os.makedev(info.devmajor, info.devminor) == node.rdev
        if inode is None:
            assert info.size == node.size


def kind_of(entry):
    if isinstance(entry, Link):
        return tarfile.LNKTYPE
    types = {
        S_IFREG: tarfile.REGTYPE, S_IFDIR: tarfile.DIRTYPE, S_IFLNK: tarfile.SYMTYPE,
        S_IFCHR: tarfile.CHRTYPE, S_IFBLK: tarfile.BLKTYPE, S_IFIFO: tarfile.FIFOTYPE,
    }  # fmt: skip
    return types[entry.node.type]


@given(st.lists(st.tuples(COMPONENTS, nodes()), max_size=5))
def test_a_tree_comes_back(entries):
    """Scanned and applied again, an archive makes the tree that it was made of."""
    root = directory()
    root.children = dict(entries)
    changeset = [(Put(b"", root), None)]
    changeset += [(Put(name, root.children[name]), None) for name in sorted(root.children)]
    scanner = TarScanner(SOURCE)
    assert dump(merge(scanner.feed(archive(changeset)) + scanner.close())) == dump(root)
