"""Blobs: missing, cut short, with other bytes, without a record; and what mends them."""

import shutil
from pathlib import Path

import pytest

from orlop.digest import Digest
from orlop.metadata import Blobs, Forms, Lease
from orlop.metadata.content import LeasedContent
from orlop.storage.collect import collect
from orlop.store import Store
from support.images import file, tar


def spoil(path, how, flip):
    if how == "missing":
        path.unlink()
    elif how == "size":
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1])
    else:
        flip(path)


def config_of(image):
    return image.manifest.config.digest


def found(report):
    return [(each.damage, each.subject) for each in report.damaged]


def test_a_store_with_one_of_everything_is_sound(storage, full):
    report = storage.check()
    assert report.findings == ()
    assert report.looked == {
        "file": 0, "note": 0, "name": 3, "mount": 0, "blob": 5, "image": 2, "layer": 5,
        "form": 3, "chain": 1, "data": 2,
    }  # fmt: skip
    assert storage.check(quick=True).findings == ()


def test_nothing_is_sound(storage):
    assert storage.check().findings == ()
    assert storage.repair().left.findings == ()


@pytest.mark.parametrize("how", ["missing", "size", "digest"])
@pytest.mark.parametrize("part", ["target", "config", "layer"])
def test_a_blob_of_an_image(storage, places, image, flip, how, part):
    digest = {
        "target": image.manifest_digest,
        "config": config_of(image),
        "layer": image.manifest.layers[0].digest,
    }[part]
    spoil(places.blob(digest), how, flip)
    report = storage.check()
    assert found(report) == [(how, "blob")]
    assert report.damaged[0].id == digest
    assert report.damaged[0].remedy == "fetch"
    assert report.damaged[0].path == str(places.blob(digest))
    quick = found(storage.check(quick=True))
    assert quick == ([] if how == "digest" else [(how, "blob")])
    repaired = storage.repair()
    assert found(repaired.left) == [(how, "blob")]
    assert "--fetch" in repaired.failed[0][1]
    assert repaired.mended == repaired.removed == ()


@pytest.mark.parametrize("how", ["missing", "size", "digest"])
def test_a_blob_that_is_a_tar_too_is_made_from_that(storage, places, base, flip, how):
    """The two are one file: what was copied since is another."""
    blob, form = places.blob(base.diff_id), places.form(base.diff_id) / "tar"
    shutil.copyfile(form, form.with_name("copy"))
    form.with_name("copy").rename(form)
    spoil(blob, how, flip)
    assert [each.remedy for each in storage.check().damaged] == ["rebuild"]
    repaired = storage.repair()
    assert [each.damage for each in repaired.mended] == [how]
    assert repaired.left.findings == ()
    assert Digest.of(blob.read_bytes()) == base.diff_id


def test_both_names_of_a_tar_are_damaged_together(storage, places, base, flip):
    flip(places.blob(base.diff_id))
    report = storage.check()
    assert found(report) == [("digest", "blob"), ("digest", "form")]
    repaired = storage.repair()
    assert found(repaired.left) == found(report)


def test_an_additional_store_has_it(places, other, opened, layout, image, flip):
    with Store(other) as twin:
        twin.pull(layout.source, tag="box", driver="erofs")
    flip(places.blob(image.manifest.layers[0].digest))
    with opened(other) as both:
        assert [each.remedy for each in both.check().damaged] == ["rebuild"]
        assert both.repair().left.findings == ()


def test_what_nothing_needs_is_removed(storage, places, flip):
    with Lease(storage.database, "test") as lease:
        digest = LeasedContent(storage.content, storage.database, lease).put(b"garbage")
    flip(places.blob(digest))
    assert found(storage.check()) == []
    assert [each.remedy for each in storage.check().leftovers] == ["remove"]
    assert storage.repair().left.findings == ()
    assert not places.blob(digest).exists()
    with storage.database.read() as tx:
        assert Blobs(tx).get(digest) is None


def test_a_blob_without_a_record_is_left_behind(storage, places, kinds):
    path = places.blob(Digest.of(b"stray"))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"stray")
    assert kinds(storage.check()) == [("leftover", "blob", "remove")]
    assert storage.check().damaged == ()
    assert storage.repair().left.findings == ()
    assert not path.exists()
    assert list(places.trash.iterdir()) == []


def test_a_blob_on_its_way_is_none(storage, places):
    digest = Digest.of(b"coming")
    path = places.blob(digest)
    path.parent.mkdir(exist_ok=True)
    with Lease(storage.database, "test") as lease:
        lease.hold("blob", digest)
        path.write_bytes(b"coming")
        assert storage.check().findings == ()
        assert storage.repair().mended == ()
        assert path.exists()


def test_force_forgets_a_damaged_layer_whose_files_are_here(storage, places, image, flip):
    """The image can be mounted still, and pulled again to be whole: it stays."""
    digest = image.manifest.layers[0].digest
    flip(places.blob(digest))
    repaired = storage.repair(force=True)
    assert repaired.removed == (f"blob {digest}",)
    assert [(each.damage, each.subject) for each in repaired.left.findings] == [
        ("missing", "image")
    ]
    assert image.read("/etc/hostname") == b"box\n"


def test_pulling_again_makes_it_whole(store, storage, places, layout, image, flip):
    flip(places.blob(image.manifest.layers[0].digest))
    storage.repair(force=True)
    store.pull(layout.source, tag="box", driver="erofs")
    assert storage.check().findings == ()


@pytest.mark.parametrize("part", ["target", "config"])
def test_force_removes_an_image_that_is_lost(store, storage, places, image, flip, part):
    flip(places.blob(image.manifest_digest if part == "target" else config_of(image)))
    repaired = storage.repair(force=True)
    assert f"image {image.name}" in repaired.removed
    assert repaired.left.damaged == ()
    assert store.images() == []


def test_a_container_keeps_its_files_when_its_image_is_lost(
    storage, places, image, container, flip
):
    for path in (places.blob(image.manifest_digest), places.blob(config_of(image))):
        flip(path)
    repaired = storage.repair(force=True)
    assert repaired.left.damaged == ()
    assert not any(each.startswith("container") for each in repaired.removed)
    with storage.containers.mount("web") as path:
        assert Path(path, "etc/hostname").read_bytes() == b"box\n"


def test_a_layer_that_is_unpacked_from_its_blob_when_needed_is_not_lost(store, storage, image):
    """The image lacks a blob of its base, whose files are here; its own layer is here as a blob."""
    image.edit().append(tar(file("precious", b"mine"))).save("made:1")
    own = store.image("made:1").config.diff_ids[-1]
    shutil.rmtree(storage.places.form(own))
    with storage.database.write() as tx:
        Forms(tx).delete(own)
    storage.places.blob(image.manifest.layers[0].digest).unlink()
    repaired = storage.repair(force=True)
    assert not [each for each in repaired.removed if each.startswith("image")]
    assert store.image("made:1").read("precious") == b"mine"
    collect(storage)
    assert store.image("made:1").read("precious") == b"mine"
