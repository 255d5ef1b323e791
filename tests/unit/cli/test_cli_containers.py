"""`orlop container`: made from images and layers, changed, compared, committed and removed."""

import json
import os

import pytest

from support.images import file, tar, whiteout

CHANGE = tar(file("etc/hostname", b"mine\n", mtime=1700000000), whiteout("binary"))


@pytest.fixture
def store(empty, layout):
    empty.id = empty.pull(layout.source, "--tag", "box")[len("sha256:") :]
    return empty


def lines(store, *arguments):
    done = store.orlop("container", *arguments)
    assert done.code == 0, done
    return done.out.splitlines()


def document(store, *arguments):
    return json.loads("\n".join(lines(store, *arguments, "--format", "json")))


def create(store, *arguments):
    (id,) = lines(store, "create", *arguments)  # noqa: A001
    return id


@pytest.fixture
def changed(store, tmp_path):
    """A container that changed something of its image; its ID."""
    made = create(store, "box", "--name", "web")
    (tmp_path / "change.tar").write_bytes(CHANGE)
    layer = document(store, "inspect", made)["layer"]
    assert store.orlop("layer", "apply", layer, tmp_path / "change.tar").code == 0
    return made


def layer_of(store, key):
    return json.loads(
        store.orlop("layer", "inspect", key, "--format", "json").out
    )  # fmt: skip


def test_creating(store):
    made = create(store, "box", "--name", "web", "--name", "also", "--metadata", "m")
    found = document(store, "inspect", "also")
    assert (found["id"], found["names"], found["metadata"]) == (made, ["web", "also"], "m")
    assert found["image"] == store.id
    image = json.loads(store.orlop("image", "inspect", "box", "--format", "json").out)
    layer = layer_of(store, found["layer"])
    assert (layer["parent"], layer["users"]["containers"]) == (image["layer"], [made])
    rows = [line.split() for line in lines(store, "ls")]
    assert rows[0] == ["ID", "NAMES", "IMAGE", "LAYER", "CREATED"]
    assert rows[1][:4] == [made[:12], "web", "also", "docker.io/library/box:latest"]
    store.orlop("container", "create", "box", "--name", "web").check_failure(1, made)
    store.orlop("container", "create", "missing").check_failure(3, "no image")
    store.orlop("container", "create", "box", "--id", made).check_failure(1, "exists already")
    assert lines(store, "ls", "-q") == [made]


def test_from_a_layer_and_from_nothing(store):
    base = store.orlop("layer", "create", "--name", "base").out.strip()
    made = create(store, "--layer", "base", "--id", "one")
    assert layer_of(store, document(store, "inspect", made)["layer"])["parent"] == base
    assert document(store, "inspect", made)["image"] is None
    assert layer_of(store, document(store, "inspect", create(store))["layer"])["parent"] is None
    store.orlop("container", "create", "box", "--layer", "base").check_failure(2, "exclude")
    store.orlop("layer", "rm", base).check_failure(5)


def test_ids(store):
    create(store, "box", "--id", "mapped", "--uidmap", "0:200000:10", "--gidmap", "0:300000:20")
    mapping = document(store, "inspect", "mapped")["id_mapping"]
    assert mapping["uids"] == [{"container_id": 0, "host_id": 200000, "size": 10}]
    assert mapping["gids"] == [{"container_id": 0, "host_id": 300000, "size": 20}]
    assert "groups:" in " ".join(lines(store, "inspect", "mapped"))
    for wrong in ("all", "auto:0", "auto:x", "auto:", "auto:-1"):
        store.orlop("container", "create", f"--ids={wrong}").check_failure(2, "no choice of IDs")
    both = ["--ids", "auto", "--uidmap", "0:1:1"]
    store.orlop("container", "create", *both).check_failure(2, "--ids excludes")


def test_changes_and_diff(store, changed, tmp_path):
    assert lines(store, "changes", "web") == ["D /binary", "C /etc/hostname"]
    assert [each["kind"] for each in document(store, "changes", changed)] == ["delete", "modify"]
    lines(store, "diff", "web", "-o", tmp_path / "out.tar")
    assert (tmp_path / "out.tar").read_bytes() == CHANGE
    assert lines(store, "changes", create(store, "box")) == []


