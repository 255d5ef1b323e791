"""Images as top layers with data beside them: named, found, published, deleted."""

import json

import pytest

import orlop
from orlop.digest import Digest, chain_id
from orlop.errors import (
    AlreadyExistsError,
    AmbiguousError,
    InUseError,
    InvalidReferenceError,
    LimitExceededError,
    NotFoundError,
    UnsupportedError,
)
from orlop.storage.naming import MAX_NAMES
from support.images import ImageBuilder, directory, file

NAME = "docker.io/library/box:latest"


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        yield store


@pytest.fixture
def layout(tmp_path):
    builder = ImageBuilder(config={"author": "them", "config": {"Cmd": ["sh"]}})
    builder.layer(directory("d"), file("d/a", b"a")).layer(file("b", b"b"))
    return builder.write(tmp_path / "layout", tag="box")


@pytest.fixture
def pulled(store, layout):
    """An image that was pulled, as it is stored."""
    store.pull(layout.source, tag="box", driver="directory")
    return store.stored_images.get("box")


def test_a_pulled_image_is_one_of_these(store, pulled, layout):
    assert pulled.names == (NAME,)
    assert pulled.pulled
    assert pulled.layer == chain_id(map(Digest, layout.diff_ids)).encoded
    assert pulled.digest == layout.manifest["digest"]
    for key in (pulled.id, pulled.id[:7], NAME, "box", f"sha256:{pulled.id}"):
        assert store.stored_images.resolve(key) == pulled.id
    assert store.stored_images.by_layer(pulled.layer) == (pulled,)
    assert store.stored_images.list() == (pulled,)
    assert store.stored_images.size("box") > 0


def test_without_its_last_name_it_is_kept(store, pulled, layout):
    nameless = store.stored_images.remove_names("box", [NAME, "another"])
    assert (nameless.names, nameless.pulled, nameless.layer) == ((), True, pulled.layer)
    assert nameless.names_history == ()
    assert store.images() == []
    store.collect(unfinished=True)
    again = store.stored_images.add_names(pulled.id, ["docker.io/library/other:2", NAME])
    assert set(again.names) == {NAME, "docker.io/library/other:2"}
    assert store.image("other:2").read("/d/a") == b"a"
    assert store.image("box").target.digest == layout.manifest["digest"]
    assert [each.name for each in store.images()] == [NAME, "docker.io/library/other:2"]
    for name in again.names:
        store.remove(name)
    with pytest.raises(NotFoundError):  # names that `remove` takes do not leave it behind
        store.stored_images.get(pulled.id)


def test_notes_about_a_pulled_image_stay_with_it(store, pulled):
    store.stored_images.set_metadata("box", "noted")
    store.tag("box", "more:1")
    store.stored_images.set_names("box", [])
    store.stored_images.set_names(pulled.id, [NAME])
    assert store.stored_images.get("box").metadata == "noted"


def test_names_move(store, pulled):
    own = store.stored_images.create(names=["mine"])
    moved = store.stored_images.add_names("mine", [NAME])
    assert moved.names == ("mine", NAME)
    assert store.images() == []
    with pytest.raises(NotFoundError):
        store.stored_images.get(pulled.id)  # its last name went to another
    with pytest.raises(AlreadyExistsError):
        store.stored_images.create(names=["mine"])
    assert store.stored_images.set_names(own.id, ["third"]).names == ("third",)
    assert store.stored_images.get("third").names_history == ("third", NAME, "mine")
    with pytest.raises(LimitExceededError, match="MAX_NAMES"):
        store.stored_images.add_names("third", map(str, range(MAX_NAMES)))


def test_a_tag_takes_the_name_of_an_image_that_was_made(store, pulled):
    own = store.stored_images.create(names=["docker.io/library/mine:latest", "mine"])
    store.tag("box", "mine")
    assert store.stored_images.get(own.id).names == ("mine",)
    assert store.stored_images.resolve("docker.io/library/mine:latest") == pulled.id


