"""Images that peers made and moved, pulled from every kind of place, shown as peers show them."""

import json
import tarfile

import pytest

from support.corners import CASES, D, layers_of
from support.images import ImageBuilder
from support.marks import needs_root, needs_tools
from support.peers import docker_registry, run
from support.views import differences, view

TOOLS = ("skopeo", "umoci", "podman", "buildah", "docker-registry")
pytestmark = [*needs_root, *needs_tools(*TOOLS)]

SOME = ("whiteout-of-a-directory", "opaque-first", "hard-links", "modes", "owners", "xattrs")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("places")


@pytest.fixture(scope="module")
def layout(place):
    """An image of several layers, and what is to be seen of it."""
    tars = layers_of({name: CASES[name] for name in SOME}, root=[D("./", 0o755, mtime=1)])
    return ImageBuilder(tars=tars).write(place / "layout")


@pytest.fixture(scope="module")
def expected(layout, umoci_shows):
    return umoci_shows(layout.path)


@pytest.fixture(scope="module")
def registry(place):
    folder = place / "registry"
    folder.mkdir()
    with docker_registry(folder) as address:
        yield address


@pytest.mark.parametrize(
    "form",
    ["oci:copy:v1", "oci-archive:copy.oci.tar:v1", "docker-archive:copy.docker.tar", "dir:copied"],
)
def test_copies_of_skopeo(form, layout, expected, tmp_path, orlop_shows):
    transport, _, name = form.partition(":")
    copy = f"{transport}:{tmp_path}/{name}"
    named = f"{copy}:localhost/app:v1" if transport == "docker-archive" else copy
    run("skopeo", "copy", "-q", layout.source, named)
    assert differences(orlop_shows(copy).tree, expected) == []
    assert differences(orlop_shows(named).tree, expected) == []


