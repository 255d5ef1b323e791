"""Layers, images, containers, names and big data: records that name what is not there."""

import io
import shutil
from pathlib import Path

import pytest

from orlop.digest import Digest
from orlop.errors import NotFoundError
from orlop.metadata import Layers
from support.images import file, tar


def found(report):
    return [(each.damage, each.subject, each.remedy) for each in report.findings]


def ids(report):
    return {each.id for each in report.findings}


def test_a_parent_that_vanished(storage, base, written, forget):
    forget("DELETE FROM layers WHERE id = ?", base.id)
    report = storage.check()
    assert ("reference", "layer", "force") in found(report)
    assert f"stands on layer {base.id}, which is not there" in report.damaged[0].what
    repaired = storage.repair()
    assert ids(repaired.left) >= {written.id}
    repaired = storage.repair(force=True)
    assert repaired.removed == (f"layer {written.id}",)
    assert repaired.left.findings == ()


def test_a_parent_that_came_with_an_image_is_recorded_again(storage, image, container, forget):
    layers = storage.layers.list()
    below = next(layer for layer in layers if layer.pulled and layer.parent is None)
    forget("DELETE FROM layers WHERE id = ?", below.id)
    assert found(storage.check()) == [("reference", "layer", "rebuild")]
    assert storage.repair().left.findings == ()
    with storage.containers.mount("web") as path:
        assert Path(path, "etc/hostname").read_bytes() == b"box\n"


def test_layers_of_an_image_are_recorded_again(storage, image, forget):
    forget("DELETE FROM layers")
    assert ("reference", "image", "rebuild") in found(storage.check())
    assert storage.repair().left.findings == ()
    assert len(storage.layers.list()) == 2


def test_a_tar_that_is_here_in_no_form(storage, places, base, written, image, forget):
    """It goes with all that stands on it, and nothing else does."""
    made = storage.images.create("written", names=["made"])
    on_it = storage.containers.create(layer="written")
    forget("DELETE FROM forms WHERE diff_id = ?", base.diff_id)
    forget("DELETE FROM blobs WHERE digest = ?", base.diff_id)
    shutil.rmtree(places.form(base.diff_id))
    places.blob(base.diff_id).unlink()
    assert found(storage.check()) == [("missing", "layer", "fetch")]
    repaired = storage.repair()
    assert found(repaired.left) == [("missing", "layer", "fetch")]
    assert len(storage.layers.list()) == 5
    repaired = storage.repair(force=True)
    assert set(repaired.removed) == {
        f"layer {base.id}", f"layer {written.id}", f"image {made.id}", f"container {on_it.id}",
    }  # fmt: skip
    assert repaired.left.findings == ()
    assert len(storage.layers.list()) == 2
    assert image.read("/etc/motd") == b"hello\n"


def test_a_tar_without_a_form_is_sound_while_a_blob_is_here(storage, places, base, forget):
    forget("DELETE FROM forms WHERE diff_id = ?", base.diff_id)
    shutil.rmtree(places.form(base.diff_id))
    assert storage.check().findings == ()


def test_a_container_without_its_layer(storage, image, container, forget):
    forget("DELETE FROM layers WHERE id = ?", container.layer)
    report = storage.check()
    assert ("reference", "container", "force") in found(report)
    assert storage.repair().removed == ()
    repaired = storage.repair(force=True)
    assert repaired.removed == (f"container {container.id}",)
    assert repaired.left.findings == ()
    with pytest.raises(NotFoundError):
        storage.containers.get("web")


def test_a_container_whose_image_is_gone(storage, base, forget):
    storage.images.create("base", id="a1")
    made = storage.containers.create("a1")
    forget("DELETE FROM stored_images")
    assert found(storage.check()) == [("reference", "container", "remove")]
    assert storage.repair().left.findings == ()
    assert storage.containers.get(made.id).image == ""


def test_a_container_does_not_need_the_names_of_its_image(store, storage, image, container):
    store.remove("box", force=True)
    store.collect()
    assert storage.check().findings == ()


def test_an_image_without_its_top_layer(storage, base, forget):
    storage.images.create("base", id="a1", names=["one"])
    forget("DELETE FROM layers")
    forget("DELETE FROM big_data")
    assert set(found(storage.check())) == {
        ("leftover", "name", "remove"),
        ("reference", "image", "force"),
        ("leftover", "file", "remove"),
    }
    assert found(storage.repair().left) == [("reference", "image", "force")]
    repaired = storage.repair(force=True)
    assert repaired.removed == ("image a1",)
    assert repaired.left.findings == ()


def test_edges_that_are_lost(store, storage, image, forget):
    """A collection would free what the manifest names."""
    forget("DELETE FROM edges")
    report = storage.check()
    assert found(report) == [("reference", "image", "rebuild")]
    assert storage.repair().left.findings == ()
    assert store.collect().blobs == 0


