"""Containers: made from anything, with IDs that are theirs alone, committed to images."""

import io
import os

import pytest

import orlop
from orlop._sys import subids
from orlop._sys.process import in_initial_user_namespace
from orlop.errors import (
    AlreadyExistsError,
    InUseError,
    InvalidReferenceError,
    NotFoundError,
)
from orlop.idmap import IdMapping
from orlop.spec.history import UNTOLD
from orlop.storage.stored.auto import AutoIds
from support.images import ImageBuilder, directory, file, tar, with_more_fields


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        yield store


@pytest.fixture
def image(store, tmp_path):
    builder = ImageBuilder(config={"config": {"Cmd": ["sh"]}, "author": "them"})
    layout = builder.layer(directory("d"), file("d/a", b"a")).write(tmp_path / "layout")
    return store.pull(layout.source, tag="box", driver="directory")


def change(store, container, *members):
    """Let a container have changed something, without mounting it."""
    store.layers.apply_diff(container.layer, io.BytesIO(tar(*members)))


def test_what_it_is_made_from(store, image):
    stored = store.stored_images.get("box")
    first = store.containers.create("box", names=["a"], flags={"kind": "web"})
    assert (first.image, first.flags, first.id_mapping) == (stored.id, {"kind": "web"}, None)
    assert store.layers.get(first.layer).parent == stored.layer
    second = store.containers.create(layer=first.layer)
    assert (second.image, store.layers.get(second.layer).parent) == ("", first.layer)
    third = store.containers.create()
    assert store.layers.get(third.layer).parent is None
    assert store.containers.by_layer(first.layer) == first
    assert store.containers.by_layer(stored.layer) is None
    assert {each.id for each in store.containers.list()} == {first.id, second.id, third.id}
    with pytest.raises(ValueError, match="from an image or from a layer"):
        store.containers.create("box", layer=first.layer)
    for wrong in ({"image": "none"}, {"layer": "none"}):
        with pytest.raises(NotFoundError):
            store.containers.create(**wrong)
    assert len(store.layers.list()) == 4


def test_what_fails_leaves_no_layer(store, image):
    store.containers.create(id="c", names=["a"])
    before = store.layers.list()
    for wrong in ({"id": "c"}, {"names": ["b", "a"]}):
        with pytest.raises(AlreadyExistsError):
            store.containers.create("box", **wrong)
    assert store.layers.list() == before


def test_a_layer_that_has_an_owner_is_not_deleted_alone(store, image):
    container = store.containers.create("box")
    with pytest.raises(InUseError) as caught:
        store.layers.delete(container.layer)
    assert caught.value.users == (f"container {container.id}",)
    store.layers.create(container.layer, id="above")
    with pytest.raises(InUseError) as caught:
        store.containers.delete(container.id, force=True)
    assert caught.value.users == ("layer above",)
    store.layers.delete("above")
    store.containers.delete(container.id)
    assert store.containers.list() == ()
    with pytest.raises(NotFoundError):
        store.layers.get(container.layer)


@pytest.fixture
def ranges(tmp_path, monkeypatch):
    """What /etc/subuid and /etc/subgid hold."""
    if not in_initial_user_namespace():
        pytest.skip("in a user namespace its own IDs are given away")
    user = "containers" if os.geteuid() == 0 else str(os.geteuid())
    for name in ("SUBUID", "SUBGID"):
        path = tmp_path / name
        path.write_text(f"{user}:100000:3000\n")
        monkeypatch.setattr(subids, name, str(path))


def test_ids_are_given_to_one_container_alone(store, ranges):
    made = [store.containers.create(id_mapping=AutoIds(size=1000)) for _ in range(3)]
    hosts = sorted(each.id_mapping.uids[0].host for each in made)
    assert hosts == [100_000, 101_000, 102_000]
    with pytest.raises(NotFoundError):
        store.containers.create(id_mapping=AutoIds(size=1))
    store.containers.delete(made[1].id)
    again = store.containers.create(id_mapping=AutoIds(size=500))
    assert again.id_mapping.uids == again.id_mapping.gids
    assert again.id_mapping.uids[0].host == made[1].id_mapping.uids[0].host
    with pytest.raises(NotFoundError):
        store.containers.create(id_mapping="auto")  # 65,536 of them
    mapping = IdMapping.parse(["0:100500:10"])
    assert store.containers.create(id_mapping=mapping).id_mapping == mapping
    assert store.containers.create(id_mapping=IdMapping.identity()).id_mapping is None


