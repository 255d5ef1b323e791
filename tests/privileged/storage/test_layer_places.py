"""Stores with layers in places that are not like others."""

import os
import subprocess

import pytest

from orlop.storage.places import Places
from orlop.storage.storage import Storage
from orlop.testing.storage.base import member, mounts_below, put
from support.marks import needs_root

pytestmark = needs_root

NAMES = ["a b", "c,d:e", "back\\slash", "line\nbreak", "\N{SNOWMAN}", "n" * 250 + "/" + "n" * 50]


def use(storage):
    """Write layers on each other, and see what they show."""
    below = storage.layers.create(put(storage, member("f", b"f")).id)
    with storage.layers.mount(below.id) as path:
        (path / "g").write_text("g")
    layer = storage.layers.create(below.id)
    with storage.layers.mount(layer.id) as path:
        assert sorted(os.listdir(path)) == ["f", "g"]
        (path / "f").unlink()
    assert [change.path for change in storage.layers.changes(layer.id)] == [b"f"]
    storage.layers.delete(layer.id)


@pytest.fixture
def on_overlay(tmp_path):
    """A directory on an overlay, as a container has it."""
    lower, upper, work, merged = (tmp_path / each for each in ("lower", "upper", "work", "merged"))
    for each in (lower, upper, work, merged):
        each.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "none", "-o", options, merged], check=True)
    yield merged
    subprocess.run(["umount", merged], check=True)


def test_on_an_overlay_layers_are_copied(on_overlay, tmp_path):
    """The kernel lays no overlay over directories of another one."""
    with Storage.open(Places(on_overlay / "root", tmp_path / "run")) as storage:
        assert storage.driver == "vfs"
        use(storage)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("driver", ["erofs", "overlay"])
def test_odd_names_of_places(driver, name, tmp_path):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    with Storage.open(Places(folder / "root", folder / "run"), driver=driver) as storage:
        use(storage)
    assert mounts_below(tmp_path) == []
