import itertools
import os
import stat

import pytest

from orlop.digest import Digest
from orlop.disks import write_squashfs
from orlop.testing.trees import Bytes, content, everything
from orlop.tree import Node, walk
from support.disks import mounted
from support.marks import needs_root, needs_tools
from support.views import changed, differences, view

pytestmark = [*needs_root, *needs_tools("tar2sqfs", "mksquashfs")]
SECOND = 10**9
TIME = 10**9
TOOLS = ["tar2sqfs", "mksquashfs"]
FORMS = [
    *itertools.product(TOOLS, ["gzip", "zstd", "xz", "lz4"]),
    ("mksquashfs", None),
]


@pytest.fixture(autouse=True)
def _squashfs_here():
    with open("/proc/filesystems") as file:
        if "squashfs" not in file.read():
            pytest.skip("the kernel has no squashfs")


def make():
    store = Bytes()
    root = everything(store)
    del root.children[b"hole"]  # The tools would be given a terabyte of zeros.
    add = root.children
    add[b".wh.name"] = store.file(b"no whiteout")
    add[b".wh..wh..opq"] = store.file(b"no opaque directory")
    add[b"caf\xc3\xa9"] = store.file(b"UTF-8")
    long = add[b"l" * 200] = Node(0o40755, 1, 2, 3 * SECOND)
    long.children[b"\xfe" * 200] = store.file(b"not UTF-8, and long")
    add[b"pipe again"] = add[b"pipe"]
    add[b"link again"] = add[b"link"]
    add[b"device again"] = add[b"block"]
    add[b"large file"] = store.file(os.urandom(3_000_000))
    root.mode, root.uid, root.gid, root.mtime_ns = 0o42751, 70_000, 4, 77 * SECOND + 5
    root.xattrs = {b"user.root": b"r", b"security.x": b"s"}
    add[b"equals"] = Node(0o100644, xattrs={b"user.a=b": b"value"})
    return root, store


def simplify(root):
    """Leave out what `mksquashfs` refuses, as of 4.5."""
    root.xattrs = {}
    del root.children[b"equals"]
    root.uid = root.gid = 0
    root.mtime_ns = TIME * SECOND
    for _, node in walk(root):
        node.mtime_ns = min(node.mtime_ns, TIME * SECOND)


def as_shown(root, store):
    """The tree as squashfs shows it."""
    contents = {path: content(node, store) for path, node in walk(root) if node.size}

    def change(path, node):
        node.mtime_ns = min(max(node.mtime_ns // SECOND, 0), 2**32 - 1) * SECOND
        node.xattrs = {
            name: value for name, value in node.xattrs.items() if not name.startswith(b"system.")
        }
        if node.type == stat.S_IFREG:
            node.source = Digest.of(contents[path]) if path in contents else None

    shown = changed(root, change)
    change(b"", shown)
    del shown.children[b"socket"]
    return shown


@pytest.mark.parametrize(("tool", "compression"), FORMS)
def test_linux_shows_the_tree(tmp_path, tool, compression):
    root, store = make()
    if tool == "mksquashfs":
        simplify(root)
    image = tmp_path / "image"
    write_squashfs(root, image, read=store.read, compression=compression, time_s=TIME, tool=tool)
    with mounted(tmp_path, "squashfs", "-o", "loop,ro", image) as path:
        assert differences(view(path), as_shown(root, store)) == []


@pytest.mark.parametrize("block_size", [4096, 1 << 20])
@pytest.mark.parametrize("tool", TOOLS)
def test_files_of_all_sizes_are_whole(tmp_path, tool, block_size):
    store = Bytes()
    root = Node(0o40755)
    for size in (0, 1, 4095, 4096, 4097, 131_072, 1 << 20, (1 << 20) + 1, 5_000_000):
        root.children[b"%d" % size] = store.file(os.urandom(size))
        root.children[b"zeros %d" % size] = Node(0o100644, size=size)
    image = tmp_path / "image"
    write_squashfs(root, image, read=store.read, block_size=block_size, time_s=TIME, tool=tool)
    with mounted(tmp_path, "squashfs", "-o", "loop,ro", image) as path:
        for name, node in root.children.items():
            found = (path / os.fsdecode(name)).read_bytes()
            assert found == (content(node, store) if node.source else bytes(node.size))
