"""Images of a store while they are copied out of it."""

import pytest

import orlop
from orlop.errors import InvalidReferenceError, NotFoundError
from orlop.store.sources import open_stored
from support.images import ImageBuilder, file


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as opened:
        yield opened


@pytest.fixture
def layout(tmp_path):
    return ImageBuilder(compression="gzip").layer(file("a")).write(tmp_path / "from", "v1")


def digests(layout):
    return {layout.manifest["digest"], *(layer["digest"] for layer in layout.layers)}


def stored(store):
    return set(map(str, store.content().iter_digests()))


def test_what_is_being_copied_is_not_collected(store, layout):
    store.pull(layout.source, tag="app:1")
    with open_stored(store.storage, ["app:1"]) as images:
        store.remove("app:1")
        store.collect()
        assert digests(layout) <= stored(store)
        assert images[0].source.read(images[0].source.resolve())
    store.collect()
    assert not digests(layout) & stored(store)


def test_names_of_one_image_are_joined(store, layout, tmp_path):
    store.pull(layout.source, tag="app:1")
    store.tag("app:1", "app:2")
    other = ImageBuilder().layer(file("b")).write(tmp_path / "other", "v1")
    store.pull(other.source, tag="other:1")
    with open_stored(store.storage, ["app:2", "other:1", "app:1", "app:2"]) as images:
        names = [[name.rpartition("/")[2] for name in image.names] for image in images]
    assert names == [["app:2", "app:1"], ["other:1"]]


def test_what_is_not_there(store, tmp_path):
    with pytest.raises(NotFoundError, match="app:1"), open_stored(store.storage, ["app:1"]):
        pass
    assert list(store.leases.list()) == []
    with pytest.raises(InvalidReferenceError, match="is one image"):
        orlop.copy_all("store:app:1", f"oci:{tmp_path}/to", store=store)
