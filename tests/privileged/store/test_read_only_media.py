"""A store on media that cannot be written: reading works if it was closed clean."""

import subprocess

import pytest

from support.images import ImageBuilder, directory, file
from support.stores import StoreUnderTest

READING = [["images"], ["inspect", "app"], ["ls", "app", "/etc"], ["df"]]


@pytest.fixture
def store(tmp_path):
    store = StoreUnderTest(tmp_path / "store")
    layout = ImageBuilder().layer(directory("etc"), file("etc/a", b"a\n"))
    store.source = layout.write(tmp_path / "app").source
    store.pull(store.source)
    return store


@pytest.fixture
def make_read_only():
    """Remount the store's root read-only, until the test is over."""
    mounted = []

    def make_read_only(store):
        subprocess.run(["mount", "--bind", store.root, store.root], check=True)
        mounted.append(store.root)
        subprocess.run(["mount", "-o", "remount,ro,bind", store.root], check=True)

    yield make_read_only
    for root in mounted:
        subprocess.run(["umount", root], check=True)


def test_store_that_was_closed_clean(store, make_read_only):
    before = store.files()
    make_read_only(store)
    for command in READING:
        assert store.orlop(*command).code == 0
    assert store.orlop("cat", "app", "/etc/a").out == "a\n"
    for command in (["pull", store.source], ["rm", "app"], ["gc"], ["mount", "app"]):
        done = store.orlop(*command)
        done.check_failure(1, "Read-only file system")
        assert str(store.root) in done.err
        assert "hint: " in done.err
    assert store.files() == before


def test_store_that_was_not_closed(store, make_read_only):
    """A journal beside the database holds what is not yet in it: nothing is read past it."""
    (store.root / "orlop.db-wal").write_bytes(b"x" * 5000)
    make_read_only(store)
    for command in READING:
        done = store.orlop(*command)
        done.check_failure(1, "was not closed")
        assert "hint: " in done.err
