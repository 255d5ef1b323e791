"""`orlop image`: images made of layers, listed with those that were pulled, published, removed."""

import json
import os

import pytest

from support.images import directory, file, tar

BASE = tar(directory("d"), file("d/a", b"first"))
TOP = tar(file("b", b"second"))


@pytest.fixture
def store(empty, tmp_path):
    """A store with the layers `base` and, on it, `top`."""
    for name, data, parent in (("base", BASE, ()), ("top", TOP, ("base",))):
        (tmp_path / name).write_bytes(data)
        assert empty.orlop(
            "layer", "create", *parent, "--name", name, "--from", tmp_path / name
        ).code == 0  # fmt: skip
    return empty


def lines(store, *arguments):
    done = store.orlop("image", *arguments)
    assert done.code == 0, done
    return done.out.splitlines()


def document(store, *arguments):
    return json.loads("\n".join(lines(store, *arguments, "--format", "json")))


def layer(store, name):
    return json.loads(store.orlop("layer", "inspect", name, "--format", "json").out)["id"]


def test_creating(store):
    (made,) = lines(store, "create", "top", "--name", "mine", "--metadata", "m")
    found = document(store, "inspect", "mine")
    assert (found["id"], found["layer"], found["metadata"]) == (made, layer(store, "top"), "m")
    assert (found["manifest"], found["digests"]) == (False, [])
    store.orlop("image", "create", "top", "--name", "mine").check_failure(1, "is that of image")
    store.orlop("image", "create", "top", "--id", made).check_failure(1, "exists already")
    store.orlop("image", "create", "missing").check_failure(3, "no layer")
    store.orlop("image", "create", "--digest", "nonsense").check_failure(2)
    assert lines(store, "create", "--id", "empty") == ["empty"]
    assert document(store, "inspect", "empty")["layer"] is None
    assert lines(store, "ls", "-q") == sorted([made, "empty"])


def test_pulled_images_are_among_them(store, layout):
    pulled = store.pull(layout.source, "--tag", "box")[len("sha256:") :]
    store.orlop("tag", "box", "also:1")
    lines(store, "create", "--id", "bare")
    rows = [line.split() for line in lines(store, "ls")]
    assert rows[0] == ["ID", "NAMES", "LAYER", "MANIFEST", "CREATED"]
    by_id = {row[0]: row for row in rows[1:]}
    assert by_id[pulled[:12]][1:3] == ["docker.io/library/also:1", "docker.io/library/box:latest"]
    assert by_id[pulled[:12]][4] == "yes"
    assert by_id["bare"][1] == "no"
    assert [each["name"] for each in store.images()] == sorted(by_id[pulled[:12]][1:3])
    data = [each["name"] for each in document(store, "data", "ls", "box")]
    assert f"sha256:{pulled}" in data
    assert "manifest" in data
    config = json.loads(store.orlop("image", "data", "get", "box", f"sha256:{pulled}").out)
    assert config["rootfs"]["diff_ids"] == layout.diff_ids
    store.orlop("image", "data", "rm", "box", "manifest").check_failure(1, "goes with it")


def test_names(store, layout):
    store.pull(layout.source, "--tag", "box")
    lines(store, "create", "top", "--id", "own", "--name", "one")
    lines(store, "name", "add", "own", "docker.io/library/box:latest")
    assert store.images() == []
    names = document(store, "inspect", "own")["names"]
    assert names == ["one", "docker.io/library/box:latest"]
    lines(store, "name", "rm", "own", "one")
    found = document(store, "inspect", "own")
    assert found["names_history"] == ["docker.io/library/box:latest", "one"]
    assert "formerly:  one" in lines(store, "inspect", "own")
    store.pull(layout.source, "--tag", "box")  # takes the name back
    assert document(store, "inspect", "own")["names"] == []


def test_the_last_name_of_a_pulled_image(store, layout):
    """By the image's names it stays without one; by `orlop rm` it goes with its last one."""
    pulled = store.pull(layout.source, "--tag", "box")[len("sha256:") :]
    lines(store, "name", "rm", "box", "docker.io/library/box:latest")
    assert store.images() == []
    assert document(store, "inspect", pulled[:9])["manifest"] is True
    store.collect()
    lines(store, "name", "add", pulled, "docker.io/library/again:1")
    assert [each["name"] for each in store.images()] == ["docker.io/library/again:1"]
    assert store.orlop("cat", "again:1", "/etc/hostname").out == "box\n"
    assert store.orlop("rm", "again:1").code == 0
    store.orlop("image", "inspect", pulled).check_failure(3)


def test_removing(store):
    base, top = layer(store, "base"), layer(store, "top")
    lines(store, "create", "top", "--name", "one")
    lines(store, "create", "base", "--name", "two")
    assert lines(store, "rm", "-n", "one") == [top]
    assert len(lines(store, "ls", "-q")) == 2
    assert lines(store, "rm", "one") == [top]
    done = store.orlop("image", "rm", "one", "two")
    assert (done.code, done.out.split()) == (3, [base])
    assert lines(store, "ls", "-q") == []
    store.collect()
    assert store.files() - {"format.json"} == set()


def test_images_in_use(store, layout):
    before = store.files()
    store.pull(layout.source, "--tag", "box")
    container = store.orlop("container", "create", "box").out.strip()
    for arguments in (["image", "rm", "box"], ["rm", "box"], ["untag", "box"]):
        done = store.orlop(*arguments)
        done.check_failure(5, container)
    store.orlop("tag", "box", "also:1")
    assert store.orlop("rm", "box").code == 0  # It has another name.
    store.orlop("rm", "also:1").check_failure(5, "last name")
    assert store.orlop("rm", "also:1", "--force").code == 0
    assert store.images() == []
    store.collect()
    assert store.orlop("container", "changes", container).out == ""
    assert store.orlop("container", "rm", container).code == 0
    store.collect()
    assert store.files() == before


