"""Faults while layers are changed: tars cut short, vanished parents, read-only stores."""

import io
import threading

import pytest

import orlop
from orlop.errors import InUseError, InvalidError, OrlopError
from orlop.storage.collect import collect
from support.images import compress, directory, file, tar


def shown(storage, layer):
    with storage.layers.mount(layer, read_only=True) as path:
        return {
            str(each.relative_to(path)): each.read_bytes()
            for each in path.rglob("*")
            if each.is_file()
        }


def archive(name="new", text=b"new"):
    return tar(directory("d"), file(f"d/{name}", text))


def cuts(data):
    """Every byte of the first header and of the end, and each block between."""
    return sorted(
        {*range(1, 530, 7), *range(512, len(data), 512), *range(len(data) - 60, len(data))}
    )


@pytest.mark.parametrize("how", ["none", "gzip", "zstd"])
def test_a_tar_that_is_cut_short_leaves_the_layer_as_it_was(storage, how):
    data = archive()
    whole = compress(data, how)
    layer = storage.layers.put(io.BytesIO(archive("old", b"old")), names=["mine"])
    before = shown(storage, "mine")
    refused = 0
    positions = [at for at in cuts(whole) if at < len(whole)]
    content = -(-len(data.rstrip(b"\0")) // 512) * 512 if how == "none" else len(whole)
    for at in positions:
        row = storage.layers.get("mine")
        try:
            storage.layers.apply_diff("mine", io.BytesIO(whole[:at]))
        except OrlopError:
            refused += 1
            assert storage.layers.get("mine") == row
        else:
            # One of the two blocks that end it is there.
            assert at >= content + 512, at
            storage.layers.delete("mine")
            storage.layers.put(io.BytesIO(archive("old", b"old")), names=["mine"])
    assert refused > 0
    assert shown(storage, "mine") == before
    assert storage.check(max_age=0).damaged == ()
    collect(storage)
    assert storage.check(max_age=0).findings == ()
    assert layer.diff_id == storage.layers.get("mine").diff_id


def test_a_parent_that_vanished_is_told_by_everything(storage, base, written, forget):
    forget("DELETE FROM layers WHERE id = ?", base.id)
    actions = (
        lambda: storage.layers.mount(written.id),
        lambda: storage.layers.diff(written.id, "written").read(),
        lambda: storage.layers.put(io.BytesIO(archive()), written.id),
        lambda: storage.layers.apply_diff(written.id, io.BytesIO(archive())),
    )
    for action in actions:
        with pytest.raises(InvalidError, match="is missing") as caught:
            action()
        assert "orlop check" in caught.value.hint
    storage.layers.delete(written.id)


def test_two_at_one_layer(storage, opened):
    """One mounts it while another applies a tar to it, many times: both find it whole."""
    layer = storage.layers.put(io.BytesIO(archive("first", b"0")), names=["shared"])
    failures, texts = [], {b"%d" % n for n in range(12)}

    def read():
        with opened() as other:
            for _ in range(12):
                try:
                    found = shown(other, "shared")
                except InUseError:
                    continue
                if found.get("d/first") not in texts or len(found) != 1:
                    failures.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(12):
        try:
            storage.layers.apply_diff("shared", io.BytesIO(archive("first", b"%d" % number)))
        except InUseError:
            continue
    reader.join()
    assert failures == []
    assert storage.check().damaged == ()
    assert layer.id == storage.layers.resolve("shared")


def test_a_read_only_store(store, storage, places, full):
    storage.images.create("base", id="made")
    with orlop.open_store(places.root, places.run, read_only=True, driver="vfs") as reader:
        objects = reader.storage
        assert objects.check().findings == ()
        assert shown_by_diff(objects, "base") == shown_by_diff(storage, "base")
        assert objects.containers.get("web") == storage.containers.get("web")
        for action in (
            objects.layers.create,
            lambda: objects.layers.put(io.BytesIO(archive())),
            lambda: objects.layers.apply_diff("written", io.BytesIO(archive())),
            lambda: objects.layers.delete("written"),
            lambda: objects.layers.set_metadata("base", "x"),
            lambda: objects.layers.data.put("base", "new", b"x"),
            lambda: objects.layers.data.delete("base", "notes"),
            lambda: objects.containers.create("box"),
            lambda: objects.containers.delete("web"),
            lambda: objects.containers.commit("web", "localhost/x:1"),
            lambda: objects.images.create("base"),
            lambda: objects.images.delete("made"),
            objects.wipe,
        ):
            with pytest.raises(OSError, match="Read-only"):
                action()
    assert storage.check(max_age=0).findings == ()


def shown_by_diff(storage, layer):
    with storage.layers.diff(layer) as stream:
        return stream.read()
