"""Drafts: images edited as values, and saved."""

import io
import json
import os
import threading

import pytest

import orlop
from orlop.compression import Decompressor
from orlop.digest import Digest
from orlop.editing.edits import BASE_DIGEST, BASE_NAME
from orlop.errors import (
    ConflictError,
    InvalidError,
    LimitExceededError,
    NotFoundError,
    UnsupportedError,
)
from orlop.spec.config import MAX_HISTORY
from orlop.spec.history import UNTOLD
from orlop.spec.manifest import MAX_LAYERS
from support.images import (
    ImageBuilder,
    directory,
    file,
    hardlink,
    join_platforms,
    opaque,
    symlink,
    tar,
    whiteout,
)

MOMENT = 1_700_000_000
TIME = "2023-11-14T22:13:20Z"
CONFIG = {
    "created": "2024-01-01T00:00:00Z",
    "config": {"Env": ["A=b"], "Cmd": ["sh"], "OnBuild": None},
    "history": [
        {"created_by": "one"}, {"created_by": "env", "empty_layer": True}, {"created_by": "two"},
    ],
    "x-top": {"kept": [1, 2]},
}  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        yield store


@pytest.fixture
def image(store, tmp_path):
    """Two layers: the second one removes a file of the first, and links to another."""
    builder = ImageBuilder(config=CONFIG)
    builder.layer(directory("etc"), file("etc/motd", b"hi"), file("etc/gone", b"gone"))
    builder.layer(whiteout("etc/gone"), file("two", b"2"))
    source = builder.write(tmp_path / "layout", "v1", change=note).source
    return store.pull(source, tag="base:1", driver="directory")


def note(manifest):
    manifest["annotations"] = {"a": "1"}
    manifest["x-own"] = [1]
    manifest["config"]["annotations"] = {"of": "config"}


@pytest.fixture
def rootfs(tmp_path):
    place = tmp_path / "rootfs"
    (place / "app").mkdir(parents=True)
    (place / "app/run").write_bytes(b"#!/bin/sh\n")
    os.link(place / "app/run", place / "app/twin")
    (place / "link").symlink_to("app/run")
    return place


def names(image, path="/"):
    return [name.decode() for name, _ in image.list(path)]


def told(config):
    return sum(not step.empty_layer for step in config.history)


def test_a_draft_is_a_value(store, image, rootfs):
    draft = image.edit(timestamp=MOMENT)
    more = draft.append(rootfs).with_config(user="1")
    assert (len(draft.edits), len(more.edits)) == (0, 2)
    assert draft.append(rootfs).with_config(user="2").config.config.user == "2"
    assert more.config.config.user == "1"
    assert [each.name for each in store.images()] == [image.name]
    assert image.config.config.user == ""
    store.collect()
    assert {row.digest for row in store.content().walk()} == {
        image.target.digest, image.manifest.config.digest,
        *(layer.digest for layer in image.manifest.layers),
    }  # fmt: skip


def test_without_edits_it_is_the_image_itself(store, image):
    draft = image.edit()
    assert draft.manifest.raw == image.manifest.raw
    assert draft.save("same:1").target.digest == image.target.digest
    assert image.with_config().save("same:2").target.digest == image.target.digest


def test_append_a_directory(image, rootfs):
    made = image.append(rootfs, comment="app", author="me", created_by="make").save("app:1")
    assert made.name == "docker.io/library/app:1"
    assert names(made) == ["app", "etc", "link", "two"]
    assert made.read("/link") == b"#!/bin/sh\n"
    assert made.manifest.layers[:2] == image.manifest.layers
    assert made.manifest.layers[2].media_type.endswith("tar+gzip")
    with made.files() as files:
        assert files.stat(b"app/run").mtime_ns == files.stat(b"app/twin").mtime_ns
    step = made.config.history[-1]
    assert (step.comment, step.author, step.created_by) == ("app", "me", "make")
    assert told(made.config) == len(made.manifest.layers) == len(made.config.diff_ids) == 3


