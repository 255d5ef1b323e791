"""What only root's directories have: owners, devices, capabilities, mounts in them, full disks."""

import os
import struct
import subprocess
from contextlib import contextmanager

import pytest

from orlop.errors import UnsupportedError
from support.bundles import Bundle, listing, open_store
from support.images import (
    ImageBuilder,
    device,
    directory,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)
from support.marks import needs_root
from support.views import differences, view

pytestmark = needs_root

CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as store:
        yield store


@pytest.fixture
def layout(tmp_path):
    builder = ImageBuilder()
    attributes = {"SCHILY.xattr.security.capability": CAPABILITY.decode("latin-1")}
    builder.layer(
        directory("dev", uid=0, gid=5), device("dev/null", 1, 3, mode=0o666),
        directory("bin"), file("bin/ping", b"p" * 100_000, uid=1, gid=2, mode=0o6755),
        file("bin/net", b"n", pax_headers=attributes), directory("opt"), file("opt/a", b"a"),
        file("opt/b", b"b"), symlink("lib", "bin", uid=7, gid=8), directory("proc"),
        directory("mnt"), file("mnt/file", b"f"),
    )  # fmt: skip
    builder.layer(
        whiteout("bin/net"), directory("opt"), opaque("opt"), file("opt/c", b"c"),
        hardlink("bin/pong", "bin/ping"), directory("bin/new", mode=0o700),
    )  # fmt: skip
    builder.layer(file("opt/d", b"d"), whiteout("opt/c"), file("bin/net", b"new"))
    return builder.write(tmp_path / "layout")


