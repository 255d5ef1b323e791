"""No space left while an image is edited: one error, nothing named, and it can be done again."""

import contextlib
import errno
import os
import random
import shutil
import subprocess

import pytest

import orlop
from support.images import ImageBuilder, file, tar, whiteout

DISK = 48 << 20
SPACES = [4, 16, 40, 200, 1000, 2200, 4200, 6300]
"""KiB that are left; what is tried needs more than 6,500."""
NOISE = random.Random(1).randbytes(2 << 20)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    place = tmp_path_factory.mktemp("disk")
    path, image = place / "mounted", place / "image"
    path.mkdir()
    with image.open("wb") as out:
        out.truncate(DISK)
    subprocess.run(["mkfs.ext4", "-q", "-m0", "-O", "^has_journal", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@contextlib.contextmanager
def space(disk, size):
    """The disk has so many bytes left while the block runs."""
    ballast = disk / "ballast"
    with ballast.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, max(1, shutil.disk_usage(disk).free - size))
    try:
        yield
    finally:
        ballast.unlink()


@pytest.mark.parametrize("kib", SPACES)
def test_no_space(disk, tmp_path, kib):
    place = disk / f"{kib}"
    with orlop.open_store(place / "root", tmp_path / "run") as store:
        source = ImageBuilder().layer(file("a"), file("b")).write(tmp_path / "l").source
        image = store.pull(source, tag="base:1")
        draft = image.append(tar(file("noise", NOISE))).append(tar(whiteout("a"), file("c")))
        draft = draft.squash(2).with_config(user="1")
        with space(disk, kib << 10):
            with pytest.raises(OSError) as caught:
                draft.save("base:1")
            assert caught.value.errno == errno.ENOSPC
            assert [each.target.digest for each in store.images()] == [image.target.digest]
            assert image.read("/b") == b""
        store.collect(unfinished=True)
        assert store.check().findings == ()
        made = draft.save("base:1")
        assert made.read("/noise") == NOISE
        assert store.check().findings == ()
        store.remove("base:1")
        store.collect(unfinished=True)
