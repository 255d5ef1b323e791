"""What killed processes leave: a check tells it, and a collection and a repair remove it."""

import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orlop.metadata import Layers, Lease
from orlop.storage.collect import collect
from orlop.storage.leftovers import EMPTY_LOWER, iter_leftovers, remove_leftover
from orlop.storage.places import Places
from orlop.storage.staging import staging_directory
from orlop.storage.storage import Storage


def found(report):
    return [(each.damage, each.subject, each.remedy) for each in report.findings]


@pytest.fixture(params=["collect", "repair"])
def clean(storage, request):
    """What takes leftovers away."""
    return (lambda: collect(storage)) if request.param == "collect" else storage.repair


@pytest.mark.parametrize("kind", ["layer", "image", "container"])
@pytest.mark.parametrize("run", [False, True])
def test_a_directory_of_nothing(storage, places, clean, kind, run):
    place = places.run_directory(kind, "gone") if run else places.object(kind, "gone")
    (place / "below").mkdir(parents=True)
    (place / "below/file").write_text("x")
    report = storage.check()
    assert found(report) == [("leftover", "file", "remove")]
    assert report.damaged == ()
    assert report.findings[0].path == str(place)
    clean()
    assert storage.check().findings == ()
    assert not place.exists()
    assert list(places.trash.iterdir()) == []


def test_directories_of_what_is_recorded_stay(storage, full, container, image, clean):
    (storage.containers.directory("web") / "mine").write_text("x")
    (storage.containers.run_directory("web") / "mine").write_text("x")
    (storage.images.directory("box") / "mine").write_text("x")
    (storage.images.run_directory("box") / "mine").write_text("x")
    assert storage.check().findings == ()
    clean()
    for directory in (storage.containers.directory, storage.containers.run_directory):
        assert (directory("web") / "mine").read_text() == "x"
    for directory in (storage.images.directory, storage.images.run_directory):
        assert (directory("box") / "mine").read_text() == "x"


def test_directories_of_a_store_that_shares_run_stay(storage, places, tmp_path, clean):
    with Storage.open(Places(tmp_path / "second", places.run), driver="vfs") as second:
        made = second.containers.create()
        path = second.containers.run_directory(made.id)
        assert storage.check().findings == ()
        clean()
        assert path.is_dir()


def test_data_without_a_record_stays_for_a_day(storage, places, base, clean):
    folder = places.object("layer", base.id) / "data"
    (folder / "stray").write_bytes(b"x")
    assert storage.check().findings == ()
    assert found(storage.check(max_age=0)) == [("leftover", "file", "remove")]
    clean()
    assert (folder / "stray").exists()
    assert storage.repair(max_age=0).left.findings == ()
    assert not (folder / "stray").exists()
    assert storage.layers.data.get("base", "notes") == b"some notes"


def test_staging_of_a_lease_that_is_over(storage, places, clean):
    (places.staging / "no-such-lease-1-2/below").mkdir(parents=True)
    with Lease(storage.database, "test") as lease, staging_directory(places, lease.id) as path:
        assert [each.id for each in storage.check().findings] == [
            str(places.staging / "no-such-lease-1-2")
        ]
        clean()
        assert list(places.staging.iterdir()) == [path]
        assert storage.check().findings == ()


def test_what_got_a_record_meanwhile_stays(storage, places):
    """Between the look and the removal somebody made a layer of that very ID."""
    (places.layer("mine") / "tree").mkdir(parents=True)
    paths = list(iter_leftovers(storage))
    assert paths == [places.layer("mine")]
    storage.layers.create(id="mine")
    assert not remove_leftover(storage, paths[0])
    assert (places.layer("mine") / "tree").is_dir()


@pytest.mark.parametrize("gone", [False, True])
def test_a_directory_of_another_filesystem_that_others_may_remove(storage, places, gone):
    """The kernel says so of a rename before it looks whether there is anything."""
    memory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    if memory.stat().st_dev == places.root.stat().st_dev:
        pytest.skip("/dev/shm is on the filesystem of the tests")
    try:
        places.run.parent.mkdir(exist_ok=True)
        places.run.symlink_to(memory)
        place = places.run_directory("container", "gone")
        (place / "below").mkdir(parents=True)
        if gone:
            shutil.rmtree(place)
        assert remove_leftover(storage, place)
        assert list(place.parent.iterdir()) == []
    finally:
        shutil.rmtree(memory)


def test_data_that_was_recorded_meanwhile_stays(storage, places, base):
    folder = places.object("layer", base.id) / "data"
    recorded = next(folder.iterdir())
    assert not remove_leftover(storage, recorded)
    assert recorded.exists()


def test_the_lower_of_layers_without_parents_is_nobodys(storage, places, clean):
    """No ID can be its name: `empty` is a layer like any other."""
    (places.root / "layers" / EMPTY_LOWER).mkdir()
    layer = storage.layers.create(id="empty")
    assert places.layer(layer.id) != places.root / "layers" / EMPTY_LOWER
    assert storage.check().findings == ()
    clean()
    storage.layers.delete("empty")
    assert (places.root / "layers" / EMPTY_LOWER).is_dir()


def test_orphans_of_images_are_forgotten(storage, store, image):
    storage.images.set_metadata("box", "a note")
    storage.images.data.put("box", "item", b"item")
    storage.images.add_names("box", ["docker.io/library/second:1"])
    for name in ("docker.io/library/box:latest", "docker.io/library/second:1"):
        store.untag(name)
    assert {(each.damage, each.subject) for each in storage.check().findings} == {
        ("leftover", "name"), ("leftover", "data"), ("leftover", "file"),
    }  # fmt: skip
    store.collect()
    assert storage.check().findings == ()
    with storage.database.read() as tx:
        for table in ("stored_images", "big_data", "name_history"):
            assert tx.rows(f"SELECT * FROM {table}") == []
    assert os.listdir(storage.places.root / "images") == []


def test_frozen_layers_are_thawed(storage, places, written):
    place = places.layer(written.id) / "tree"
    with storage.database.write() as tx:
        tx.execute("UPDATE layers SET frozen = 1 WHERE id = ?", (written.id,))
    assert place.is_dir()
    collect(storage)
    assert not place.exists()
    with storage.database.read() as tx:
        assert tx.row("SELECT frozen FROM layers WHERE id = ?", (written.id,)) == (0,)


def test_a_dry_run_tells_and_removes_nothing(storage, places):
    (places.layer("gone") / "diff").mkdir(parents=True)
    (places.layer("gone") / "diff/file").write_bytes(b"x" * 5000)
    planned = collect(storage, dry_run=True)
    assert [(item.kind, item.key) for item in planned.items] == [("leftover", "layers/gone")]
    assert planned.size >= 5000
    assert places.layer("gone").is_dir()
    freed = collect(storage)
    assert freed.items == planned.items


def test_old_names_in_the_trash_are_no_damage(storage, places):
    (places.trash / f"layer-x-{time.time_ns()}").mkdir()
    assert storage.check().damaged == ()
    collect(storage)
    assert list(places.trash.iterdir()) == []


def test_a_frozen_mark_whose_directory_is_gone_goes(storage, base):
    """Whoever removed the directory was killed before it said so."""
    with storage.database.write() as tx:
        Layers(tx).replace(replace(Layers(tx).get(base.id), frozen=True))
    assert found(storage.check()) == [("leftover", "layer", "remove")]
    collect(storage)
    assert found(storage.check()) == []