@pytest.mark.parametrize("how", ["file", "bytes", "stream", "pipe", "gzip"])
def test_append_a_tar(image, tmp_path, how):
    data = tar(whiteout("two"), file("new", b"new"), opaque("etc"))
    if how == "gzip":
        import gzip

        data = gzip.compress(data)
    source = data
    if how == "file":
        source = tmp_path / "layer.tar"
        source.write_bytes(data)
    elif how == "stream":
        source = io.BytesIO(b"before" + data)
        source.seek(6)
    elif how == "pipe":
        read, write = os.pipe()
        os.write(write, data)
        os.close(write)
        source = os.fdopen(read, "rb")
    draft = image.edit(timestamp=MOMENT).append(source)
    made = draft.save("tar:1")
    assert names(made) == ["etc", "new"]
    assert names(made, "/etc") == []
    if how == "pipe":
        with pytest.raises(InvalidError, match="has been read already"):
            draft.save("tar:2")
        source.close()
    else:
        assert draft.save("tar:2").target == made.target


def test_append_below_a_directory_of_the_image(store, tmp_path, rootfs):
    """Links that lead there are followed inside the image, and parents are entries, too."""
    builder = ImageBuilder().layer(
        directory("usr", mode=0o711, uid=3), directory("usr/lib", gid=4), symlink("lib", "/usr/lib")
    )
    image = store.pull(builder.write(tmp_path / "l").source, tag="links:1", driver="directory")
    made = image.append(rootfs, target="/lib/x/y", owner=(5, 6)).save("links:2")
    assert names(made, "/usr/lib/x/y") == ["app", "link"]
    node = made.stat("/usr/lib/x/y/app/run")
    assert (node.uid, node.gid) == (5, 6)
    changes = store.diff("links:1", "links:2").changes()
    assert [each.path for each in changes][:2] == [b"usr/lib/x", b"usr/lib/x/y"]
    assert (made.stat("/usr").mode & 0o777, made.stat("/usr").uid) == (0o711, 3)
    assert made.stat("/usr/lib").gid == 4


@pytest.mark.parametrize("target", ["/etc/motd", "/two", "/two/below/it", "/link"])
def test_no_directory_takes_the_place_of_a_file(store, image, rootfs, target):
    (rootfs / "etc").mkdir()
    linked = image.append(io.BytesIO(tar(symlink("link", "etc/motd")))).save("linked:1")
    with pytest.raises(InvalidError, match="is no directory of the image"):
        linked.append(rootfs, target=target).save("app:1")
    assert len(store.images()) == 2


def test_nothing_of_the_image_is_copied_or_compressed_again(store, image, rootfs):
    before = {info.digest: os.stat(store.storage.places.blob(info.digest)).st_ino
              for info in store.content().walk()}  # fmt: skip
    made = image.append(rootfs).save("app:1", compress="zstd")
    after = {info.digest: os.stat(store.storage.places.blob(info.digest)).st_ino
             for info in store.content().walk()}  # fmt: skip
    assert before.items() <= after.items()
    new = set(after) - set(before)
    layer = made.manifest.layers[2]
    assert new == {
        made.target.digest, made.id, layer.digest, made.config.diff_ids[2],
    }  # fmt: skip


@pytest.mark.parametrize("compress", ["gzip", "zstd", "none"])
def test_the_layer_is_what_its_diff_id_says(store, image, rootfs, compress):
    made = image.append(rootfs).save("app:1", compress=compress)
    layer = made.manifest.layers[2]
    data = store.content().read(layer.digest, layer.size)
    plain = Decompressor()
    out = b"".join([*plain.feed(data), *plain.close()]) if compress != "none" else data
    assert Digest.of(out) == made.config.diff_ids[2]


