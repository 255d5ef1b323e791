import ctypes
import os
import random
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.erofs_images import BLOCK_BITS, make, trees

from orlop.fsimage.erofs import make_codec
from orlop.testing.trees import Bytes, content
from orlop.tree import Node, directory, walk

pytestmark = pytest.mark.privileged

MS_RDONLY, MNT_DETACH = 1, 2
libc = ctypes.CDLL(None, use_errno=True)
NAMES = [None, "lz4", "zstd"]


def release():
    return tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))


@pytest.fixture
def mounted(tmp_path):
    if os.geteuid() or release() < (6, 12) or "erofs" not in Path("/proc/filesystems").read_text():
        pytest.skip("mounting an EROFS file needs root and Linux 6.12 with EROFS")
    made = []

    def mount(image):
        target = tmp_path / f"mount{len(made)}"
        target.mkdir()
        path = tmp_path / f"image{len(made)}"
        path.write_bytes(image)
        if libc.mount(bytes(path), bytes(target), b"erofs", MS_RDONLY, b""):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        made.append(target)
        return target

    yield mount
    for target in made:
        libc.umount2(bytes(target), MNT_DETACH)


def same(handle, name, node, store):
    status = os.lstat(name, dir_fd=handle)
    assert (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_rdev) == (
        node.mode, node.uid, node.gid, node.mtime_ns, node.rdev,
    )  # fmt: skip
    if stat.S_ISLNK(node.mode):
        assert os.readlink(name, dir_fd=handle) == node.target
    if stat.S_ISREG(node.mode):
        assert status.st_size == node.size
        if node.size < 1 << 30:
            with open(os.open(name, os.O_RDONLY, dir_fd=handle), "rb") as stream:
                assert stream.read() == content(node, store), name


def compare(target, root, store):
    handle = os.open(target, os.O_RDONLY)
    for path, node in walk(root):
        same(handle, path or b".", node, store)
        place = os.path.join(os.fsencode(target), path)
        assert {
            os.fsencode(name): os.getxattr(place, name, follow_symlinks=False)
            for name in os.listxattr(place, follow_symlinks=False)
        } == dict(node.xattrs)
        if node.is_dir:
            assert sorted(map(os.fsencode, os.listdir(place))) == sorted(node.children)
    os.close(handle)


def corners():
    """Inodes, tails, targets and extents around the sizes of blocks; and holes."""
    noise = random.Random(9).randbytes
    store = Bytes()
    root = directory(0o755)
    add = root.children
    for size in (
        448,
        449,
        480,
        511,
        512,
        513,
        1024,
        2048,
        4031,
        4032,
        4064,
        4065,
        4095,
        4096,
        8191,
    ):
        add[b"noise %d" % size] = store.file(noise(size))
        add[b"text %d" % size] = store.file(b"z" * size)
        target = b"/".join([b"d" * 15] * 256)[: min(size, 4095)]
        add[b"link %d" % size] = Node(0o120777, target=target, mtime_ns=size % 2)
    add[b"xattrs"] = store.file(noise(5000))
    add[b"xattrs"].xattrs = {b"user.a%d" % number: noise(4000) for number in range(15)}
    add[b"large xattr"] = store.file(noise(100))
    add[b"large xattr"].xattrs = {b"user.one": noise(60_000)}
    add[b"xattr link"] = Node(0o120777, target=b"t" * 300, xattrs={b"trusted.one": noise(60_000)})
    add[b"a"] = add[b"a again"] = store.file(b"shared" * 5000)
    add[b"b"] = add[b"b again"] = store.file(b"shared" * 5000)
    add[b"holes"] = store.sparse([(at * 70_000, noise(3000)) for at in range(1, 9)], 900_000)
    add[b"noise"] = store.file(noise(700_001))
    add[b"behind noise"] = store.file(b"small")
    add[b"mixed"] = store.file((noise(9000) + bytes(50_000)) * 20)
    add[b"zeros"] = store.file(bytes(3_000_000))
    return root, store


@pytest.mark.parametrize("block_bits", BLOCK_BITS)
@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_shows_the_corners(mounted, name, block_bits):
    root, store = corners()
    codec = make_codec(name) if name else None
    target = mounted(make(root, store.read, block_bits=block_bits, codec=codec)[0])
    compare(target, root, store)
    assert os.lstat(target / "b").st_nlink == 2


@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_shows_random_trees(mounted, name):
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(trees())
    def shows(tree):
        root, store = tree
        codec = make_codec(name, extent=8192) if name else None
        compare(mounted(make(root, store.read, codec=codec)[0]), root, store)

    shows()


@pytest.mark.parametrize("block_bits", [9, 12])
def test_the_kernel_shows_large_directories_deep_trees_and_huge_files(mounted, block_bits):
    store = Bytes()
    root = directory(0o755)
    large = root.children[b"large"] = directory()
    for number in range(100_000):
        large.children[b"entry-%06d" % number] = Node(0o100644, mtime_ns=number)
    deep = root.children[b"deep"] = directory()
    for _ in range(2000):
        deep.children[b"d"] = deep = directory()
    deep.children[b"bottom"] = store.file(b"found")
    segments = [(1 << 42, b"x" * 5000), ((1 << 43) - 100, b"y" * 100)]
    root.children[b"huge"] = store.sparse(segments, 1 << 43)
    target = mounted(make(root, store.read, block_bits=block_bits)[0])
    assert len(os.listdir(target / "large")) == 100_000
    handle = os.open(target / "large", os.O_RDONLY)
    for number in random.Random(1).sample(range(100_000), 500):
        name = b"entry-%06d" % number
        same(handle, name, large.children[name], store)
    os.close(handle)
    handle = os.open(target / "deep", os.O_RDONLY)
    for _ in range(2000):
        below = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    same(handle, b"bottom", deep.children[b"bottom"], store)
    os.close(handle)
    with open(target / "huge", "rb") as stream:
        for start, data in segments:
            stream.seek(start - 50)
            assert stream.read(len(data) + 50) == bytes(50) + data
