"""Disks of an image, as the kernel shows them: what umoci unpacks of it."""

import errno
import hashlib
import os
import subprocess

import pytest

import orlop
from orlop.disks import DiskOptions
from orlop.disks.hash_tree import find_hash_tree
from orlop.errors import InUseError, LimitExceededError
from orlop.testing.storage.views import differences, view
from orlop.tree import walk
from support.disks import mounted
from support.marks import needs_root, needs_tools
from support.peers import run

pytestmark = [*needs_root, *needs_tools("umoci", "e2fsck", "fsck.erofs", "veritysetup")]

EROFS = [
    DiskOptions(),
    DiskOptions(block_size=512),
    DiskOptions(block_size=1024, share=False),
    DiskOptions(compress="lz4"),
    DiskOptions(compress="lz4", level=9, extent=8192),
    DiskOptions(compress="zstd"),
    DiskOptions(compress="zstd", level=10, extent=1 << 20),
    DiskOptions(compress="lz4", block_size=1024, extent=8192),
    DiskOptions(layout="indexed"),
    DiskOptions(verity=True),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    place = tmp_path_factory.mktemp("store")
    with orlop.open_store(place / "root", place / "run") as store:
        yield store


@pytest.fixture(scope="module")
def stored(store, image):
    return store.pull(f"oci:{image.layout.path}:{image.layout.tag}", tag="localhost/odd")


@pytest.fixture(scope="module")
def expected(image):
    return view(image.root)


@pytest.fixture(scope="module")
def squashed(image):
    """The same as squashfs has it: whole seconds, and none before 1970."""
    root = view(image.root)
    for node in {node for _, node in walk(root)}:
        node.mtime_ns = max(0, node.mtime_ns // 10**9 * 10**9)
    return root


def named(options):
    default = DiskOptions()
    told = [
        f"{name}-{getattr(options, name)}"
        for name in DiskOptions.__slots__
        if getattr(options, name) != getattr(default, name)
    ]
    return " ".join(told) or "plain"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("options", EROFS, ids=named)
def test_erofs(stored, expected, tmp_path, options):
    (disk,) = stored.disks(tmp_path / "disk", options)
    assert disk.size == (tmp_path / "disk").stat().st_size
    assert disk.diff_ids == stored.config.diff_ids
    with mounted(tmp_path, "erofs", "-o", "ro,loop", disk.path) as path:
        assert differences(view(path), expected) == []


@pytest.mark.parametrize(
    "options",
    [DiskOptions(), DiskOptions(compress="lz4"), DiskOptions(verity=True)],
    ids=named,
)
def test_fsck_finds_nothing(stored, tmp_path, options):
    (disk,) = stored.disks(tmp_path / "disk", options)
    assert "corrupt" not in run("fsck.erofs", "--extract", disk.path)
    assert "Filesystem magic number:" in run("dump.erofs", "-s", disk.path)


@pytest.mark.parametrize("journal", [False, True])
def test_ext4(stored, expected, tmp_path, journal):
    options = DiskOptions(fs="ext4", free=10 << 20, journal=journal, label="odd", verity=False)
    (disk,) = stored.disks(tmp_path / "disk", options)
    run("e2fsck", "-fn", disk.path)
    with mounted(tmp_path, "ext4", "-o", "loop", disk.path) as path:
        shown = view(path)
        del shown.children[b"lost+found"]
        assert differences(shown, expected) == []
        found = os.statvfs(path)
        assert found.f_bfree * found.f_frsize >= 10 << 20
        (path / "written").write_bytes(b"x" * (10 << 20))
    run("e2fsck", "-fn", disk.path)


def test_squashfs(stored, squashed, tmp_path):
    (disk,) = stored.disks(tmp_path / "disk", DiskOptions(fs="squashfs", verity=True))
    with mounted(tmp_path, "squashfs", "-o", "loop", disk.path) as path:
        assert differences(view(path), squashed) == []
    verify(disk)


@pytest.mark.parametrize("fs", ["erofs", "squashfs"])
@pytest.mark.parametrize("most", [None, 2, 1])
def test_layers(stored, expected, squashed, tmp_path, fs, most):
    """Each by itself, joined by an overlay."""
    options = DiskOptions(fs=fs, layout="layers", max_disks=most)
    disks = stored.disks(tmp_path / "disk.img", options)
    count = most or 3
    names = [f"disk.{at}.img" for at in range(count)] if count > 1 else ["disk.img"]
    assert [disk.path.name for disk in disks] == names
    assert sum((disk.diff_ids for disk in disks), ()) == stored.config.diff_ids
    lowers = []
    try:
        for disk in disks:
            lowers.append(tmp_path / f"lower{len(lowers)}")
            lowers[-1].mkdir()
            subprocess.run(["mount", "-t", fs, "-o", "ro,loop", disk.path, lowers[-1]], check=True)
        (tmp_path / "empty").mkdir()
        stack = ":".join(map(str, [*reversed(lowers), tmp_path / "empty"]))
        with mounted(tmp_path, "overlay", "overlay", "-o", f"ro,lowerdir={stack}") as path:
            assert differences(view(path), expected if fs == "erofs" else squashed) == []
    finally:
        for lower in lowers:
            subprocess.run(["umount", lower], check=True)


def verify(disk):
    tree = disk.verity
    run(
        "veritysetup", "verify", disk.path, disk.hash_tree or disk.path, tree.root_hash.hex(),
        f"--hash-offset={tree.hash_offset}",
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        DiskOptions(verity=True),
        DiskOptions(verity=True, salt=b"salt", compress="zstd"),
        DiskOptions(verity=True, block_size=512),
        DiskOptions(verity=True, beside=True),
    ],
    ids=named,
)
def test_verity(stored, tmp_path, options):
    (disk,) = stored.disks(tmp_path / "disk", options)
    verify(disk)
    assert find_hash_tree(disk.path) == (None if options.beside else disk.verity)
    assert sorted(os.listdir(tmp_path)) == ["disk", "disk.verity"][: 1 + options.beside]
    data = bytearray(disk.path.read_bytes())
    data[5000] ^= 1
    disk.path.write_bytes(data)
    with pytest.raises(AssertionError):
        verify(disk)


@pytest.mark.parametrize("fs", ["erofs", "ext4", "squashfs"])
def test_the_same_image_gives_the_same_bytes(stored, tmp_path, fs):
    for name in ("one", "two"):
        stored.disks(tmp_path / name, DiskOptions(fs=fs))
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


@pytest.fixture
def device(tmp_path):
    made = []

    def make(size):
        backing = tmp_path / f"backing{len(made)}"
        with backing.open("wb") as file:
            file.write(b"\xff" * size)
        made.append(run("losetup", "--show", "--find", backing).strip())
        return made[-1]

    yield make
    for each in made:
        run("losetup", "--detach", each)


@pytest.mark.parametrize("fs", ["erofs", "ext4"])
def test_onto_a_block_device(stored, expected, tmp_path, device, fs):
    """What was there before does not show through where the disk has zeros."""
    path = device(64 << 20)
    options = DiskOptions(fs=fs)
    (disk,) = stored.disks(path, options)
    (file,) = stored.disks(tmp_path / "file", options)
    with open(path, "rb") as opened:
        assert hashlib.sha256(opened.read(disk.size)).hexdigest() == digest(file.path)
    with mounted(tmp_path, fs, "-o", "ro", path) as root:
        shown = view(root)
        shown.children.pop(b"lost+found", None)
        assert differences(shown, expected) == []
        with pytest.raises(InUseError, match="is mounted"):
            stored.disks(path, options)


@pytest.mark.parametrize("fs", ["erofs", "ext4"])
def test_a_device_that_is_too_small(stored, device, fs):
    path = device(4 << 20)
    with pytest.raises(LimitExceededError, match=f"{path}.*limit size = {4 << 20}"):
        stored.disks(path, DiskOptions(fs=fs))
    with open(path, "rb") as opened:
        assert not any(opened.read(1 << 16)), "nobody takes the half for a whole"


@pytest.mark.parametrize("options", [DiskOptions(), DiskOptions(fs="ext4")], ids=named)
def test_a_full_disk(stored, tmp_path, options):
    with mounted(tmp_path, "tmpfs", "none", "-o", "size=4m") as small:
        with pytest.raises(OSError) as caught:
            stored.disks(small / "disk", options)
        assert caught.value.errno == errno.ENOSPC
        assert os.listdir(small) == []


@pytest.mark.parametrize("fs", ["erofs", "ext4", "squashfs"])
def test_interrupted(stored, tmp_path, fs):
    (tmp_path / "disk").write_bytes(b"what was there")

    def interrupt(step):
        if step.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored.disks(tmp_path / "disk", DiskOptions(fs=fs), progress=interrupt)
    assert (tmp_path / "disk").read_bytes() == b"what was there"
    assert os.listdir(tmp_path) == ["disk"]


def test_indexed_shares_blocks_where_the_filesystem_can(image, tmp_path):
    from support.disks import xfs

    with xfs(tmp_path) as place:
        with orlop.open_store(place / "root", tmp_path / "run") as store:
            stored = store.pull(f"oci:{image.layout.path}:{image.layout.tag}", tag="localhost/odd")
            os.sync()
            before = os.statvfs(place)
            (disk,) = stored.disks(place / "disk", DiskOptions(layout="indexed"))
            os.sync()
            after = os.statvfs(place)
            taken = (before.f_bfree - after.f_bfree) * before.f_frsize
            assert disk.size > 10 << 20
            assert taken < 2 << 20
        with mounted(tmp_path, "erofs", "-o", "ro,loop", disk.path) as path:
            assert differences(view(path), view(image.root)) == []
