"""Images that were made here are read by others: out of layers, and out of containers."""

import hashlib
import json
import os
import subprocess
import tarfile

import pytest

import orlop
from support.images import ImageBuilder, directory, file, hardlink, symlink, tar, whiteout
from support.marks import needs_root, needs_tools
from support.peers import ContainersStorage, run, umoci_unpack

pytestmark = [*needs_tools("skopeo", "podman", "umoci"), *needs_root]

BASE = tar(
    directory("d", mode=0o2750, uid=3, gid=4), file("d/a", b"a" * 5000, uid=7, mode=0o4755),
    hardlink("d/b", "d/a"), symlink("link", "d/a"), file("gone", b"x"),
)  # fmt: skip
TOP = tar(file("d/new", b"new", pax_headers={"SCHILY.xattr.user.k": "v"}), whiteout("gone"))


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        yield store


@pytest.fixture
def image(store, tmp_path):
    """An image of a layer out of a tar, one that was written to, and one out of another tar."""
    (tmp_path / "base.tar").write_bytes(BASE)
    (tmp_path / "top.tar").write_bytes(TOP)
    with (tmp_path / "base.tar").open("rb") as stream:
        base = store.layers.put(stream)
    middle = store.layers.create(base.id)
    with store.layers.mount(middle.id) as path:
        (path / "d/a").write_bytes(b"written")
        (path / "dir").mkdir(mode=0o711)
        os.chown(path / "dir", 1234, 5678)
        os.setxattr(path / "dir", "user.note", b"\x00\xff")
    with (tmp_path / "top.tar").open("rb") as stream:
        top = store.layers.put(stream, middle.id)
    return store.stored_images.create(top.id, names=["made"])


def listing(root):
    """Every path below a directory with what tar and a runtime see of it."""
    found = {}
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            link = os.path.islink(path)
            content = os.readlink(path) if link else ""
            if not link and os.path.isfile(path):
                with open(path, "rb") as stream:
                    content = hashlib.sha256(stream.read()).hexdigest()
            xattrs = {} if link else {each: os.getxattr(path, each) for each in os.listxattr(path)}
            owner = (status.st_uid, status.st_gid)
            found[os.path.relpath(path, root)] = (status.st_mode, owner, content, xattrs)
    return found


def shown(store, image):
    with store.stored_images.mount(image.id) as path:
        return listing(path)


def test_umoci_unpacks_the_same_files(store, image, tmp_path):
    copied = orlop.copy("store:made", f"oci:{tmp_path}/layout:tag", store=store)
    expected = shown(store, image)
    assert expected["d/a"][2] == hashlib.sha256(b"written").hexdigest()
    assert listing(umoci_unpack(tmp_path / "layout", "tag", tmp_path / "out")) == expected
    index = json.loads((tmp_path / "layout/index.json").read_bytes())
    assert index["manifests"][0]["digest"] == copied.digest


def test_skopeo_reads_and_copies_it(store, image, tmp_path):
    copied = orlop.copy("store:made", f"oci:{tmp_path}/layout:tag", store=store)
    raw = run("skopeo", "inspect", "--raw", f"oci:{tmp_path}/layout:tag")
    assert "sha256:" + hashlib.sha256(raw.encode()).hexdigest() == copied.digest
    config = json.loads(run("skopeo", "inspect", "--config", f"oci:{tmp_path}/layout:tag"))
    run("skopeo", "copy", f"oci:{tmp_path}/layout:tag", f"dir:{tmp_path}/copy")
    tars = []
    for layer in json.loads(raw)["layers"]:
        data = (tmp_path / "copy" / layer["digest"][7:]).read_bytes()
        tars.append("sha256:" + hashlib.sha256(data).hexdigest())
    assert config["rootfs"]["diff_ids"] == tars
    assert (tars[0], tars[2]) == tuple(
        "sha256:" + hashlib.sha256(each).hexdigest() for each in (BASE, TOP)
    )


def test_the_same_image_is_the_same_again(store, image, tmp_path):
    first = orlop.copy("store:made", f"oci:{tmp_path}/first", store=store)
    assert store.images() == []
    store.collect()
    published = store.stored_images.publish("made", "made:1", "made:2")
    store.collect()
    second = orlop.copy("store:made:1", f"oci:{tmp_path}/second", store=store)
    assert first.digest == second.digest == published.digest
    assert store.image("made:2").config.created is not None
    store.save(["made"], tmp_path / "one.tar")
    store.save(["made"], tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert shown(store, published) == shown(store, image)


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    """podman takes no place whose path is long."""
    storage = ContainersStorage(tmp_path_factory.mktemp("podman") / "s", "vfs")
    yield storage
    storage.close()


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_podman_loads_what_was_committed(store, podman, tmp_path, compression):
    builder = ImageBuilder(
        config={
            "config": {"Cmd": ["run"], "Labels": {"a": "b"}},
            "history": [{"created_by": "first"}, {"created_by": "none", "empty_layer": True}],
        }
    )
    builder.layer(directory("etc"), file("etc/kept", b"kept"), file("etc/gone", b"gone"))
    store.pull(builder.write(tmp_path / "layout").source, tag="base")
    container = store.containers.create("base")
    with store.containers.mount(container.id) as rootfs:
        (rootfs / "etc/gone").unlink()
        (rootfs / "etc/new").write_bytes(b"new")
        os.chown(rootfs / "etc/new", 5, 6)
    image = store.containers.commit(
        container.id, "done:1", author="me", comment="why", created_by="make it",
        created_at_ns=1_600_000_000 * 10**9, compression=compression,
    )  # fmt: skip
    store.save(["done:1"], tmp_path / "saved.tar")
    podman.podman("load", "-q", "-i", tmp_path / "saved.tar")
    (found,) = json.loads(podman.podman("image", "inspect", "docker.io/library/done:1"))
    assert found["Id"] == image.id
    config = store.image("done:1").config
    assert found["RootFS"]["Layers"] == list(config.diff_ids)
    assert found["Created"] == "2020-09-13T12:26:40Z"
    assert found["Author"] == "me"
    assert (found["Config"]["Cmd"], found["Config"]["Labels"]) == (["run"], {"a": "b"})
    steps = [(each.get("created_by"), each.get("comment")) for each in found["History"]]
    assert steps == [("first", None), ("none", None), ("make it", "why")]
    root = podman.podman("image", "mount", image.id)
    expected = shown(store, image)
    assert {path: rest for path, rest in listing(root).items() if path in expected} == expected
    assert not os.path.exists(f"{root}/etc/gone")


def test_gnu_tar_lists_what_a_container_changed(store, tmp_path):
    container = store.containers.create()
    with store.containers.mount(container.id) as rootfs:
        (rootfs / "a").write_bytes(b"x" * 100_000)
        os.mkfifo(rootfs / "pipe")
    with store.containers.diff(container.id) as stream, (tmp_path / "out.tar").open("wb") as out:
        out.write(stream.read())
    done = subprocess.run(
        ["tar", "-tf", tmp_path / "out.tar"], check=True, capture_output=True, text=True
    )
    assert [each.strip("./") for each in done.stdout.split()] == ["a", "pipe"]
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert archive.getmember("pipe").isfifo()
