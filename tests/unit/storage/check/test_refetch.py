"""Blobs fetched again from the registry that an image's name says."""

import pytest

from orlop.digest import Digest
from orlop.registry import RegistryOptions
from orlop.testing import faults
from orlop.testing.registry import FaultyRegistry
from orlop.transfer import SourceOptions
from support.images import ImageBuilder, directory, file

OPTIONS = SourceOptions(registry=RegistryOptions(sleep=lambda seconds: None))


@pytest.fixture
def registry():
    with FaultyRegistry() as registry:
        yield registry


@pytest.fixture
def image(store, registry, tmp_path):
    builder = ImageBuilder().layer(directory("etc"), file("etc/a", b"a" * 9000))
    layout = builder.layer(file("b", b"b" * 9000)).write(tmp_path / "served")
    for path in (layout.path / "blobs/sha256").iterdir():
        registry.put_blob("app", path.read_bytes())
    raw = layout.blob(layout.manifest).read_bytes()
    registry.put_manifest("app", raw, layout.manifest["mediaType"], "1")
    return store.pull(str(registry.reference("app", "1")), driver="erofs", options=OPTIONS)


def blobs_of(image):
    manifest = image.manifest
    return {
        "manifest": image.manifest_digest,
        "config": manifest.config.digest,
        "first layer": manifest.layers[0].digest,
        "second layer": manifest.layers[1].digest,
    }


PARTS = ["manifest", "config", "first layer", "second layer"]


@pytest.mark.parametrize("how", ["missing", "digest", "forgotten"])
@pytest.mark.parametrize("part", PARTS)
def test_each_blob(store, places, image, flip, forget, how, part):
    digest = blobs_of(image)[part]
    before = places.blob(digest).read_bytes()
    if how == "digest":
        flip(places.blob(digest))
    else:
        places.blob(digest).unlink()
    if how == "forgotten":
        forget("DELETE FROM blobs WHERE digest = ?", digest)
    assert store.check().damaged != ()
    repaired = store.repair(fetch=True, options=OPTIONS)
    assert repaired.left.findings == ()
    assert repaired.failed == ()
    assert places.blob(digest).read_bytes() == before
    assert store.image(image.name).read("/b") == b"b" * 9000
    assert store.collect().blobs == 0


def test_all_of_them(store, places, image, forget):
    digests = blobs_of(image).values()
    for digest in digests:
        places.blob(digest).unlink()
    repaired = store.repair(fetch=True, options=OPTIONS)
    assert repaired.left.findings == ()
    for digest in digests:
        assert Digest.of(places.blob(digest).read_bytes()) == digest


def test_nothing_is_fetched_unless_it_is_allowed(store, registry, image, places):
    places.blob(blobs_of(image)["config"]).unlink()
    asked = len(registry.seen)
    assert store.repair().left.damaged != ()
    assert store.repair(force=False, options=OPTIONS).left.damaged != ()
    assert len(registry.seen) == asked


def test_a_registry_that_gives_something_else(store, registry, image, places, flip):
    digest = blobs_of(image)["first layer"]
    damaged = flip(places.blob(digest)) or places.blob(digest).read_bytes()
    registry.fail("blob", faults.other_bytes)
    repaired = store.repair(fetch=True, options=OPTIONS)
    assert [each.id for each in repaired.left.damaged] == [digest]
    assert places.blob(digest).read_bytes() == damaged
    registry.heal()
    assert store.repair(fetch=True, options=OPTIONS).left.findings == ()


def test_a_registry_that_cannot_be_reached(store, registry, image, places, flip):
    flip(places.blob(blobs_of(image)["first layer"]))
    registry.fail("blob", faults.status(500))
    registry.fail("manifest", faults.status(500))
    repaired = store.repair(fetch=True, force=True, options=OPTIONS)
    assert repaired.removed == ()
    assert "500" in repaired.failed[0][1]


def test_an_image_of_no_registry(store, registry, image, places, flip):
    store.tag(image.name, "localhost/mine:1")
    store.untag(image.name)
    flip(places.blob(blobs_of(image)["first layer"]))
    asked = len(registry.seen)
    repaired = store.repair(fetch=True, options=OPTIONS)
    assert "no image that needs" in repaired.failed[0][1]
    assert len(registry.seen) == asked