def test_a_commit_and_what_follows(store, image, tmp_path):
    container = store.containers.create("box")
    change(store, container, file("d/new", b"new"))
    first = store.containers.commit(container.id, "done", author="me", comment="why")
    config = store.image("done").config
    assert (config.author, config.config.cmd) == ("me", ("sh",))
    # podman neither pushes nor commits an image that tells of some of its layers alone.
    assert [step.comment for step in config.history] == [UNTOLD, "why"]
    assert config.history[1].created_by == "orlop commit"
    assert store.image("done").read("/d/new") == b"new"
    assert config.diff_ids[:1] == image.config.diff_ids
    change(store, container, file("d/more", b"more"))
    second = store.containers.commit(container.id, "done")
    assert first.id != second.id
    assert len(store.image("done").manifest.layers) == 2
    assert store.image("done").read("/d/more") == b"more"
    with pytest.raises(NotFoundError):
        store.stored_images.get(first.id)  # its name went to the second one
    container = store.containers.create("done")
    third = store.containers.commit(container.id)
    assert store.image("done").config.author == "them"  # a commit says it anew, or leaves it
    assert third.names == ()
    assert len(store.layers.list()) > 4


def test_a_commit_keeps_what_the_manifest_says_beside(store, tmp_path):
    builder = ImageBuilder().layer(file("a", b"a"))
    layout = builder.write(tmp_path / "layout", change=with_more_fields)
    store.pull(layout.source, tag="box", driver="directory")
    store.containers.commit(store.containers.create("box").id, "done")
    old, new = (store.image(name).manifest for name in ("box", "done"))
    assert (new.artifact_type, new.extra) == (old.artifact_type, old.extra)
    assert (new.annotations, new.subject) == (old.annotations, old.subject)
    assert (new.config.annotations, new.config.extra) == (old.config.annotations, old.config.extra)
    assert new.artifact_type
    assert new.config.extra
    assert new.config.digest != old.config.digest


def test_the_same_commit_is_the_same_image(store, image):
    container = store.containers.create("box")
    change(store, container, file("d/new", b"new", mtime=12345))
    made = {
        store.containers.commit(container.id, created_at_ns=10**18, compression=how).digest
        for how in ("none", "none", "gzip", "gzip", "zstd")
    }
    assert len(made) == 3


def test_what_is_noted_of_a_nameless_commit_stays(store, image):
    container = store.containers.create("box")
    made = store.containers.commit(container.id, created_at_ns=10**18)
    store.stored_images.set_metadata(made.id, "noted")
    assert store.containers.commit(container.id, created_at_ns=10**18).metadata == "noted"


def test_names_of_commits_are_references(store, image):
    container = store.containers.create("box")
    with pytest.raises(InvalidReferenceError):
        store.containers.commit(container.id, "fine", "Not Fine")
    assert [each.name for each in store.images()] == ["docker.io/library/box:latest"]


def test_sizes_and_directories(store, image):
    container = store.containers.create("box", id="c")
    before = store.containers.size("c")
    change(store, container, file("large", bytes(100_000)))
    store.containers.data.put("c", "item", bytes(500))
    assert store.containers.size("c") >= before + 100_000
    places = store.containers.directory("c"), store.containers.run_directory("c")
    for path in places:
        assert path.stat().st_mode & 0o777 == 0o700
        (path / "file").touch()
    store.containers.delete("c")
    assert not list(store.root.glob("containers/*"))
    assert not any(path.exists() for path in places)


def test_names_and_metadata(store):
    store.containers.create(id="one", names=["a", "b"])
    assert store.containers.create(id="two").names == ()
    assert store.containers.add_names("two", ["b"]).names == ("b",)
    assert store.containers.get("one").names == ("a",)
    assert store.containers.set_names("one", ["x", "y", "x"]).names == ("x", "y")
    assert store.containers.remove_names("one", ["y", "missing"]).names == ("x",)
    assert store.containers.set_metadata("x", "text").metadata == "text"
    assert store.containers.get("one").metadata == "text"