@contextmanager
def mounted(*command):
    subprocess.run(["mount", *map(str, command)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", command[-1]], check=True)


def test_all_is_as_the_image_has_it(store, layout, tmp_path):
    bundle = Bundle(store, layout.source, tmp_path / "b")
    with bundle.image.mount() as shown:
        assert differences(view(shown), view(bundle.rootfs)) == []
    assert (bundle.rootfs / "dev/null").stat().st_rdev == os.makedev(1, 3)
    assert (bundle.rootfs / "bin/ping").stat().st_mode & 0o7777 == 0o6755


def test_stacked_layers_are_an_overlay(store, layout, tmp_path):
    image = store.pull(layout.source, tag="base")
    unpacked = image.unpack(tmp_path / "s", stacked=True)
    assert [path.name for path in unpacked.directories] == ["0", "1", "2"]
    (tmp_path / "merged").mkdir()
    lower = ":".join(str(path) for path in reversed(unpacked.directories))
    with mounted("-t", "overlay", "none", "-o", f"lowerdir={lower}", tmp_path / "merged"):
        found = view(tmp_path / "merged")
    with image.mount() as shown:
        assert differences(view(shown), found) == []


def test_a_capability_is_kept_and_its_loss_is_seen(store, tmp_path):
    builder = ImageBuilder()
    builder.layer(file("net", b"n"))
    bundle = Bundle(store, builder.write(tmp_path / "l").source, tmp_path / "b")
    os.setxattr(bundle.rootfs / "net", "security.capability", CAPABILITY)
    bundle.repack(refresh=True)
    again = store.image("changed").unpack(tmp_path / "again")
    path = again.directories[0] / "net"
    assert os.getxattr(path, "security.capability") == CAPABILITY
    os.removexattr(path, "security.capability")
    assert store.repack(tmp_path / "again", "without").layer is not None
    tree = store.storage.chains.tree(store.image("without")._stack)
    assert not tree.children[b"net"].xattrs


def test_what_is_mounted_is_left_out_and_what_lies_below_stays(store, layout, tmp_path):
    bundle = Bundle(store, layout.source, tmp_path / "b")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"s")
    (tmp_path / "one").write_bytes(b"1")
    (bundle.rootfs / "bin/added").write_bytes(b"x")
    with (
        mounted("-t", "proc", "proc", bundle.rootfs / "proc"),
        mounted("--bind", tmp_path / "outside", bundle.rootfs / "mnt"),
        mounted("--bind", tmp_path / "one", bundle.rootfs / "bin/net"),
    ):
        for every in (False, True):
            made = bundle.repack(hash=every, refresh=every)
            assert sorted((each.path, each.what) for each in made.skipped) == [
                (b"bin/net", "mount point"), (b"mnt", "mount point"), (b"proc", "mount point"),
            ]  # fmt: skip
            assert bundle.layer(made) == [("Put", ""), ("Put", "bin"), ("Put", "bin/added")]
    assert bundle.repack().layer is None
    (bundle.rootfs / "mnt/file").write_bytes(b"changed")
    assert ("Put", "mnt/file") in bundle.layer(bundle.repack())


@pytest.mark.parametrize("room", [0, 300, 900])
@pytest.mark.parametrize("options", [{}, {"stacked": True}, {"layer": 0}])
def test_no_space_half_way(store, tmp_path, room, options):
    """One error, and what was written is gone."""
    builder = ImageBuilder()
    files = [file(f"d/{number}", bytes([number]) * 60_000) for number in range(40)]
    builder.layer(directory("d"), *files)
    builder.layer(file("big", b"b" * 2_000_000))
    image = store.pull(builder.write(tmp_path / "l").source, tag="base")
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted("-t", "tmpfs", "-o", f"size={max(room, 8)}k", "none", disk):
        before = listing(disk)
        with pytest.raises(OSError, match="No space left") as caught:
            image.unpack(disk / "b", **options)
        assert caught.value.filename
        assert listing(disk).keys() == before.keys()
        (disk / "there").mkdir()
        with pytest.raises(OSError, match="No space left"):
            image.unpack(disk / "there", **options)
        assert os.listdir(disk / "there") == []


def test_no_room_for_the_notes(store, tmp_path):
    builder = ImageBuilder()
    builder.layer(directory("d"), *(file(f"d/{number:0200}") for number in range(1000)))
    image = store.pull(builder.write(tmp_path / "l").source, tag="base")
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=64k", "none", disk):
        with pytest.raises(OSError, match="No space left"):
            image.unpack(disk / "b")
        assert os.listdir(disk) == []


def test_a_disk_that_does_not_keep_attributes(store, tmp_path):
    """Nothing is left out in silence where all was wanted."""
    noted = file("noted", b"n", pax_headers={"SCHILY.xattr.user.note": "x"})
    image = store.pull(ImageBuilder().layer(noted).write(tmp_path / "l").source, tag="base")
    (tmp_path / "memory").mkdir()
    with mounted("-t", "ramfs", "none", tmp_path / "memory"):
        with pytest.raises(UnsupportedError, match=r"xattr user\.note cannot be set"):
            image.unpack(tmp_path / "memory/b")
        assert os.listdir(tmp_path / "memory") == []


def test_on_an_overlay_of_several_disks(store, layout, tmp_path):
    """There, files have the device numbers of their layers, and are no mount points."""
    for name in ("one", "two", "merged"):
        (tmp_path / name).mkdir()
    with (
        mounted("-t", "tmpfs", "none", tmp_path / "one"),
        mounted("-t", "tmpfs", "none", tmp_path / "two"),
    ):
        for name in ("upper", "work"):
            (tmp_path / "two" / name).mkdir()
        options = (
            f"lowerdir={tmp_path}/one,upperdir={tmp_path}/two/upper,workdir={tmp_path}/two/work"
        )
        with mounted("-t", "overlay", "none", "-o", options, tmp_path / "merged"):
            bundle = Bundle(store, layout.source, tmp_path / "merged/b")
            (bundle.rootfs / "opt/new").write_bytes(b"n")
            made = bundle.repack()
            assert made.skipped == ()
            assert bundle.layer(made) == [("Put", ""), ("Put", "opt"), ("Put", "opt/new")]
            assert bundle.repack(hash=True).layer == made.layer
