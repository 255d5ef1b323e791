"""Stores that must not be written or entered: reading works where it can, and errors are clear."""

import os
import subprocess

import pytest

from support.images import ImageBuilder, directory, file
from support.nobody import as_nobody, unprivileged_place
from support.stores import StoreUnderTest

READING = [["images"], ["inspect", "app"], ["ls", "app", "/etc"], ["cat", "app", "/etc/a"], ["df"]]


@pytest.fixture
def place():
    with unprivileged_place() as place:
        yield place


@pytest.fixture
def store(place):
    """A store of nobody's with one image, closed clean."""
    layout = ImageBuilder().layer(directory("etc"), file("etc/a", b"a\n"))
    store = StoreUnderTest(place, driver="directory")
    store.source = as_nobody(layout.write, place / "app").source
    as_nobody(store.pull, store.source)
    return store


def writing(store):
    return [["pull", store.source], ["rm", "app"], ["gc"]]


def orlop(store, command):
    return as_nobody(store.orlop, *command)


def test_store_without_permission_to_write(store):
    """Its files can be read and nothing be written: not even a lock."""
    before = store.files()
    subprocess.run(["chmod", "-R", "a-w", store.root], check=True)
    for command in READING:
        assert orlop(store, command).code == 0
    assert orlop(store, ["cat", "app", "/etc/a"]).out == "a\n"
    for command in writing(store):
        done = orlop(store, command)
        done.check_failure(1, str(store.root))
        assert "hint: " in done.err
    assert store.files() == before
    subprocess.run(["chmod", "-R", "u+w", store.root], check=True)
    assert orlop(store, ["pull", store.source]).code == 0


def test_store_of_somebody_else(place):
    with unprivileged_place() as other:
        if os.geteuid() != 0:
            pytest.skip("needs root, to be two people")
        owner = StoreUnderTest(other / "store", driver="directory")
        layout = ImageBuilder().layer(file("a", b"a")).write(other / "app")
        owner.pull(layout.source)
        before = owner.files()
        for command in [*READING, ["pull", layout.source], ["rm", "app"], ["gc"]]:
            done = as_nobody(owner.orlop, *command)
            done.check_failure(1, "Permission denied")
            assert "hint: " in done.err
        info = as_nobody(owner.orlop, "info")  # What the machine can do is told all the same.
        assert (info.code, info.err) == (0, "")
        assert f"unusable: {owner.root}" in info.out
        assert "overlay" in info.out
        assert owner.files() == before


def test_place_where_no_store_can_be_made(place):
    (place / "closed").mkdir(mode=0o500)
    if os.geteuid() == 0:
        os.chown(place / "closed", 65534, 65534)
    store = StoreUnderTest(place / "closed" / "store")
    layout = as_nobody(ImageBuilder().layer(file("a", b"a")).write, place / "app")
    orlop(store, ["pull", layout.source]).check_failure(1, "Permission denied")
    orlop(store, ["df"]).check_failure(3, "no store")


def test_source_that_must_not_be_read(store, place):
    layout = as_nobody(ImageBuilder().layer(file("b", b"b")).write, place / "secret")
    blob = layout.blob(layout.layers[0])
    blob.chmod(0)
    images, files = as_nobody(store.images), store.files()
    done = orlop(store, ["pull", layout.source, "--driver", "directory"])
    done.check_failure(1, "Permission denied")
    assert str(blob) in done.err
    as_nobody(store.is_unchanged, images, files)
    layout.path.chmod(0)
    orlop(store, ["pull", layout.source]).check_failure(1, "Permission denied")


@pytest.mark.parametrize(
    "folder", ["ingest", "staging", "forms", "chains", "blobs/sha256", "locks"]
)
def test_one_folder_cannot_be_written(store, place, folder):
    """A pull that cannot write somewhere says so and names nothing."""
    layout = as_nobody(ImageBuilder().layer(file("b", b"b")).write, place / "other")
    images = as_nobody(store.images)
    target = store.root / folder
    inner = [target, *([target / "sha256"] if folder in {"forms", "chains"} else [])]
    for each in inner:
        each.chmod(0o500)
    done = orlop(store, ["pull", layout.source, "--driver", "directory"])
    for each in inner:
        each.chmod(0o700)
    done.check_failure(1, "Permission denied")
    assert str(store.root) in done.err
    assert as_nobody(store.images) == images
    assert orlop(store, ["pull", layout.source, "--driver", "directory"]).code == 0
