"""What `copy` and `save` write is read by skopeo, podman, containerd and umoci, and the reverse."""

import hashlib
import json

import pytest

import orlop
from support.images import ImageBuilder, directory, file, join_platforms
from support.marks import needs_root, needs_tools
from support.peers import ContainersStorage, containerd, run, umoci_unpack

pytestmark = [*needs_tools("skopeo", "podman", "containerd", "ctr", "umoci"), *needs_root]

FORMS = {
    "oci": "oci:{}/layout:{}",
    "oci-archive": "oci-archive:{}/{}.oci.tar",
    "docker-archive": "docker-archive:{}/{}.docker.tar",
    "dir": "dir:{}/{}.dir",
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Images of three compressions in a layout, by tag, and every form that they are copied to."""
    place = tmp_path_factory.mktemp("copies")
    images = {}
    for compression in ("gzip", "zstd", "none"):
        builder = ImageBuilder(compression=compression)
        builder.layer(directory("d"), file("d/which", compression.encode()))
        builder.layer().layer(file("d/more", b"more" * 1000)).layer()
        images[compression] = builder.write(place / "images", compression)
        for form in FORMS.values():
            orlop.copy(images[compression].source, form.format(place, compression))
    return place, images


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    storage = ContainersStorage(tmp_path_factory.mktemp("podman") / "storage", "vfs")
    yield storage
    storage.close()


@pytest.fixture(scope="module")
def ctr(tmp_path_factory):
    with containerd(tmp_path_factory.mktemp("containerd") / "place") as client:
        yield client


def at(places, form, compression):
    return FORMS[form].format(places[0], compression)


def manifest_digest(source):
    raw = run("skopeo", "inspect", "--raw", source)
    return "sha256:" + hashlib.sha256(raw.encode()).hexdigest()


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("form", ["oci", "oci-archive", "dir"])
def test_skopeo_finds_the_same_manifest(places, form, compression):
    expected = places[1][compression].manifest["digest"]
    assert manifest_digest(at(places, form, compression)) == expected


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("form", FORMS)
def test_skopeo_copies_it_on(places, form, compression, tmp_path):
    run("skopeo", "copy", at(places, form, compression), f"dir:{tmp_path}/copy")
    manifest = json.loads((tmp_path / "copy/manifest.json").read_bytes())
    config = json.loads((tmp_path / "copy" / manifest["config"]["digest"][7:]).read_bytes())
    assert config["rootfs"]["diff_ids"] == places[1][compression].diff_ids


@pytest.mark.parametrize("form", FORMS)
def test_podman_pulls_it(places, form, podman):
    for compression in places[1]:
        image = podman.podman("pull", "-q", at(places, form, compression))
        diff_ids = json.loads(podman.podman("image", "inspect", image))[0]["RootFS"]["Layers"]
        assert diff_ids == places[1][compression].diff_ids


def test_podman_loads_what_several_images_were_saved_to(places, podman, tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        for compression, image in places[1].items():
            store.pull(image.source, tag=f"quay.io/some/{compression}:1")
        store.tag("quay.io/some/gzip:1", "quay.io/some/gzip:2")
        names = [image.name for image in store.images()]
        store.save(names, tmp_path / "several.tar")
    listed = json.loads(run("skopeo", "list-tags", f"docker-archive:{tmp_path}/several.tar"))
    assert set(listed["Tags"]) == set(names)
    podman.podman("load", "-q", "-i", f"{tmp_path}/several.tar")
    for name in names:
        diff_ids = json.loads(podman.podman("image", "inspect", name))[0]["RootFS"]["Layers"]
        assert diff_ids == places[1][name.split("/")[2].split(":")[0]].diff_ids


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_containerd_imports_it_with_the_same_digest(places, ctr, form, compression, tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        name = f"quay.io/{form}/{compression}:1"
        store.pull(places[1][compression].source, tag=name)
        store.save([name], tmp_path / "saved.tar", format=form)
    ctr("images", "import", "--no-unpack", tmp_path / "saved.tar")
    (line,) = [row for row in ctr("images", "ls").splitlines() if row.startswith(name)]
    assert places[1][compression].manifest["digest"] in line


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_umoci_unpacks_it(places, compression, tmp_path):
    root = umoci_unpack(places[0] / "layout", compression, tmp_path / "rootfs")
    assert (root / "d/which").read_text() == compression


def test_umoci_reads_dockers_types_once_they_are_turned_into_ocis(tmp_path):
    def docker(document):
        kinds = "application/vnd.docker."
        document["mediaType"] = kinds + "distribution.manifest.v2+json"
        document["config"]["mediaType"] = kinds + "container.image.v1+json"
        for layer in document["layers"]:
            layer["mediaType"] = kinds + "image.rootfs.diff.tar.gzip"

    image = ImageBuilder().layer(file("a", b"a")).write(tmp_path / "docker", change=docker)
    index = json.loads((tmp_path / "docker/index.json").read_bytes())
    index["manifests"][0]["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json"
    (tmp_path / "docker/index.json").write_text(json.dumps(index))
    copied = orlop.copy(image.source, f"oci:{tmp_path}/oci:tag", oci=True)
    (note,) = copied.notes
    assert image.manifest["digest"] in note
    assert copied.digest in note
    root = umoci_unpack(tmp_path / "oci", "tag", tmp_path / "rootfs")
    assert (root / "a").read_bytes() == b"a"


def test_loading_what_podman_saves_of_several_images(places, podman, tmp_path):
    names = []
    for compression in ("gzip", "none"):  # podman saves no zstd
        image = podman.podman("pull", "-q", at(places, "oci", compression))
        names.append(f"quay.io/podman/{compression}:1")
        podman.podman("tag", image, names[-1])
    podman.podman("save", "-q", "-m", "-o", f"{tmp_path}/several.tar", *names)
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        loaded = {image.name: image for image in store.load(tmp_path / "several.tar")}
        assert set(names) <= set(loaded)
        for name in names:
            expected = places[1][name.split("/")[2].split(":")[0]].diff_ids
            assert list(loaded[name].config.diff_ids) == expected


def test_loading_what_containerd_exports_of_several_images(places, ctr, tmp_path):
    names = []
    for compression, image in places[1].items():
        names.append(f"quay.io/exported/{compression}:1")
        orlop.copy(image.source, f"docker-archive:{tmp_path}/{compression}.tar:{names[-1]}")
        ctr("images", "import", "--no-unpack", tmp_path / f"{compression}.tar")
    ctr("images", "export", tmp_path / "several.tar", *names)
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        loaded = {image.name: image.target.digest for image in store.load(tmp_path / "several.tar")}
    assert loaded == {
        name: image.manifest["digest"]
        for name, image in zip(names, places[1].values(), strict=True)
    }


@pytest.mark.parametrize(
    "form", ["oci:{}/theirs:tag", "oci-archive:{}/theirs.tar", "dir:{}/theirs"]
)
def test_copying_what_skopeo_writes(places, form, tmp_path):
    theirs = form.format(tmp_path)
    run("skopeo", "copy", "--preserve-digests", at(places, "oci", "gzip"), theirs)
    for number, mine in enumerate(FORMS.values()):
        copied = orlop.copy(theirs, mine.format(tmp_path, number))
        assert copied.digest == places[1]["gzip"].manifest["digest"]


def test_containerd_and_podman_load_an_index(tmp_path, ctr, podman):
    for each in ("amd64", "arm64"):
        builder = ImageBuilder(platform=("linux", each)).layer(file(each, b"y"))
        builder.write(tmp_path / "in", each)
    expected = join_platforms(tmp_path / "in")["digest"]
    for form in ("oci-archive", "docker-archive"):
        name = f"quay.io/index/{form}:1"
        archive = tmp_path / f"{form}.tar"
        orlop.copy(f"oci:{tmp_path}/in:all", f"{form}:{archive}:{name}")
        ctr("images", "import", "--no-unpack", "--all-platforms", archive)
        (line,) = [row for row in ctr("images", "ls").splitlines() if row.startswith(name)]
        assert expected in line
        podman.podman("load", "-q", "-i", archive)


def test_an_index_goes_through_every_form_and_skopeo_reads_all_of_it(tmp_path):
    for each in ("amd64", "arm64", "s390x"):
        builder = ImageBuilder(platform=("linux", each)).layer(file(each, b"x"))
        builder.write(tmp_path / "in", each)
    join_platforms(tmp_path / "in")
    source = f"oci:{tmp_path}/in:all"
    before = manifest_digest(source)
    for form in ("oci", "oci-archive", "dir"):
        place = FORMS[form].format(tmp_path, "all")
        assert orlop.copy(source, place, all_platforms=True).digest == before
        assert manifest_digest(place) == before
        run("skopeo", "copy", "--all", place, f"dir:{tmp_path}/of-{form}")
        source = place