@pytest.mark.parametrize("form", ["oci", "v2s2"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_registry(form, compression, layout, expected, registry, orlop_shows):
    if (form, compression) == ("v2s2", "zstd"):
        options = ["--format=v2s2", "--dest-compress-format=gzip", "--dest-compress-level=1"]
    else:
        options = [f"--format={form}", f"--dest-compress-format={compression}"]
    name = f"{registry}/team/{form}-{compression}:1"
    run(
        "skopeo",
        "copy",
        "-q",
        "--dest-tls-verify=false",
        *options,
        layout.source,
        f"docker://{name}",
    )
    assert differences(orlop_shows(name).tree, expected) == []
    digest = run(
        "skopeo", "inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{name}"
    )
    by_digest = f"{name.rpartition(':')[0]}@{digest.strip()}"
    assert differences(orlop_shows(by_digest).tree, expected) == []


@pytest.fixture(scope="module")
def edited(place, layout):
    """Images that umoci made: from nothing, by inserting, by repacking, on another's layers."""
    path = place / "umoci"
    run("umoci", "init", "--layout", path)
    run("umoci", "new", "--image", f"{path}:empty")
    source = place / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/file").write_bytes(b"inserted" * 1000)
    (source / "sub/link").symlink_to("file")
    (source / "sub/twin").hardlink_to(source / "sub/file")
    image = f"{path}:inserted"
    run("umoci", "insert", "--image", f"{path}:empty", "--tag", "inserted", source, "/opt")
    run("umoci", "unpack", "--image", image, place / "bundle")
    rootfs = place / "bundle/rootfs"
    (rootfs / "opt/sub/link").unlink()
    (rootfs / "opt/sub/file").chmod(0o4711)
    (rootfs / "new").mkdir(mode=0o1777)
    (rootfs / "new/file").write_bytes(b"repacked")
    run("umoci", "repack", "--image", f"{path}:repacked", place / "bundle")
    run(
        "umoci",
        "insert",
        "--image",
        f"{path}:repacked",
        "--tag",
        "hidden",
        "--whiteout",
        "/opt/sub",
    )
    run(
        "umoci",
        "insert",
        "--image",
        f"{path}:repacked",
        "--tag",
        "opaque",
        "--opaque",
        source,
        "/opt",
    )
    run("skopeo", "copy", "-q", layout.source, f"oci:{path}:other")
    run("umoci", "insert", "--image", f"{path}:other", source, "/opt/deep/er")
    return path


@pytest.mark.parametrize("tag", ["empty", "inserted", "repacked", "hidden", "opaque", "other"])
def test_images_of_umoci(tag, edited, orlop_shows, umoci_shows):
    ours, theirs = orlop_shows(f"oci:{edited}:{tag}").tree, umoci_shows(edited, tag)
    without_implied_times(ours, theirs)
    assert differences(ours, theirs, root=False) == []


def without_implied_times(ours, theirs):
    """Let directories agree that no layer has an entry for: umoci gives them the time of now."""
    if not ours.mtime_ns:
        theirs.mtime_ns = 0
    for name, child in (ours.children or {}).items():
        if child.is_dir:
            without_implied_times(child, theirs.children[name])


@pytest.fixture(scope="module")
def built(containers_storage, place):
    """The name of an image that buildah built in two steps, and what podman shows of it."""
    storage = containers_storage("overlay")
    source = place / "build"
    (source / "bin").mkdir(parents=True)
    (source / "bin/tool").write_bytes(b"tool" * 5000)
    (source / "bin/tool").chmod(0o4755)
    (source / "bin/same").hardlink_to(source / "bin/tool")
    (source / "link").symlink_to("/bin/tool")
    container = storage.buildah("from", "scratch")
    storage.buildah("copy", container, source, "/")
    storage.buildah("commit", "-q", container, "localhost/built:one")
    container = storage.buildah("from", "localhost/built:one")
    root = storage.buildah("mount", container)
    run("rm", f"{root}/bin/same")
    run("sh", "-c", f"echo more > {root}/bin/more; chown 5:6 {root}/bin/more; mkfifo {root}/fifo")
    storage.buildah("umount", container)
    storage.buildah("config", "--env", "A=B", container)
    storage.buildah("commit", "-q", container, "localhost/built:two")
    return {
        name: view(storage.podman("image", "mount", name))
        for name in ("localhost/built:one", "localhost/built:two")
    }


@pytest.mark.parametrize("driver", ["erofs", "overlay"])
@pytest.mark.parametrize("form", ["oci:pushed:v1", "docker-archive:pushed.tar", "dir:pushed-dir"])
def test_images_that_buildah_pushes(form, driver, built, tmp_path, containers_storage, orlop_shows):
    transport, _, name = form.partition(":")
    copy = f"{transport}:{tmp_path}/{name}"
    containers_storage("overlay").buildah("push", "-q", "localhost/built:two", copy)
    assert (
        differences(orlop_shows(copy, driver).tree, built["localhost/built:two"], root=False) == []
    )


@pytest.mark.parametrize("tool", ["buildah", "podman"])
@pytest.mark.parametrize("name", ["localhost/built:one", "localhost/built:two"])
def test_images_pushed_to_a_registry(tool, name, built, registry, containers_storage, orlop_shows):
    target = f"{registry}/{tool}/{name.partition('/')[2]}"
    storage = containers_storage("overlay")
    getattr(storage, tool)("push", "-q", "--tls-verify=false", name, f"docker://{target}")
    assert differences(orlop_shows(target).tree, built[name], root=False) == []


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir", "docker-dir"])
def test_what_podman_saves(form, built, tmp_path, containers_storage, orlop_shows):
    saved = tmp_path / "saved"
    name = "localhost/built:two"
    containers_storage("overlay").podman("save", "-q", "--format", form, "-o", saved, name)
    transport = {"oci-dir": "oci", "docker-dir": "dir"}.get(form, form)
    assert differences(orlop_shows(f"{transport}:{saved}").tree, built[name], root=False) == []


def test_several_images_that_podman_saves(built, tmp_path, containers_storage, orlop_shows):
    saved = tmp_path / "several.tar"
    containers_storage("overlay").podman("save", "-q", "-m", "-o", saved, *built)
    for name, theirs in built.items():
        assert (
            differences(orlop_shows(f"docker-archive:{saved}:{name}").tree, theirs, root=False)
            == []
        )


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_docker_save_since_docker_25(transport, layout, expected, tmp_path, orlop_shows):
    """It writes one archive in both dialects: an OCI layout, and a manifest.json beside it."""
    manifest = json.loads(layout.blob(layout.manifest).read_bytes())
    blobs = [descriptor["digest"].replace(":", "/") for descriptor in manifest["layers"]]
    document = {
        "Config": "blobs/" + manifest["config"]["digest"].replace(":", "/"),
        "RepoTags": ["app:v1"],
        "Layers": [f"blobs/{blob}" for blob in blobs],
    }
    (tmp_path / "manifest.json").write_text(json.dumps([document]))
    saved = tmp_path / "saved.tar"
    with tarfile.open(saved, "w") as archive:
        archive.add(layout.path, ".")
        archive.add(tmp_path / "manifest.json", "manifest.json")
    assert differences(orlop_shows(f"{transport}:{saved}").tree, expected) == []