def test_the_same_edits_give_the_same_digests(store, image, rootfs, tmp_path):
    def make(store):
        draft = store.image("base:1").edit(timestamp=MOMENT).append(rootfs, owner=(0, 0))
        return draft.with_config(env={"X": "1"}, labels={"k": "v"}).squash(2)

    made = make(store).save("one:1")
    os.utime(rootfs / "app/run", (MOMENT + 99, MOMENT + 99))  # later times become the moment
    assert make(store).save("two:1").target == made.target
    assert make(store).manifest.raw == made.manifest.raw
    with orlop.open_store(tmp_path / "other", tmp_path / "other-run") as other:
        orlop.copy("store:base:1", f"oci:{tmp_path / 'copy'}:x", store=store)
        other.pull(f"oci:{tmp_path / 'copy'}:x", tag="base:1", driver="directory")
        assert make(other).save("three:1").target == made.target
    assert made.config.created == TIME
    assert made.config.history[-1].created == TIME


def test_configs_keep_what_nobody_named(image):
    made = image.edit(timestamp=MOMENT).with_config(
        user="7", annotations={"b": "2"}, remove_annotations=["a"]
    )
    made = made.save("config:1")
    document = json.loads(made.config.raw)
    assert document["x-top"] == {"kept": [1, 2]}
    assert document["config"]["OnBuild"] is None
    assert document["created"] == TIME
    manifest = json.loads(made.manifest.raw)
    assert manifest["annotations"] == {"b": "2"}
    assert manifest["x-own"] == [1]
    assert manifest["config"]["annotations"] == {"of": "config"}
    assert manifest["layers"] == json.loads(image.manifest.raw)["layers"]
    step = made.config.history[-1]
    assert step.empty_layer
    assert step.created_by == "orlop config user annotations remove_annotations"
    assert made.config.history[:-1] == image.config.history


def test_a_config_may_leave_the_history_alone(image):
    made = image.with_config(user="7", history=False, created="1999-01-01T00:00:00Z")
    assert made.config.history == image.config.history
    assert made.config.created == "1999-01-01T00:00:00Z"
    assert image.with_config(user="7", history=False).config.created == image.config.created


def test_an_image_without_history_gets_a_whole_one(store, tmp_path, rootfs):
    builder = ImageBuilder().layer(file("a")).layer(file("b"))
    image = store.pull(builder.write(tmp_path / "l").source, tag="bare:1", driver="directory")
    made = image.append(rootfs).with_config(cmd=["x"]).save("bare:2")
    assert [step.comment for step in made.config.history[:2]] == [UNTOLD] * 2
    assert told(made.config) == 3
    assert image.with_config(cmd=["x"], history=False).config.history == ()
    assert told(image.with_config(cmd=["x"]).config) == 2


def test_squash_keeps_what_matters_below(image, store):
    draft = image.append(tar(file("three", b"3"), whiteout("two"))).append(
        tar(file("etc/motd", b"new"), hardlink("etc/motd2", "etc/motd"))
    )
    made = draft.squash(3).save("squash:1")
    assert len(made.manifest.layers) == 2
    assert made.manifest.layers[0] == image.manifest.layers[0]
    assert names(made) == ["etc", "three"]
    assert names(made, "/etc") == ["motd", "motd2"]
    changeset = store.storage.forms.changeset(made.config.diff_ids[1])
    assert [each.path for each in changeset.removals()] == [b"etc/gone"]
    assert told(made.config) == 2
    assert [step.created_by for step in made.config.history] == [
        "one", "env", "two", "orlop append", "orlop append", "orlop squash 3 layers",
    ]  # fmt: skip
    assert store.diff(made.name, draft.save("whole:1").name).changes() == ()


def test_squash_since_an_image(image, rootfs):
    draft = image.append(rootfs).append(tar(whiteout("app")))
    made = draft.squash(since="base:1").save("since:1")
    assert made.manifest.layers[:2] == image.manifest.layers
    assert len(made.manifest.layers) == 3
    assert names(made) == ["etc", "link", "two"]
    assert made.config.history[-1].created_by == f"orlop squash since {image.name}"
    with pytest.raises(InvalidError, match="no layer above"):
        image.squash(since=image).save("none:1")


