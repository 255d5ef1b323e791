"""What several do with one layer at once: the slower one sees all of it, or is told."""

import io
import os

import pytest

from orlop.storage.layers.ancestry import ancestry
from orlop.storage.layers.view import ViewOptions
from orlop.storage.places import Places
from orlop.storage.storage import Storage
from orlop.testing.storage.base import member, mounts_below, put, tar
from support.marks import needs_root

pytestmark = needs_root


@pytest.fixture(params=["erofs", "overlay", "vfs"])
def storage(request, tmp_path):
    places = Places(tmp_path / "root", tmp_path / "run")
    with Storage.open(places, driver=request.param) as storage:
        yield storage
    assert mounts_below(tmp_path) == []


@pytest.fixture
def other(storage):
    """The same store, as another process has it."""
    with Storage.open(storage.places, driver=storage.driver) as other:
        yield other


def written(storage, *names):
    """A layer with these files that is a directory."""
    layer = storage.layers.create()
    with storage.layers.mount(layer.id) as path:
        for name in names:
            (path / name).write_text(name)
    return layer


def freeze(storage, id):
    storage.layers.freezer.freeze(ancestry(storage, id))


def test_a_parent_becomes_a_tar_while_its_child_is_being_mounted(storage, other):
    parent = written(storage, "f")
    child = storage.layers.create(parent.id)
    mounts = storage.layers.mounts
    view = mounts._view
    calls = []

    def slow(layers, options):
        calls.append(options)
        if len(calls) == 1:
            freeze(other, parent.id)
        return view(layers, options)

    mounts._view = slow
    with storage.layers.mount(child.id) as path:
        assert os.listdir(path) == ["f"]
    assert len(calls) == 2


def test_a_parent_becomes_a_tar_after_its_child_was_opened(storage, other):
    parent = written(storage, "f")
    child = storage.layers.create(parent.id)
    mounts = storage.layers.mounts
    attach = mounts._attach
    tries = []

    def slow(layers, *arguments):
        tries.append(layers)
        if len(tries) == 1:
            freeze(other, parent.id)
        return attach(layers, *arguments)

    mounts._attach = slow
    with storage.layers.mount(child.id) as path:
        assert os.listdir(path) == ["f"]
        assert (path / "f").read_text() == "f"
