"""Disks and their records where there is no room, or nothing may be written."""

import io
import os
from pathlib import Path

import pytest

import orlop
from orlop.digest import Digest
from orlop.disks import Builder, BuildOptions, DiskOptions, ImageMeta, LayerRef, Store, disk_paths
from orlop.errors import (
    CreateDirError,
    CreateExt4Error,
    CreateTempError,
    ImageNotFoundError,
    LimitExceededError,
    PullImageError,
    StoreSaveError,
    UnsafePathError,
)
from support.disks import mounted
from support.images import ImageBuilder, file
from support.marks import needs_root
from support.peers import run

pytestmark = needs_root


@pytest.fixture
def small(tmp_path):
    """A filesystem of 24 MiB."""
    with mounted(tmp_path, "tmpfs", "none", "-o", "size=24m") as path:
        yield path


def layout_of(tmp_path, *sizes):
    builder = ImageBuilder()
    for number, size in enumerate(sizes):
        builder.layer(file(f"f{number}", os.urandom(size)))
    return builder.write(tmp_path / "layout")


def options(small, **more):
    return BuildOptions(cache_dir=small / "root", run_dir=small / "run", **more)


def is_empty(store):
    """Nothing that was under way is left."""
    store.gc()
    assert os.listdir(store.storage.places.staging) == []
    assert store.storage.check().findings == ()
    assert store.list() == []


def test_no_room_for_an_archive(small):
    with Builder(options(small)) as builder:
        with pytest.raises(CreateTempError, match="there is no room for the archive"):
            builder.import_image(io.BytesIO(bytes(25 << 20)), "mine")
        is_empty(builder.store)


def test_no_room_for_layers(small, tmp_path):
    layout = layout_of(tmp_path, 25 << 20)
    with Builder(options(small)) as builder:
        with pytest.raises(PullImageError, match="No space left"):
            builder.build(layout.source)
        is_empty(builder.store)


@pytest.mark.parametrize("fs", ["erofs", "ext4"])
def test_no_room_for_a_disk(small, tmp_path, fs):
    layout = layout_of(tmp_path, 2 << 20)
    with Builder(options(small, disk=DiskOptions(fs=fs))) as builder:
        free = os.statvfs(small)
        with open(small / "filler", "wb") as filler:
            filler.write(bytes(free.f_bavail * free.f_frsize - (5 << 20)))
        with pytest.raises(CreateExt4Error, match="No space left"):
            builder.build(layout.source)
        (small / "filler").unlink()
        is_empty(builder.store)
        assert not builder.build(layout.source).cached


def test_no_room_for_a_disk_from_elsewhere(small, tmp_path):
    (tmp_path / "disk").write_bytes(os.urandom(25 << 20))
    ref = LayerRef(digest=Digest.of(b"x"), path=tmp_path / "disk")
    with Store(small / "root", small / "run") as store:
        with pytest.raises(StoreSaveError, match="No space left"):
            store.save("box", [ref], ImageMeta())
        is_empty(store)


def test_a_store_that_became_read_only(small, tmp_path):
    (tmp_path / "disk").write_bytes(b"disk")
    ref = LayerRef(digest=Digest.of(b"x"), path=tmp_path / "disk")
    with Store(small / "root", small / "run") as store:
        store.save("box", [ref], ImageMeta())
    run("mount", "-o", "remount,ro", small)
    with pytest.raises(CreateDirError, match="cannot be made or opened"):
        Store(small / "root", small / "run")
    run("mount", "-o", "remount,rw", small)
    with Store(small / "root", small / "run") as store:
        assert store.get("box").rootfs_path.read_bytes() == b"disk"
        with pytest.raises(ImageNotFoundError):
            store.get("none")


def test_several_disks_have_no_place_beside_a_device(tmp_path):
    backing = tmp_path / "backing"
    backing.write_bytes(bytes(1 << 20))
    device = run("losetup", "--show", "--find", backing).strip()
    try:
        with pytest.raises(UnsafePathError, match=f"{device}: is no place for 2 disks"):
            disk_paths(Path(device), 2)
        assert [str(path) for path in disk_paths(Path(device), 1)] == [device]
    finally:
        run("losetup", "--detach", device)


def test_a_device_that_is_too_small(tmp_path):
    """What is on it is wiped then, so that nobody takes it for whole."""
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        image = store.pull(layout_of(tmp_path, 1 << 20).source)
        too_small(image, tmp_path)


def too_small(image, tmp_path):
    backing = tmp_path / "backing"
    backing.write_bytes(b"old" + bytes(16 << 10))
    device = run("losetup", "--show", "--find", backing).strip()
    try:
        with pytest.raises(LimitExceededError, match=f"{device} is too small for the disk"):
            image.disks(device)
        assert not any(Path(device).read_bytes())
        with pytest.raises(UnsafePathError, match="beside which no hash tree can lie"):
            image.disks(device, DiskOptions(verity=True, beside=True))
        assert not Path(f"{device}.verity").exists()
    finally:
        run("losetup", "--detach", device)