def test_flatten(image, store):
    made = image.flatten(comment="one").save("flat:1")
    assert len(made.manifest.layers) == told(made.config) == 1
    assert store.diff(image.name, made.name).changes() == ()
    assert not list(store.storage.forms.changeset(made.config.diff_ids[0]).removals())
    again = made.flatten().save("flat:2")
    assert again.config.diff_ids == made.config.diff_ids


def test_rebase(image, store, tmp_path, rootfs):
    builder = ImageBuilder(config={"config": {"Env": ["A=new", "L=C"], "Cmd": ["zsh"]}})
    builder.layer(directory("etc"), file("etc/motd", b"new base"))
    new = store.pull(builder.write(tmp_path / "new").source, tag="base:2", driver="directory")
    app = image.append(rootfs).with_config(env={"MINE": "1"}).save("app:1")
    made = app.edit(timestamp=MOMENT).rebase("base:1", new).save("app:1")
    assert made.manifest.layers == (*new.manifest.layers, app.manifest.layers[2])
    assert made.config.config.env == ("A=new", "L=C", "MINE=1")
    assert made.config.config.cmd == ("zsh",)
    assert made.read("/etc/motd") == b"new base"
    assert names(made) == ["app", "etc", "link"]
    assert [step.created_by for step in made.config.history] == [
        None, "orlop append", "orlop config env",
    ]  # fmt: skip
    assert told(made.config) == 2
    assert made.manifest.annotations[BASE_NAME] == new.name
    assert made.manifest.annotations[BASE_DIGEST] == new.target.digest
    back = made.rebase("base:2", "base:1").save("app:3")
    assert back.config.diff_ids == app.config.diff_ids
    assert back.config.config == app.config.config
    assert back.config.history == app.config.history


def test_rebase_says_which_layer_differs(image, store, tmp_path):
    other = ImageBuilder().layer(file("x")).layer(file("y"))
    store.pull(other.write(tmp_path / "x").source, tag="other:1", driver="directory")
    with pytest.raises(InvalidError, match=f"layer 1 is {image.config.diff_ids[0]}, and there"):
        image.rebase("other:1", "base:1").save("no:1")
    deep = image.append(tar(file("z"))).save("deep:1")
    with pytest.raises(InvalidError, match="it has 2 layers, and that has 3"):
        image.rebase(deep, "base:1").save("no:1")
    with pytest.raises(NotFoundError):
        image.rebase("nowhere:1", "base:1")
    assert [each.name.rpartition("/")[2] for each in store.images()] == [
        "base:1", "deep:1", "other:1",
    ]  # fmt: skip


def test_a_layer_that_does_not_fit_is_refused(image, store, tmp_path):
    """A hard link leads into the old base, and nowhere in the new one."""
    with pytest.raises(InvalidError, match="neither in this layer nor below"):
        image.append(tar(hardlink("x", "nowhere"))).save("no:1")
    linked = image.append(tar(hardlink("x", "two"))).save("linked:1")
    empty = ImageBuilder().layer(file("y")).write(tmp_path / "y")
    store.pull(empty.source, tag="empty:1", driver="directory")
    with pytest.raises(InvalidError, match="neither in this layer nor below"):
        linked.rebase("base:1", "empty:1").save("no:1")
    merged = linked.squash(since="base:1").rebase("base:1", "empty:1").save("yes:1")
    assert merged.read("/x") == b"2"


DOCKER = "application/vnd.docker."


@pytest.fixture
def docker(store, tmp_path):
    """An image with Docker's media types."""

    def change(manifest):
        manifest["mediaType"] = f"{DOCKER}distribution.manifest.v2+json"
        manifest["config"]["mediaType"] = f"{DOCKER}container.image.v1+json"
        for layer in manifest["layers"]:
            layer["mediaType"] = f"{DOCKER}image.rootfs.diff.tar.gzip"

    layout = ImageBuilder(config=CONFIG).layer(file("a")).layer(file("b"))
    place = tmp_path / "docker"
    layout.write(place, "v1", change=change)
    index = json.loads((place / "index.json").read_bytes())
    index["manifests"][0]["mediaType"] = f"{DOCKER}distribution.manifest.v2+json"
    (place / "index.json").write_text(json.dumps(index))
    return store.pull(f"oci:{place}:v1", tag="docker:1", driver="directory")


