"""No space left while layers and containers are changed: they stay as they were, and can go."""

import contextlib
import io
import os
import random
import shutil
import subprocess

import pytest

import orlop
from support.images import ImageBuilder, directory, file, tar

DISK = 48 << 20
SPACES = [4, 8, 16, 40, 100, 400, 1000, 1900]
"""KiB that are left; what is tried needs about 2000."""
NOISE = random.Random(1).randbytes(2 << 20)


@contextlib.contextmanager
def small_disk(place):
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    path, image = place / "mounted", place / "image"
    path.mkdir()
    with image.open("wb") as disk:
        disk.truncate(DISK)
    options = ["-m0", "-O", "^has_journal"]
    subprocess.run(["mkfs.ext4", "-q", *options, image], check=True)
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
        os.posix_fallocate(out.fileno(), 0, shutil.disk_usage(disk).free - size)
    try:
        yield
    finally:
        ballast.unlink()


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path) as path:
        yield path


@pytest.fixture
def store(disk, tmp_path):
    builder = ImageBuilder().layer(directory("etc"), file("etc/hostname", b"box\n"))
    with orlop.open_store(disk / "root", tmp_path / "run") as store:
        store.pull(builder.write(tmp_path / "layout").source, tag="box")
        yield store


def state(store):
    """All records of objects."""
    storage = store.storage
    return storage.layers.list(), storage.containers.list(), storage.images.list()


@pytest.mark.parametrize("kib", SPACES)
def test_what_fails_leaves_things_as_they_were(store, disk, kib):
    storage = store.storage
    layer = storage.layers.put(io.BytesIO(tar(file("old", b"old"))), names=["mine"])
    container = storage.containers.create("box", names=["web"])
    with storage.containers.mount("web") as path:
        (path / "noise").write_bytes(NOISE)
    before = state(store)
    archive = tar(file("big", NOISE))
    actions = {
        "put": lambda: storage.layers.put(io.BytesIO(archive), layer.id),
        "apply": lambda: storage.layers.apply_diff("mine", io.BytesIO(archive)),
        "commit": lambda: storage.containers.commit("web", "localhost/new:1"),
        "freeze": lambda: storage.layers.put(io.BytesIO(tar(file("a"))), container.layer),
        "data": lambda: storage.containers.data.put("web", "item", NOISE),
    }
    with space(disk, kib << 10):
        for name, action in actions.items():
            with pytest.raises(OSError, match="No space left") as caught:
                action()
            assert caught.value.filename, name
            assert state(store) == before
            # A full disk may have no room to forget the lease: what it kept goes with the next.
            store.collect()
        assert storage.check(max_age=0).damaged == ()
    store.collect()
    assert storage.check(max_age=0).findings == ()
    with storage.layers.mount("mine") as path:
        assert (path / "old").read_bytes() == b"old"
    with storage.containers.mount("web") as path:
        assert (path / "noise").read_bytes() == NOISE
    actions["apply"]()
    actions["commit"]()
    assert store.image("localhost/new:1").read("/noise") == NOISE


@pytest.mark.parametrize("kib", [4, 8, 16, 40])
def test_deleting_on_a_full_disk(store, disk, kib):
    storage = store.storage
    layer = storage.layers.put(io.BytesIO(tar(file("big", NOISE))), names=["mine"])
    storage.images.create(layer.id, id="made")
    storage.containers.create("box", names=["web"])
    with storage.containers.mount("web") as path:
        (path / "noise").write_bytes(NOISE)
    storage.containers.data.put("web", "item", NOISE)
    with space(disk, kib << 10):
        storage.containers.delete("web")
        storage.images.delete("made")
        store.remove("box")
        store.collect()
        assert shutil.disk_usage(disk).free > 5 << 20
    assert state(store) == ((), (), ())
    assert storage.check(max_age=0).findings == ()