def test_an_id_that_says_something_else(store, layout):
    """Nobody gets another layer for the image's because somebody chose its ID."""
    top = chain_id(map(Digest, layout.diff_ids)).encoded
    store.layers.create(id=top)
    with pytest.raises(AlreadyExistsError, match=top):
        store.pull(layout.source, tag="box", driver="directory")
    assert store.images() == []
    store.layers.delete(top)
    store.pull(layout.source, tag="box", driver="directory")


def test_digests(store, pulled, layout):
    images = store.stored_images
    said = Digest.of(b"said")
    own = images.create(digest=said)
    assert images.by_digest(said) == (own,)
    assert images.by_digest(Digest(layout.manifest["digest"])) == (pulled,)
    raw = layout.blob(layout.manifest).read_bytes()
    images.data.put(own.id, "manifest-two", raw)
    images.data.put(own.id, "signature", b"other")
    assert {each.id for each in images.by_digest(Digest.of(raw))} == {own.id, pulled.id}
    assert images.by_digest(Digest.of(b"other")) == ()
    assert images.get(own.id).digests == (said, Digest.of(raw))
    images.data.delete(own.id, "manifest-two")
    assert images.by_digest(Digest.of(raw)) == (pulled,)


def test_the_documents_are_among_the_data(store, pulled, layout):
    data = store.stored_images.data
    manifest = layout.blob(layout.manifest).read_bytes()
    assert data.get("box", "manifest") == manifest
    assert data.get("box", f"manifest-{layout.manifest['digest']}") == manifest
    config = json.loads(data.get("box", f"sha256:{pulled.id}"))
    assert config["author"] == "them"
    with pytest.raises(UnsupportedError, match="document"):
        data.delete("box", "manifest")
    data.put("box", "manifest", b"another")  # hides it, and can be taken away again
    assert data.get("box", "manifest") == b"another"
    data.delete("box", "manifest")
    assert data.get("box", "manifest") == manifest


def layers(store):
    return {each.id for each in store.layers.list()}


def test_deleting_takes_the_layers_that_nobody_needs(store, pulled):
    below = store.layers.get(pulled.layer).parent
    images = store.stored_images
    kept = images.create(below)
    assert images.delete("box", dry_run=True) == (pulled.layer,)
    assert layers(store) == {pulled.layer, below}
    assert images.delete("box") == (pulled.layer,)
    assert layers(store) == {below}
    assert images.list() == (kept,)
    assert images.delete(kept.id) == (below,)
    assert (layers(store), images.list()) == (set(), ())
    assert store.images() == []


def test_layers_that_are_needed_stay(store):
    base = store.layers.create()
    top = store.layers.create(base.id)
    image = store.stored_images.create(top.id)
    other = store.layers.create(base.id)
    assert store.stored_images.delete(image.id, dry_run=True) == (top.id,)
    store.layers.create(top.id, id="above")
    assert store.stored_images.delete(image.id) == ()
    assert layers(store) == {base.id, top.id, other.id, "above"}


def test_an_image_that_containers_use_stays(store, pulled):
    container = store.containers.create("box")
    for call in (
        lambda: store.stored_images.delete("box"),
        lambda: store.stored_images.delete("box", dry_run=True),
        lambda: store.remove("box"),
        lambda: store.remove(pulled.id),
        lambda: store.untag("box"),
        lambda: store.image("box").remove(),
    ):
        with pytest.raises(InUseError) as caught:
            call()
        assert caught.value.users == (f"container {container.id}",)
    store.tag("box", "other:1")
    assert store.remove("box") == [NAME]
    assert store.remove("other:1", force=True) == ["docker.io/library/other:1"]
    store.collect()
    assert store.containers.changes(container.id) == ()
    store.containers.delete(container.id)
    store.collect()
    assert layers(store) == set()


def test_a_nameless_image_keeps_its_containers_company(store, pulled):
    """What stays without names loses nothing by them."""
    store.containers.create("box")
    store.stored_images.set_names("box", [])
    store.stored_images.set_names(pulled.id, [NAME])
    with pytest.raises(InUseError):
        store.remove("box")