def test_a_directory_below_a_tar(storage, base, forget):
    """No step of orlop leaves it; a database that was put back might."""
    middle = storage.layers.create("base", names=["middle"])
    top = storage.layers.put(io.BytesIO(tar(file("top", b"top"))), "middle", names=["top"])
    with storage.database.write() as tx:
        row = Layers(tx).get(middle.id)
        tx.execute("UPDATE layers SET diff_id = NULL, chain_id = NULL WHERE id = ?", (row.id,))
    place = storage.places.layer(middle.id) / "tree"
    place.mkdir(parents=True)
    (place / "middle").write_text("middle")
    (place.parent / "copied").touch()
    assert found(storage.check()) == [("form", "layer", "rebuild")]
    repaired = storage.repair()
    assert repaired.left.findings == ()
    chain = storage.layers.get("top").chain_id
    assert chain not in {None, top.chain_id}
    with storage.layers.diff("middle") as stream:
        assert b"middle" in stream.read()


def test_a_chain_id_that_does_not_fit(storage, base, forget):
    forget("UPDATE layers SET chain_id = ? WHERE id = ?", Digest.of(b"other"), base.id)
    assert found(storage.check()) == [("mismatch", "layer", "rebuild")]
    assert storage.repair().left.findings == ()
    assert storage.layers.get("base").chain_id == base.chain_id


def test_a_directory_that_was_written_to_is_gone(storage, places, kinds):
    layer = storage.layers.create()
    (places.layer(layer.id) / "work").mkdir(parents=True)
    assert kinds(storage.check()) == [("missing", "layer", "force")]
    assert kinds(storage.repair().left) == [("missing", "layer", "force")]
    assert storage.repair(force=True).left.findings == ()
    assert storage.layers.has(layer.id)


def test_the_directory_of_a_frozen_layer(storage, places, written, kinds):
    storage.layers.put(io.BytesIO(tar(file("top", b"top"))), "written")
    place = places.layer(written.id) / "tree"
    place.mkdir(parents=True, exist_ok=True)
    with storage.database.write() as tx:
        tx.execute("UPDATE layers SET frozen = 1 WHERE id = ?", (written.id,))
    assert kinds(storage.check()) == [("leftover", "layer", "remove")]
    assert storage.repair().left.findings == ()
    assert not place.exists()


@pytest.mark.parametrize("how", ["missing", "size", "digest"])
@pytest.mark.parametrize("kind", ["layer", "container", "image"])
def test_big_data(storage, places, base, image, container, flip, how, kind):
    stored = {
        "layer": storage.layers, "container": storage.containers, "image": storage.images
    }[kind]  # fmt: skip
    key = {"layer": base.id, "container": container.id, "image": image.id.encoded}[kind]
    stored.data.put(key, "item", b"0123456789")
    path = next(
        each
        for each in (places.object(kind, key) / "data").iterdir()
        if each.read_bytes() == b"0123456789"
    )
    if how == "missing":
        path.unlink()
    elif how == "size":
        path.write_bytes(b"0")
    else:
        flip(path)
    report = storage.check()
    assert found(report) == [(how, "data", "force")]
    assert report.damaged[0].id == f"{kind} {key} item"
    assert bool(storage.check(quick=True).findings) == (how != "digest")
    assert found(storage.repair().left) == [(how, "data", "force")]
    repaired = storage.repair(force=True)
    assert repaired.removed == (f"data item of {kind} {key}",)
    assert repaired.left.findings == ()
    assert not path.exists()


def test_names_of_nothing(storage, written, forget):
    forget("UPDATE object_names SET id = 'gone' WHERE name = 'written'")
    report = storage.check()
    assert found(report) == [("leftover", "name", "remove")]
    assert "the name 'written' is that of layer gone" in report.findings[0].what
    assert storage.repair().left.findings == ()
    storage.layers.add_names(written.id, ["written"])


def test_data_and_notes_of_nothing(storage, forget):
    forget("INSERT INTO big_data VALUES ('container', 'gone', 'a', 'f', 1, ?)", Digest.of(b""))
    forget(
        "INSERT INTO stored_images (id, made, platform, size, metadata, flags, created_at_ns)"
        " VALUES ('noted', 0, '', 0, 'x', '{}', 0)"
    )
    assert found(storage.check()) == [
        ("leftover", "name", "remove"), ("leftover", "data", "remove"),
    ]  # fmt: skip
    assert storage.repair().left.findings == ()


def test_an_additional_store_is_looked_through(other, opened):
    from orlop.storage.storage import Storage

    with Storage.open(other, driver="vfs") as below:
        layer = below.layers.put(io.BytesIO(tar(file("a", b"a"))))
    with opened(other) as both:
        both.layers.create(layer.id)
        both.containers.create(layer=layer.id)
        assert both.check().findings == ()
    with opened() as alone:
        assert {each.damage for each in alone.check().findings} == {"reference"}