@pytest.mark.parametrize(
    ("compress", "suffix"), [("gzip", ".gzip"), ("zstd", ".zstd"), ("none", "")]
)
def test_dockers_types_are_kept(docker, rootfs, compress, suffix):
    made = docker.append(rootfs).with_config(user="1").save("docker:2", compress=compress)
    assert made.target.media_type == made.manifest.media_type == docker.target.media_type
    assert made.manifest.config.media_type == docker.manifest.config.media_type
    assert made.manifest.layers[2].media_type == f"{DOCKER}image.rootfs.diff.tar{suffix}"
    assert names(made) == ["a", "app", "b", "link"]
    oci = made.edit().with_config(annotations={"a": "b"})
    with pytest.raises(UnsupportedError, match="no annotations"):
        oci.save("docker:3")
    as_oci = made.edit().save("docker:3", oci=True)
    types = {each.media_type for each in (as_oci.target, as_oci.manifest.config,
                                         *as_oci.manifest.layers)}  # fmt: skip
    assert all(each.startswith("application/vnd.oci.") for each in types)
    assert as_oci.id == made.id
    assert as_oci.with_config(annotations={"a": "b"}).save("docker:4").manifest.annotations


def test_one_of_several_platforms(store, tmp_path):
    place = tmp_path / "all"
    for arch in ("amd64", "arm64"):
        ImageBuilder(platform=("linux", arch)).layer(file(arch)).write(place, arch)
    join_platforms(place)
    image = store.pull(
        f"oci:{place}:all", tag="all:1", platform="linux/amd64", all_platforms=True,
        driver="directory",
    )  # fmt: skip
    made = image.edit(platform="linux/arm64").append(tar(file("new"))).flatten().save("arm:1")
    assert str(made.platform) == "linux/arm64"
    assert names(made) == ["arm64", "new"]
    assert names(image.append(tar(file("new"))).save("own:1")) == ["amd64", "new"]
    with pytest.raises(UnsupportedError, match="is an index of several images"):
        image.with_config(user="1").save("all:1")
    with pytest.raises(NotFoundError, match="no image for linux/s390x"):
        image.edit(platform="linux/s390x")
    assert image.with_config(user="1").save("all:1", force=True).config.config.user == "1"


def test_a_name_moves_only_from_what_was_edited(store, image):
    first, second = image.with_config(user="1"), image.with_config(user="2")
    assert first.save("base:1").config.config.user == "1"
    with pytest.raises(ConflictError, match="has been moved meanwhile"):
        second.save("base:1")
    assert store.image("base:1").config.config.user == "1"
    assert second.save("base:1", force=True).config.config.user == "2"
    store.remove("base:1")
    with pytest.raises(ConflictError, match="has been removed meanwhile"):
        first.save("base:1")
    assert first.save("other:1").config.config.user == "1"  # a lease-free store has it still
    second.save("other:1")
    assert store.image("other:1").config.config.user == "2"