def test_publishing_an_image_that_has_a_manifest_gives_it_names(store, pulled):
    again = store.stored_images.publish("box", "copy:1")
    assert again.id == pulled.id
    assert store.image("copy:1").target == store.image("box").target
    assert store.stored_images.publish("box") == store.stored_images.get("box")


def test_publishing_says_when_the_image_was_made(store):
    layer = store.layers.create()
    moment = 1_500_000_000 * 10**9
    own = store.stored_images.create(layer.id, created_at_ns=moment)
    published = store.stored_images.publish(own.id, "made:1")
    config = store.image("made:1").config
    assert config.created == "2017-07-14T02:40:00Z"
    assert config.diff_ids == ()
    assert published.id == store.stored_images.publish(own.id, "other").id
    with pytest.raises(InvalidReferenceError):
        store.stored_images.publish(own.id, "Not A Name")
    with pytest.raises(NotFoundError):
        store.stored_images.publish("missing")


def test_publishing_under_the_id_that_it_had(store, pulled, layout):
    """As containers/storage keeps images: called by the config's digits, documents as data."""
    images = store.stored_images
    layer = store.layers.create(pulled.layer, read_only=True)
    documents = {each.name: images.data.get("box", each.name) for each in images.data.list("box")}
    images.delete("box", dry_run=True)
    store.remove("box")
    own = images.create(layer.id, id=pulled.id, names=["any name"], metadata="kept")
    for name, content in documents.items():
        images.data.put(own.id, name, content)
    published = images.publish("any name", "box:2")
    assert published.id == own.id
    assert set(published.names) == {"any name", "docker.io/library/box:2"}
    assert published.metadata == "kept"
    assert store.image("box:2").target.digest == layout.manifest["digest"]
    store.remove("box:2")
    assert images.get("any name").names == ("any name",)


def test_images_of_additional_stores(store, pulled, layout, tmp_path):
    layer = store.layers.create(pulled.layer, read_only=True)
    store.stored_images.create(layer.id, names=["bare"])
    with orlop.open_store(tmp_path / "own", tmp_path / "run", additional=[store.root]) as own:
        assert own.stored_images.get("box").additional
        with pytest.raises(UnsupportedError, match="additional store"):
            own.stored_images.delete("box")
        with pytest.raises(UnsupportedError, match="additional store"):
            own.stored_images.add_names("box", ["x"])
        orlop.copy("store:bare", f"oci:{tmp_path}/copy", store=own)
        published = own.stored_images.publish("bare", "published:1")
        assert not published.additional
        manifest = own.image("published:1").manifest
        assert [each.digest for each in manifest.layers] == [
            each["digest"] for each in layout.layers
        ]
        assert orlop.copy("store:published:1", f"oci:{tmp_path}/two", store=own).digest


def test_what_has_lost_its_names_is_copied_as_it_was(store, pulled, layout, tmp_path):
    store.stored_images.set_names("box", [])
    copied = orlop.copy(f"store:{pulled.id[:9]}", f"oci:{tmp_path}/copy", store=store)
    assert (copied.digest, copied.names) == (layout.manifest["digest"], ())
    (saved,) = store.save([pulled.id], tmp_path / "saved.tar")
    assert saved.digest == copied.digest
    store.close()
    with orlop.open_store(store.root, store.run, read_only=True) as reading:
        assert reading.save([pulled.id], tmp_path / "again.tar")[0].digest == copied.digest


def test_what_fits_several_layers_may_fit_one_image(store, tmp_path):
    for number in "12":
        store.layers.create(id=f"same-{number}")
    store.stored_images.create(id="same-image")
    assert store.save(["same"], tmp_path / "saved.tar")


def test_an_id_that_fits_several(store):
    for id in ("ab1", "ab2"):  # noqa: A001
        store.stored_images.create(id=id)
    with pytest.raises(AmbiguousError):
        store.save(["ab"], "nowhere.tar")


def test_a_store_that_is_only_read_makes_no_manifest(store, tmp_path):
    store.stored_images.create(names=["bare"])
    with (
        orlop.open_store(store.root, store.run, read_only=True) as reading,
        pytest.raises(UnsupportedError, match="no manifest"),
    ):
        reading.save(["bare"], tmp_path / "out.tar")