def manifest_of(place):
    index = json.loads((place / "index.json").read_bytes())
    (target,) = index["manifests"]
    read = lambda digest: json.loads((place / "blobs/sha256" / digest[7:]).read_bytes())  # noqa: E731
    manifest = read(target["digest"])
    return target, manifest, read(manifest["config"]["digest"])


def test_publishing(store, tmp_path):
    (made,) = lines(store, "create", "top", "--name", "mine")
    (first,) = lines(store, "publish", "mine", "mine:1", "also:1")
    assert first != made
    names = ["docker.io/library/also:1", "docker.io/library/mine:1"]
    assert [each["name"] for each in store.images()] == names
    assert lines(store, "publish", made) == [first]
    assert lines(store, "publish", first, "third") == [first]
    config = json.loads(store.orlop("inspect", "mine:1", "--config").out)
    assert len(config["rootfs"]["diff_ids"]) == 2
    done = store.orlop("copy", "store:mine", f"oci:{tmp_path}/out:x")
    assert done.code == 0, done
    assert manifest_of(tmp_path / "out")[2] == config
    assert store.orlop("cat", "mine:1", "/b").out == "second"
    store.orlop("image", "publish", "mine", "UPPER CASE").check_failure(2)
    store.orlop("image", "publish", "missing").check_failure(3)


def test_publishing_without_a_name(store):
    lines(store, "create", "top", "--name", "mine")
    (made,) = lines(store, "publish", "mine")
    assert store.images() == []
    store.collect()
    assert document(store, "inspect", made)["manifest"] is True
    assert store.orlop("image", "rm", made).code == 0


@pytest.mark.parametrize("key", ["mine", "prefix", "id"])
def test_saving_what_has_no_manifest(store, tmp_path, key):
    (made,) = lines(store, "create", "top", "--name", "mine")
    key = {"mine": "mine", "prefix": made[:8], "id": made}[key]
    files = store.files()
    for file_name in ("one.tar", "two.tar"):
        done = store.orlop("save", key, "-o", tmp_path / file_name)
        assert done.code == 0, done
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert store.images() == []
    store.collect()
    assert store.files() == files
    other = type(store)(tmp_path / "other", driver="directory")
    loaded = other.orlop("load", "-i", tmp_path / "one.tar")
    assert (loaded.code, loaded.out) == (0, "docker.io/library/mine:latest\n")
    assert other.orlop("cat", "mine", "/d/a").out == "first"
    store.orlop("save", "nothing", "-o", tmp_path / "none").check_failure(3, "no image")


def test_commands_for_other_images_say_where_to_look(store):
    (made,) = lines(store, "create", "top", "--name", "mine")
    for key in ("mine", made):
        done = store.orlop("rm", key)
        done.check_failure(3)
        assert "`orlop image` has commands" in done.err


def test_names_that_are_no_references(store, tmp_path):
    lines(store, "create", "top", "--name", "Some Name")
    done = store.orlop("copy", "store:Some Name", f"oci:{tmp_path}/out")
    assert done.code == 0, done
    assert manifest_of(tmp_path / "out")[1]["layers"][1]["size"] == len(TOP)


def test_a_config_among_the_data(store, layout, tmp_path):
    """The documents of an image are kept as data elsewhere: they make the same image of it."""
    store.pull(layout.source, "--tag", "box")
    found = document(store, "inspect", "box")
    (tmp_path / "manifest").write_bytes(layout.blob(layout.manifest).read_bytes())
    manifest = json.loads((tmp_path / "manifest").read_bytes())
    (tmp_path / "config").write_bytes(layout.blob(manifest["config"]).read_bytes())
    lines(store, "create", found["layer"], "--name", "own")
    lines(store, "data", "put", "own", "manifest", tmp_path / "manifest")
    assert document(store, "inspect", "own")["digests"] == [layout.manifest["digest"]]
    (plain,) = lines(store, "publish", "own")
    assert plain != found["id"]
    lines(store, "data", "put", "own", manifest["config"]["digest"], tmp_path / "config")
    lines(store, "create", "top", "--name", "unlike")
    lines(store, "data", "put", "unlike", "manifest", tmp_path / "manifest")
    lines(store, "data", "put", "unlike", manifest["config"]["digest"], tmp_path / "config")
    assert lines(store, "publish", "own") == [found["id"]]
    copied = store.orlop("copy", "store:own", f"oci:{tmp_path}/copy:x")
    assert copied.out.strip() == layout.manifest["digest"]
    (other,) = lines(store, "publish", "unlike")
    assert other not in {plain, found["id"]}


def test_directories(store):
    lines(store, "create", "--id", "i")
    (path,) = lines(store, "dir", "i")
    assert path == str(store.root / "images/i/userdata")
    (boot,) = lines(store, "dir", "i", "--boot")
    assert boot.startswith(str(store.run))
    lines(store, "rm", "i")
    assert not any(map(os.path.exists, (path, boot)))


def test_no_store(empty):
    assert empty.orlop("image", "ls").out == "ID  NAMES  LAYER  MANIFEST  CREATED\n"
    empty.orlop("image", "rm", "x").check_failure(3)
    assert not empty.root.exists()
