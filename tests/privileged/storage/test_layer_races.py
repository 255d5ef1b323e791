"""What several do with one layer at once: the slower one sees all of it, or is told."""

import io
import os
import signal
import subprocess
import sys

import pytest

from orlop.digest import chain_on
from orlop.errors import InUseError
from orlop.storage import leftovers
from orlop.storage.check.examination import Examination
from orlop.storage.check.layers import LayerExaminer
from orlop.storage.collect import collect
from orlop.storage.holds import MAX_HELD
from orlop.storage.layers.ancestry import ancestry
from orlop.storage.places import Places
from orlop.storage.storage import Storage
from orlop.testing.storage.base import member, mounts_below, put, tar
from support.marks import needs_root

pytestmark = needs_root

CHILD = "child"


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
    """A layer with these files that is a directory, and its lock not that of `CHILD`."""
    layer = storage.layers.create(id="parent")
    with storage.layers.mount(layer.id) as path:
        for name in names:
            (path / name).write_text(name)
    return layer


def freeze(storage, layer):
    storage.layers.freezer.freeze(ancestry(storage, layer.id))


class Meanwhile(io.BytesIO):
    """A tar, before whose first byte something happens."""

    def __init__(self, happens, *members):
        super().__init__(tar(*members))
        self.happens = happens

    def read(self, size=-1):
        if not self.tell():
            self.happens()
        return super().read(size)


HOLDER = """
import sys
from pathlib import Path
from orlop.storage.places import Places
from orlop.storage.storage import Storage
root, run, driver, layer = sys.argv[1:]
with Storage.open(Places(Path(root), Path(run)), driver=driver) as storage:
    with storage.layers.mount(layer) as path:
        print(path, flush=True)
        sys.stdin.read()
        (path / "late").write_text("late")
"""


def test_a_parent_becomes_a_tar_while_its_child_is_being_mounted(storage, other):
    parent = written(storage, "f")
    child = storage.layers.create(parent.id, id=CHILD)
    mounts = storage.layers.mounts
    view = mounts._view
    calls = []

    def slow(layers, options):
        calls.append(options)
        if len(calls) == 1:
            freeze(other, parent)
        return view(layers, options)

    mounts._view = slow
    with storage.layers.mount(child.id) as path:
        assert os.listdir(path) == ["f"]
    assert len(calls) == 2


def test_a_parent_becomes_a_tar_after_its_child_was_opened(storage, other):
    parent = written(storage, "f")
    child = storage.layers.create(parent.id, id=CHILD)
    mounts = storage.layers.mounts
    attach = mounts._attach
    tries = []

    def slow(layers, *arguments):
        tries.append(layers)
        if len(tries) == 1:
            freeze(other, parent)
        return attach(layers, *arguments)

    mounts._attach = slow
    with storage.layers.mount(child.id) as path:
        assert os.listdir(path) == ["f"]
        assert (path / "f").read_text() == "f"


def test_a_parent_is_written_to_while_a_tar_for_it_comes_in(storage, other):
    parent = storage.layers.create()

    def write():
        with other.layers.mount(parent.id) as path:
            (path / "late").write_text("late")

    child = storage.layers.put(Meanwhile(write, member("f", b"f")), parent.id)
    assert child.chain_id == chain_on(storage.layers.get(parent.id).chain_id, child.diff_id)
    with storage.layers.mount(child.id) as path:
        assert sorted(os.listdir(path)) == ["f", "late"]


def test_a_parent_takes_a_tar_while_another_one_for_it_comes_in(storage, other):
    parent = put(storage, member("f", b"f"))

    def apply():
        other.layers.apply_diff(parent.id, io.BytesIO(tar(member("g", b"g"))))

    child = storage.layers.put(Meanwhile(apply, member("h", b"h")), parent.id)
    assert child.chain_id == chain_on(storage.layers.get(parent.id).chain_id, child.diff_id)
    with storage.layers.mount(child.id) as path:
        assert sorted(os.listdir(path)) == ["f", "g", "h"]


def test_a_layer_becomes_a_tar_while_it_is_checked(storage, other):
    layer = written(storage, "f")
    (located,) = ancestry(storage, layer.id)
    freeze(other, layer)
    examination = Examination(storage=storage, quick=False, max_age_ns=0)
    assert list(LayerExaminer(examination)._upper(located)) == []


def test_what_is_written_in_another_mount_namespace_stays_a_directory(storage):
    layer = written(storage, "f")
    words = [storage.places.root, storage.places.run, storage.driver, layer.id]
    with subprocess.Popen(
        ["unshare", "--mount", sys.executable, "-c", HOLDER, *map(str, words)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        assert holder.stdout.readline()
        with pytest.raises(InUseError) as caught:
            put(storage, member("g", b"g"), parent=layer.id)
        assert [each.partition(" ")[0] for each in caught.value.users] == ["mount"]
        holder.stdin.close()
    assert storage.layers.get(layer.id).diff_id is None
    with storage.layers.mount(layer.id, read_only=True) as path:
        assert sorted(os.listdir(path)) == ["f", "late"]


def test_a_forked_child_reads_nothing(storage):
    """What its parent no longer reads may be deleted while the child lives."""
    layer = written(storage, "f")
    stream = storage.layers.diff(layer.id)
    stream.read(100)
    child = os.fork()
    if not child:
        signal.pause()
    try:
        stream.close()
        storage.layers.delete(layer.id)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("storage", ["erofs"], indirect=True)
def test_a_forked_child_holds_nothing(storage):
    """The mounts of stacks that its parent has for the next containers stay with that."""
    bases = [put(storage, member(f"{number}", b"")) for number in range(MAX_HELD + 1)]

    def use(base):
        layer = storage.layers.create(base.id)
        with storage.layers.mount(layer.id) as path:
            assert len(os.listdir(path)) == 1

    for base in bases[:-1]:
        use(base)
    held = {record.id for record, _ in storage.mounts.present()}
    assert len(held) == MAX_HELD
    child = os.fork()
    if not child:
        use(bases[-1])
        storage.close()
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    assert {record.id for record, _ in storage.mounts.present()} == held


def test_a_layer_is_read_while_its_image_is_deleted(storage):
    layer = written(storage, *(f"{number}" for number in range(30)))
    image = storage.images.create(layer.id)
    with storage.layers.diff(layer.id) as stream:
        expected = stream.read()
    with storage.layers.diff(layer.id) as stream:
        read = stream.read(100)
        assert storage.images.delete(image.id) == (layer.id,)
        collect(storage)
        assert read + stream.read() == expected
    assert storage.places.layer(layer.id).exists()
    collect(storage)
    assert not storage.places.layer(layer.id).exists()


def test_an_id_is_given_again_before_its_files_are_gone(storage, other, monkeypatch):
    storage.containers.create(id="box")
    storage.containers.data.put("box", "item", b"old")
    remove = leftovers.remove_leftovers

    def slow(of, paths):
        assert storage.places.object("container", "box") in paths
        other.containers.create(id="box")
        other.containers.data.put("box", "item", b"new")
        other.containers.run_directory("box")
        return remove(of, paths)

    monkeypatch.setattr(leftovers, "remove_leftovers", slow)
    storage.containers.delete("box")
    assert storage.containers.data.get("box", "item") == b"new"
    assert storage.places.run_directory("container", "box").is_dir()
