"""Paths and arguments that are bytes and no text, as Linux allows: they were crashes."""

import os

import pytest

from support.images import ImageBuilder, file
from support.stores import StoreUnderTest

NO_TEXT = os.fsdecode(b"no-\xfftext")


@pytest.fixture
def store(tmp_path):
    return StoreUnderTest(tmp_path, driver="directory")


@pytest.fixture
def layout(tmp_path):
    return ImageBuilder().layer(file("a", b"a")).write(tmp_path / NO_TEXT / "app")


def test_an_image_lies_anywhere(store, layout):
    store.pull(layout.source)
    assert store.orlop("cat", "app", "/a").out == "a"


@pytest.mark.parametrize("command", ["inspect", "ls", "rm", "mount"])
def test_no_image_is_called_so(store, layout, command):
    store.pull(layout.source)
    store.orlop(command, NO_TEXT).check_failure(3, "no image is called")


@pytest.mark.parametrize("command", [["images"], ["pull", "dir:/nowhere"], ["gc"], ["rm", "x"]])
def test_a_store_does_not_lie_there(tmp_path, command):
    store = StoreUnderTest(tmp_path / NO_TEXT)
    store.root.mkdir(parents=True)
    (store.root / "format.json").write_text('{"version": 1, "features": []}')
    (store.root / "orlop.db").write_bytes(b"")
    store.orlop(*command).check_failure(1, "not UTF-8")