def test_no_edit_is_lost(store, image):
    """Many at once add a variable each to one name, and try again when another was faster."""

    def edit(thread):
        for at in range(5):
            while True:
                try:
                    store.image("base:1").with_config(env={f"T{thread}_{at}": "1"}).save("base:1")
                except ConflictError:
                    continue
                break

    threads = [threading.Thread(target=edit, args=(each,)) for each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    config = store.image("base:1").config
    assert len(config.config.env) == 21
    assert len(config.history) == len(image.config.history) + 20
    assert store.check().damaged == ()


def test_a_base_that_is_gone(store, image, rootfs):
    draft = image.append(rootfs)
    store.remove("base:1")
    store.collect(unfinished=True)
    with pytest.raises(NotFoundError, match="is not stored any more"):
        draft.save("app:1")
    assert store.images() == []
    store.collect(unfinished=True)
    assert list(store.content().walk()) == []


def test_what_fails_leaves_nothing(store, image, tmp_path):
    before = {info.digest for info in store.content().walk()}
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/.wh.x").write_bytes(b"")
    with pytest.raises(UnsupportedError, match=r"\.wh\."):
        image.append(tmp_path / "bad").save("no:1")
    with pytest.raises(FileNotFoundError):
        image.append(tmp_path / "nowhere").save("no:1")
    for bad in (b"", b"no tar", tar(file("a", b"a" * 2000))[:1500]):
        with pytest.raises(InvalidError):
            image.append(tar(file("good"))).append(bad).save("no:1")
    with pytest.raises(InvalidError, match="cannot be merged"):
        image.squash(3).save("no:1")
    with pytest.raises(NotFoundError):
        store.image("no:1")
    store.collect(unfinished=True)
    assert {info.digest for info in store.content().walk()} == before


def test_documents_have_limits(image):
    with pytest.raises(LimitExceededError, match="MAX_DOCUMENT_SIZE"):
        image.with_config(labels={"long": "x" * (5 << 20)}).save("no:1")
    with pytest.raises(LimitExceededError, match="MAX_DOCUMENT_SIZE"):
        image.with_config(annotations={"long": "x" * (5 << 20)}).save("no:1")
    assert image.names == [image.name]


def test_a_history_that_is_too_long_is_refused(store, tmp_path):
    config = {"history": [{"empty_layer": True}] * MAX_HISTORY}
    image = ImageBuilder(config=config).write(tmp_path / "long")
    image = store.pull(image.source, tag="long:1", driver="directory")
    with pytest.raises(LimitExceededError, match="MAX_HISTORY"):
        image.with_config(user="1").save("no:1")
    image.with_config(user="1", history=False).save("yes:1")


def test_too_many_layers_are_refused(store, tmp_path):
    builder = ImageBuilder("none", tars=[tar(file("a"))] * MAX_LAYERS)
    image = store.pull(builder.write(tmp_path / "many").source, tag="many:1", driver="directory")
    with pytest.raises(LimitExceededError, match="MAX_LAYERS"):
        image.append(tar(file("b"))).save("no:1")
    assert names(image.squash(2).append(tar(file("b"))).save("yes:1")) == ["a", "b"]


def test_mistakes_of_a_caller(image):
    with pytest.raises(ValueError, match="how many layers"):
        image.squash()
    with pytest.raises(ValueError, match="how many layers"):
        image.squash(1, since="base:1")
    with pytest.raises(ValueError, match="cannot be merged"):
        image.squash(0)
    with pytest.raises(ValueError, match="says itself"):
        image.append(b"", owner=(1, 1))
    with pytest.raises(InvalidError):
        image.append(b"", created="today")
    with pytest.raises(InvalidError):
        image.edit(timestamp=10**12)
    with pytest.raises(InvalidError):
        image.append(".", target="relative")


def test_an_image_without_layers(store, tmp_path, rootfs):
    image = store.pull(ImageBuilder().write(tmp_path / "e").source, tag="e:1", driver="directory")
    with pytest.raises(InvalidError, match="no layers to merge"):
        image.flatten().save("e:2")
    assert names(image.append(rootfs).save("e:2")) == ["app", "link"]


def test_an_artifact_is_no_image(store):
    with store.lease("artifact") as lease:
        content = store.content(lease)
        empty = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2}
        empty["digest"] = content.put(b"{}")
        kind = "application/vnd.oci.image.manifest.v1+json"
        raw = json.dumps({
            "schemaVersion": 2, "mediaType": kind, "artifactType": "application/x-y",
            "config": empty, "layers": [empty],
        }).encode()  # fmt: skip
        from orlop.images import ImageRecord
        from orlop.spec import Descriptor

        content.put(raw, media_type=kind)
        store.image_store.create(
            ImageRecord(name="docker.io/library/art:1", target=Descriptor.of(kind, raw))
        )
    with pytest.raises(UnsupportedError, match="artifact"):
        store.image("art:1").edit()