def test_committing(store, changed, layout, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    said = ["--author", "me", "--comment", "why", "--created-by", "make"]
    (image,) = lines(store, "commit", "web", "done", "done:2", *said, "--compress", "gzip")
    names = ["docker.io/library/box:latest", "docker.io/library/done:2"]
    assert [each["name"] for each in store.images()] == [
        names[0], names[1], "docker.io/library/done:latest",
    ]  # fmt: skip
    assert lines(store, "commit", "web", *said, "--compress", "gzip") == [image]
    config = json.loads(store.orlop("inspect", "done", "--config").out)
    old = json.loads(store.orlop("inspect", "box", "--config").out)
    assert config["created"] == "2001-09-09T01:46:40Z"
    assert config["author"] == "me"
    assert config["history"][-1] == {
        "created": "2001-09-09T01:46:40Z",
        "author": "me",
        "created_by": "make",
        "comment": "why",
    }
    assert config["config"] == old["config"]
    assert config["rootfs"]["diff_ids"][:-1] == layout.diff_ids
    manifest = json.loads(store.orlop("inspect", "done", "--manifest").out)
    assert [each["digest"] for each in manifest["layers"][:-1]] == [
        each["digest"] for each in layout.layers
    ]
    assert manifest["layers"][-1]["mediaType"].endswith("tar+gzip")
    assert store.orlop("cat", "done", "/etc/hostname").out == "mine\n"
    store.orlop("cat", "done", "/binary").check_failure(3)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "then")
    store.orlop("container", "commit", "web").check_failure(2, "SOURCE_DATE_EPOCH")


def test_committing_without_a_name_or_a_moment(store, changed):
    (first,) = lines(store, "commit", changed)
    found = json.loads(store.orlop("image", "inspect", first, "--format", "json").out)
    assert (found["names"], found["manifest"]) == ([], True)
    store.collect()
    assert store.orlop("image", "ls", "-q").out.split() == sorted([first, store.id])
    store.orlop("container", "commit", "missing").check_failure(3)
    store.orlop("container", "commit", changed, "UPPER CASE").check_failure(2)
    again = create(store, first)
    assert lines(store, "changes", again) == []


def test_a_commit_goes_on_with_a_config_among_the_data(store, layout, tmp_path):
    manifest = json.loads(layout.blob(layout.manifest).read_bytes())
    found = json.loads(store.orlop("image", "inspect", "box", "--format", "json").out)
    store.orlop("image", "create", found["layer"], "--name", "own")
    for name, blob in (
        ("manifest", layout.manifest),
        (manifest["config"]["digest"], manifest["config"]),
    ):
        store.orlop("image", "data", "put", "own", name, layout.blob(blob))
    create(store, "own", "--name", "of-own")
    lines(store, "commit", "of-own", "made")
    config = json.loads(store.orlop("inspect", "made", "--config").out)
    assert config["config"]["Cmd"] == ["sh", "-c", "true"]


def test_removing(store, changed):
    other = create(store, "box")
    done = store.orlop("container", "rm", "web", "missing", other)
    assert (done.code, done.out.split()) == (3, [changed, other])
    assert lines(store, "ls", "-q") == []
    assert store.orlop("layer", "ls", "--format", "json").out.count('"pulled": false') == 0


def test_a_layer_that_stands_on_a_container(store, changed):
    layer = document(store, "inspect", "web")["layer"]
    above = store.orlop("layer", "create", layer).out.strip()
    store.orlop("container", "rm", "web", "--force").check_failure(5, "is needed by layer")
    store.orlop("layer", "rm", layer).check_failure(5)
    assert store.orlop("layer", "rm", above).code == 0
    assert lines(store, "rm", "web") == [changed]


def test_directories_go_with_it(store):
    create(store, "--id", "c")
    (path,), (boot,) = lines(store, "dir", "c"), lines(store, "dir", "c", "--boot")
    assert path.startswith(str(store.root))
    assert boot.startswith(str(store.run))
    with open(f"{path}/file", "w") as out:
        out.write("x")
    lines(store, "rm", "c")
    assert not any(map(os.path.exists, (path, boot)))


def test_names_metadata_and_data(store, tmp_path):
    create(store, "--id", "c", "--name", "old")
    lines(store, "name", "set", "old", "new", "other")
    lines(store, "meta", "set", "new", "text")
    assert store.orlop("container", "meta", "get", "other").out == "text"
    (tmp_path / "file").write_bytes(b"bytes")
    lines(store, "data", "put", "c", "item", tmp_path / "file")
    assert store.orlop("container", "data", "get", "c", "item").out == "bytes"
    found = document(store, "inspect", "c")
    assert (found["names"], found["metadata"]) == (["new", "other"], "text")
    assert [(each["name"], each["size"]) for each in found["data"]] == [("item", 5)]
    lines(store, "rm", "c")
    assert not [each for each in store.files() if each.startswith("containers")]


def test_no_store(empty):
    assert empty.orlop("container", "ls").out == "ID  NAMES  IMAGE  LAYER  CREATED\n"
    empty.orlop("container", "rm", "x").check_failure(3)
    assert not empty.root.exists()
