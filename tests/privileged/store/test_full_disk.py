"""No space left, at every step of a pull: a clear line, nothing named, and a pull that goes on."""

import contextlib
import os
import random
import shutil
import subprocess

import pytest

from support.images import ImageBuilder, directory, file
from support.stores import StoreUnderTest

DISK = 32 << 20
SPACES = [16, 40, 100, 250, 450, 700, 1500, 3500, 5000, 7000, 9000, 10500]
"""KiB that are left when the pull begins; it needs about 11000."""


@contextlib.contextmanager
def small_disk(place, *, kept_for_root=0):
    """A small ext4 of its own: EROFS mounts nothing from a tmpfs."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    path, image = place / "mounted", place / "image"
    path.mkdir()
    with image.open("wb") as disk:
        disk.truncate(DISK)
    options = [f"-m{kept_for_root}", "-O", "^has_journal"]
    subprocess.run(["mkfs.ext4", "-q", *options, image], check=True)
    subprocess.run(["mount", "-o", "loop", image, path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    with small_disk(tmp_path_factory.mktemp("disk")) as path:
        yield path


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    noise = random.Random(0)
    builder = ImageBuilder()
    builder.layer(directory("d"), *(file(f"d/{n}", noise.randbytes(3000)) for n in range(200)))
    builder.layer(file("big", noise.randbytes(3 << 20)))
    builder.layer(file("text", b"abc" * 1_000_000))
    return builder.write(tmp_path_factory.mktemp("image") / "app")


@contextlib.contextmanager
def space(disk, size):
    """The disk has so many bytes left while the block runs."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - size)
    try:
        yield
    finally:
        ballast.unlink()


@pytest.mark.parametrize("driver", ["erofs", "overlay"])
@pytest.mark.parametrize("kib", SPACES)
def test_pull(disk, image, driver, kib):
    store = StoreUnderTest(disk / "store", driver)
    try:
        with space(disk, kib << 10):
            done = store.orlop("pull", image.source, "--driver", driver)
            done.check_failure(1, f"{store.root}")
            assert "No space left on device" in done.err
            assert "hint: free some space" in done.err
            store.orlop("gc")
        if (store.root / "orlop.db").exists():
            assert store.images() == []
        store.collect()
        assert not [
            name for name in store.files() if name.startswith(("staging", "trash", "forms"))
        ]
        store.pull(image.source)
        assert store.orlop("cat", "app", "/text").out == "abc" * 1_000_000
        place = store.orlop("mount", "app").out.strip()
        with open(f"{place}/d/199", "rb") as shown:
            assert len(shown.read()) == 3000
        assert store.orlop("umount", place).code == 0
        assert store.orlop("rm", "app").code == 0
        store.collect()
        assert store.files() == {"format.json"}
    finally:
        shutil.rmtree(disk / "store", ignore_errors=True)


def test_reading_while_the_disk_is_full(disk, image):
    store = StoreUnderTest(disk / "store", "erofs")
    try:
        store.pull(image.source)
        with space(disk, 100 << 10):
            assert len(store.images()) == 1
            for command in (["inspect", "app"], ["ls", "app"], ["cat", "app", "/d/1"], ["df"]):
                assert store.orlop(*command).code == 0
    finally:
        shutil.rmtree(disk / "store", ignore_errors=True)


@pytest.mark.parametrize("kib", [0, 7, 8, 9, 16, 31, 32, 33, 40])
def test_removing_while_the_disk_is_full(disk, image, kib):
    """What removes and collects needs space itself, and finds some that was kept back.

    SQLite's shared memory is as large as some of these, and must not be mapped where it has holes.
    """
    store = StoreUnderTest(disk / "store", "erofs")
    try:
        store.pull(image.source)
        with space(disk, kib << 10):
            assert store.orlop("rm", "app").code == 0
            store.collect()
            assert store.files() == {"format.json"}
            assert shutil.disk_usage(disk).free > 10 << 20
        store.collect()
        assert (store.root / "reserve").stat().st_size == 1 << 20
    finally:
        shutil.rmtree(disk / "store", ignore_errors=True)


def test_removing_while_what_is_left_is_kept_for_root(tmp_path, image):
    """Most disks keep a twentieth back, and what root gives up on a full one falls to that."""
    with small_disk(tmp_path, kept_for_root=5) as disk:
        store = StoreUnderTest(disk / "store", "erofs")
        store.pull(image.source)
        with (disk / "ballast").open("wb", 0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(65536))
        assert store.orlop("rm", "app").code == 0
        store.collect()
        assert store.files() == {"format.json"}
