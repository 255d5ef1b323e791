"""Archives that we write, unpacked by GNU tar and by umoci, which reads them as all of Go does."""

import os
import struct
import subprocess

import pytest

from orlop.digest import Digest
from orlop.rootfs import read_tree
from orlop.tar import END_OF_ARCHIVE, encode_entry, padding
from orlop.tree import Link, Node, Put, directory, walk
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG
from support.images import ImageBuilder
from support.marks import needs_root, needs_tools
from support.peers import umoci_unpack
from support.views import changed, differences

pytestmark = [*needs_root, *needs_tools("tar", "umoci")]

NS = 10**9
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, bits, who % 2**32)
    for tag, bits, who in [(1, 6, -1), (2, 4, 1000), (4, 4, -1), (16, 5, -1), (32, 0, -1)]
)
LONG = b"/".join([b"component" * 5] * 8)
NAMES = [
    b"n" * 100, b"n" * 101, b"n" * 255, b"d" * 90 + b"/" + b"n" * 90, b"d" * 156 + b"/x",
    LONG + b"/" + b"n" * 255, "caf\xe9".encode(), b"caf\xe9", b"\xff" * 150, b"-dash",
    b"new\nline", b"back\\slash", b"= 5", b"...", b"\xc3\xa4" * 60 + b"/" + b"\xc3\xa4" * 60,
]  # fmt: skip


def regular(data=b"", **fields):
    node = Node(S_IFREG | fields.pop("mode", 0o644), size=len(data), **fields)
    node.source = Digest.of(data) if data else None
    return node, data


def contents():
    """Every path below the root that has something special, with its node and data."""
    yield from (
        (name, *regular(b"named " + name, mtime_ns=number * NS))
        for number, name in enumerate(NAMES)
    )
    times = [123_456_789, 1_700_000_000 * NS + 1, -1, -1_500_000_000, 2**31 * NS, 8**11 * NS]
    for number, time in enumerate(times):
        yield b"time%d" % number, *regular(mtime_ns=time)
    yield b"suid", *regular(b"#!", mode=0o6755, uid=1000, gid=2**21)
    yield b"high", *regular(b"x" * 512, uid=2**32 - 2, gid=2**32 - 2)
    yield b"cap", *regular(b"x", uid=5, xattrs={b"security.capability": CAPABILITY})
    yield b"acl", *regular(mode=0o650, xattrs={b"system.posix_acl_access": ACL})
    many = {b"user.bytes": bytes(range(256)), b"user.empty": b"", b"trusted.a": b"1\n2=3\n"}
    yield b"xattrs", *regular(b"x" * 513, xattrs=many)
    yield b"link", Node(S_IFLNK | 0o777, 7, 8, 9 * NS + 1, target=b"../over/there"), b""
    yield b"long-link", Node(S_IFLNK | 0o777, target=b"t/" * 150 + b"\xc3\xa9"), b""
    yield b"odd-link", Node(S_IFLNK | 0o777, target=b"\xe9" * 120), b""
    yield b"char", Node(S_IFCHR | 0o666, 0, 5, 7, rdev=os.makedev(1, 3)), b""
    yield b"block", Node(S_IFBLK | 0o660, 0, 6, 7, rdev=os.makedev(4095, 1_048_575)), b""
    yield b"fifo", Node(S_IFIFO | 0o622, 11, 12, 13), b""
    acl = {b"system.posix_acl_default": ACL}
    yield b"directory", Node(S_IFDIR | 0o3770, 7, 8, 5 * NS + 7, xattrs=acl), b""


def make_tree():
    """The tree, and the data of its files by node."""
    root, data = Node(S_IFDIR | 0o751, 1, 2, 3 * NS + 4), {}
    for path, node, content in contents():
        here = root
        *parents, name = path.split(b"/")
        for parent in parents:
            here = here.children.setdefault(parent, directory(0o711, mtime_ns=NS))
        here.children[name] = node
        data[node] = content
    root.children[b"z-second-name-of-cap"] = root.children[b"cap"]
    root.children[b"directory"].children[b"of-link"] = root.children[b"link"]
    root.children[b"directory"].children[b"deep"] = root.children[b"d" * 156].children[b"x"]
    return root, data


def archive(root, data):
    first, pieces = {}, []
    for path, node in walk(root):
        if first.setdefault(node, path) != path:
            pieces.append(encode_entry(Link(path, first[node]), inode=node))
            continue
        content = data.get(node, b"")
        pieces += [encode_entry(Put(path, node)), content, padding(len(content))]
    return b"".join([*pieces, END_OF_ARCHIVE])


def without_empty_xattrs(_, node):
    """What Go makes of a record without a value: nothing."""
    node.xattrs = {name: value for name, value in node.xattrs.items() if value}


def view(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_tree(fd, digest_files=True)
    finally:
        os.close(fd)


@pytest.fixture
def made(tmp_path):
    root, data = make_tree()
    path = tmp_path / "archive.tar"
    path.write_bytes(archive(root, data))
    return root, path


def test_gnu_tar_unpacks_the_tree(tmp_path, made):
    root, path = made
    target = tmp_path / "target"
    target.mkdir()
    command = ["tar", "-xpf", path, "--warning=no-timestamp", "--numeric-owner", "--same-owner",
               "--xattrs", "--xattrs-include=*", "-C", target]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if "hdrcharset" not in line] == []
    assert differences(root, view(target)) == []


def test_gnu_tar_lists_the_names(made):
    root, path = made
    listing = subprocess.run(["tar", "-tf", path, "--quoting-style=literal", "--null"],
                             check=True, capture_output=True).stdout  # fmt: skip
    expected = [name + b"/" * node.is_dir if name else b"./" for name, node in walk(root)]
    assert listing.count(b"\n") >= len(expected)
    position = 0
    for name in expected:
        assert listing.startswith(name + b"\n", position), name
        position += len(name) + 1


def test_umoci_unpacks_the_tree(tmp_path, made):
    root, path = made
    layout = ImageBuilder(compression="none").raw_layer(path.read_bytes()).write(tmp_path / "oci")
    found = view(umoci_unpack(layout.path, layout.tag, tmp_path / "target"))
    assert differences(changed(root, without_empty_xattrs), found) == []
