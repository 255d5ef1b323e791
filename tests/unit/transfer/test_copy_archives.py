"""Archives: written whole or not at all, down pipes, of several images; hostile ones refused."""

import gzip
import io
import json
import os
import subprocess
import tarfile
import threading

import pytest

import orlop
from orlop.digest import Digest
from orlop.errors import (
    AlreadyExistsError,
    AmbiguousError,
    DigestMismatchError,
    InvalidArchiveError,
    InvalidDocumentError,
    InvalidReferenceError,
    NotFoundError,
    SizeMismatchError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.layout import list_images, parse_place
from orlop.transfer import SourceOptions
from support.images import ImageBuilder, digest, file

ARCHIVES = ("oci-archive", "docker-archive")


@pytest.fixture
def image(tmp_path):
    builder = ImageBuilder().layer(file("a", b"a" * 5000)).layer(file("b"))
    return builder.write(tmp_path / "from", "v1")


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as opened:
        yield opened


def members(path):
    with tarfile.open(path) as archive:
        return archive.getmembers()


def json_member(path, name):
    with tarfile.open(path) as archive:
        return json.load(archive.extractfile(name))


def beside(tmp_path):
    """What lies there that no test has put there."""
    return {each.name for each in tmp_path.iterdir()} - {"from", "root", "run"}


@pytest.mark.parametrize("form", ARCHIVES)
def test_the_same_image_makes_the_same_bytes_in_order(form, image, tmp_path):
    for name in ("one.tar", "other.tar"):
        orlop.copy(image.source, f"{form}:{tmp_path}/{name}:quay.io/x:1")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()
    found = members(tmp_path / "one.tar")
    names = [each.name + "/" * each.isdir() for each in found]
    assert names == sorted(names)
    assert {(each.mtime, each.uid, each.gid, each.uname) for each in found} == {(0, 0, 0, "")}
    modes = {each.name.split("/")[0]: each.mode for each in found if each.isfile()}
    documents = {"manifest.json": 0o644} if form == "docker-archive" else {}
    assert modes == {"blobs": 0o444, "index.json": 0o644, "oci-layout": 0o444, **documents}
    assert len((tmp_path / "one.tar").read_bytes()) % 10240 == 0


def test_the_time_of_all_members_can_be_chosen(image, tmp_path):
    orlop.copy(image.source, f"oci-archive:{tmp_path}/out.tar", timestamp=1234567890)
    assert {each.mtime for each in members(tmp_path / "out.tar")} == {1234567890}


@pytest.mark.parametrize("form", ARCHIVES)
def test_a_stream_has_the_bytes_of_the_file(form, image, tmp_path):
    orlop.copy(image.source, f"{form}:{tmp_path}/out.tar:x/y:1")
    stream = io.BytesIO()
    orlop.copy(image.source, f"{form}:-:x/y:1", output=stream)
    assert stream.getvalue() == (tmp_path / "out.tar").read_bytes()
    for data in (stream.getvalue(), gzip.compress(stream.getvalue())):
        options = SourceOptions(stream=io.BytesIO(data), spool=tmp_path)
        copied = orlop.copy(f"{form}:-", f"dir:{tmp_path}/back", options=options)
        assert copied.digest == image.manifest["digest"]


@pytest.mark.parametrize("form", ARCHIVES)
def test_without_a_stream_a_dash_means_nothing(form, image):
    with pytest.raises(InvalidReferenceError, match="means a stream"):
        orlop.copy(image.source, f"{form}:-")
    with pytest.raises(InvalidReferenceError, match="means a stream"):
        orlop.copy(f"{form}:-", image.source)


def test_an_image_is_added_to_an_oci_archive(image, tmp_path):
    place = f"oci-archive:{tmp_path}/out.tar"
    orlop.copy(image.source, place)
    other = ImageBuilder().layer(file("other")).write(tmp_path / "from", "v2")
    assert orlop.copy(other.source, place).digest == other.manifest["digest"]
    assert [each.selector for each in list_images(parse_place(place))] == ["v1", "v2"]
    for each in (image, other):
        copied = orlop.copy(f"{place}:{each.tag}", f"oci:{tmp_path}/back")
        assert copied.digest == each.manifest["digest"]
    assert beside(tmp_path) == {"out.tar", "back"}


def test_what_docker_reads_of_an_archive_that_is_added_to_is_said(image, tmp_path):
    orlop.copy(image.source, f"docker-archive:{tmp_path}/out.tar:x/y:1")
    copied = orlop.copy(image.source, f"oci-archive:{tmp_path}/out.tar:x/y:2")
    assert "docker-archive" in copied.notes[0]


def test_nothing_is_added_to_a_docker_archive(image, tmp_path):
    place = f"docker-archive:{tmp_path}/out.tar"
    orlop.copy(image.source, place)
    before = (tmp_path / "out.tar").read_bytes()
    with pytest.raises(AlreadyExistsError, match=r"out\.tar exists") as caught:
        orlop.copy(image.source, place)
    assert caught.value.hint
    assert (tmp_path / "out.tar").read_bytes() == before
    assert beside(tmp_path) == {"out.tar"}


@pytest.mark.parametrize("form", [*ARCHIVES, "oci", "dir"])
def test_something_else_in_the_place_is_left_alone(form, image, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    (there / "precious").write_bytes(b"data")
    with pytest.raises(AlreadyExistsError, match="there"):
        orlop.copy(image.source, f"{form}:{there}")
    assert [each.name for each in there.iterdir()] == ["precious"]
    with pytest.raises((AlreadyExistsError, InvalidArchiveError, InvalidDocumentError)):
        orlop.copy(image.source, f"{form}:{there}/precious")
    assert (there / "precious").read_bytes() == b"data"
    assert beside(tmp_path) == {"there"}


@pytest.mark.parametrize("form", [*ARCHIVES, "oci", "dir"])
def test_a_lying_descriptor_leaves_nothing_with_a_name(form, image, tmp_path):
    blob = image.blob(image.layers[0])
    data = bytearray(blob.read_bytes())
    data[20] ^= 1
    blob.write_bytes(data)
    with pytest.raises(DigestMismatchError, match=f"copying oci:.*from:v1 to {form}:.*out"):
        orlop.copy(image.source, f"{form}:{tmp_path}/out")
    if form == "oci":
        assert list_images(parse_place(f"oci:{tmp_path}/out")) == []
    else:
        assert beside(tmp_path) == set()


@pytest.mark.parametrize("form", ARCHIVES)
def test_a_size_that_two_manifests_disagree_on(form, tmp_path):
    first = ImageBuilder().layer(file("a")).write(tmp_path / "from", "v1")

    def lie(document):
        document["layers"][0]["size"] -= 1

    ImageBuilder().layer(file("a")).write(tmp_path / "from", "v2", change=lie)
    with pytest.raises(SizeMismatchError, match=first.layers[0]["digest"]):
        orlop.copy_all(f"oci:{tmp_path}/from", f"{form}:{tmp_path}/out.tar")
    assert beside(tmp_path) == set()


def artifact(path):
    def change(document):
        document["artifactType"] = "application/vnd.some.thing"
        document["config"]["mediaType"] = "application/vnd.some.config+json"

    return ImageBuilder().layer(file("a")).write(path, "artifact", change=change)


def test_an_artifact_goes_everywhere_but_into_a_docker_archive(tmp_path):
    thing = artifact(tmp_path / "from")
    for form in ("oci", "oci-archive", "dir"):
        copied = orlop.copy(thing.source, f"{form}:{tmp_path}/{form}")
        assert copied.digest == thing.manifest["digest"]
    stream = io.BytesIO()
    with pytest.raises(UnsupportedError, match=r"vnd\.some\.thing") as caught:
        orlop.copy(thing.source, "docker-archive:-", output=stream)
    assert "oci-archive" in caught.value.hint
    assert stream.getvalue() == b""


def test_several_images_are_saved_once_with_all_names(store, tmp_path):
    one = ImageBuilder().layer(file("shared", b"s")).layer(file("one"))
    other = ImageBuilder().layer(file("shared", b"s")).layer(file("other"))
    store.pull(one.write(tmp_path / "from", "1").source, tag="quay.io/one:latest")
    store.pull(other.write(tmp_path / "from", "2").source, tag="quay.io/other:latest")
    store.tag("quay.io/one:latest", "quay.io/one:a", "localhost/third:b")
    names = [image.name for image in store.images()]
    saved = store.save(names, tmp_path / "saved.tar")
    assert sorted(name for image in saved for name in image.names) == names
    listed = json_member(tmp_path / "saved.tar", "manifest.json")
    assert sorted(name for each in listed for name in each["RepoTags"]) == names
    assert len(listed) == 2
    index = json_member(tmp_path / "saved.tar", "index.json")
    found = [each["annotations"]["io.containerd.image.name"] for each in index["manifests"]]
    assert sorted(found) == names
    paths = [each.name for each in members(tmp_path / "saved.tar")]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("form", ARCHIVES)
def test_what_was_saved_is_loaded_under_its_names(form, store, tmp_path):
    for number in range(3):
        image = ImageBuilder().layer(file(str(number))).write(tmp_path / "from", str(number))
        store.pull(image.source, tag=f"quay.io/app:{number}")
    store.tag("quay.io/app:0", "quay.io/more:latest")
    before = {image.name: image.target.digest for image in store.images()}
    store.save(list(before), tmp_path / "saved.tar", format=form)
    (tmp_path / "saved.tar.gz").write_bytes(gzip.compress((tmp_path / "saved.tar").read_bytes()))
    with orlop.open_store(tmp_path / "root2", tmp_path / "run2") as other:
        for name in ("saved.tar", "saved.tar.gz"):
            loaded = other.load(tmp_path / name)
            assert {image.name: image.target.digest for image in loaded} == before
        with (tmp_path / "saved.tar").open("rb") as stream:
            assert len(other.load(stream)) == len(before)


@pytest.mark.parametrize(
    ("form", "named"),
    [
        ("oci:{}/place", {"localhost/place:v1", "localhost/place:v2"}),
        ("oci-archive:{}/place.tar", {"localhost/place:v1", "localhost/place:v2"}),
        ("docker-archive:{}/place.tar", {"localhost/from:v1", "localhost/from:v2"}),
    ],
)
def test_all_images_of_a_place(form, named, image, store, tmp_path):
    ImageBuilder().layer(file("other")).write(tmp_path / "from", "v2")
    place = form.format(tmp_path)
    copied = orlop.copy_all(f"oci:{tmp_path}/from", place)
    assert copied[0].digest == image.manifest["digest"]
    assert len(list_images(parse_place(place))) == 2
    loaded = store.load(place.partition(":")[2])
    assert {each.name for each in loaded} == named
    again = orlop.copy_all("store:", f"oci-archive:{tmp_path}/again.tar", store=store)
    assert {each.digest for each in again} == {each.digest for each in copied}


def test_a_copy_tells_what_it_is_called(image, store, tmp_path):
    for destination, names in (
        (f"oci:{tmp_path}/oci", ("v1",)),
        (f"oci:{tmp_path}/oci:other", ("other",)),
        (f"oci-archive:{tmp_path}/a.tar:quay.io/x/y:1", ("quay.io/x/y:1",)),
        (f"docker-archive:{tmp_path}/b.tar", ("localhost/from:v1",)),
        (f"docker-archive:{tmp_path}/c.tar:app", ("docker.io/library/app:latest",)),
        (f"dir:{tmp_path}/dir", ()),
        ("store:app:1", ("docker.io/library/app:1",)),
        ("store:", ("localhost/from:v1",)),
    ):
        assert orlop.copy(image.source, destination, store=store).names == names
    place = f"docker-archive:{tmp_path}/d.tar:app@{image.manifest['digest']}"
    with pytest.raises(InvalidReferenceError, match="digest"):
        orlop.copy(image.source, place)


def test_several_images_cannot_have_one_name_or_one_directory(image, tmp_path):
    ImageBuilder().layer(file("other")).write(tmp_path / "from", "v2")
    with pytest.raises(InvalidReferenceError, match="names one image"):
        orlop.copy_all(f"oci:{tmp_path}/from", f"oci:{tmp_path}/out:tag")
    with pytest.raises(UnsupportedError, match="one image"):
        orlop.copy_all(f"oci:{tmp_path}/from", f"dir:{tmp_path}/out")
    with pytest.raises(AmbiguousError):
        orlop.copy(f"oci:{tmp_path}/from", f"oci:{tmp_path}/out")
    assert beside(tmp_path) == set()


def test_an_empty_place_has_nothing_to_copy(tmp_path):
    ImageBuilder().layer(file("a")).write(tmp_path / "from")
    index = {"schemaVersion": 2, "manifests": []}
    (tmp_path / "from/index.json").write_text(json.dumps(index))
    with pytest.raises(NotFoundError, match="no image"):
        orlop.copy_all(f"oci:{tmp_path}/from", f"oci:{tmp_path}/out")


def test_a_layer_that_may_not_be_distributed_is_left_out(image, tmp_path):
    def change(document):
        document["layers"][0]["mediaType"] = (
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        )

    image = ImageBuilder().layer(file("a")).layer(file("b")).write(
        tmp_path / "from", "v2", change=change
    )  # fmt: skip
    image.blob(image.layers[0]).unlink()
    for form in (*ARCHIVES, "oci", "dir"):
        copied = orlop.copy(image.source, f"{form}:{tmp_path}/{form}.out")
        assert copied.digest == image.manifest["digest"]
        assert [image.layers[0]["digest"] in note for note in copied.notes] == [True]


@pytest.mark.parametrize("form", ARCHIVES)
@pytest.mark.parametrize("kept", [0, 511, 512, 2000, 5000])
def test_an_archive_that_is_cut_short(form, kept, image, tmp_path):
    orlop.copy(image.source, f"{form}:{tmp_path}/whole.tar")
    whole = (tmp_path / "whole.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:kept])
    with pytest.raises((InvalidArchiveError, InvalidDocumentError)):
        orlop.copy(f"{form}:{tmp_path}/cut.tar", f"oci:{tmp_path}/out")
    assert not (tmp_path / "out").exists()


def spoilt(tmp_path, image, *infos):
    """An archive of the image with further members at its end."""
    orlop.copy(image.source, f"oci-archive:{tmp_path}/good.tar")
    with (
        tarfile.open(tmp_path / "good.tar") as good,
        tarfile.open(tmp_path / "bad.tar", "w") as bad,
    ):
        for member in good.getmembers():
            bad.addfile(member, good.extractfile(member) if member.isfile() else None)
        for info in infos:
            bad.addfile(info, io.BytesIO(bytes(info.size)))
    return f"oci-archive:{tmp_path}/bad.tar"


def info(name, **attributes):
    found = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(found, key, value)
    return found


def test_hostile_members(image, tmp_path):
    for bad, error in (
        (info("../escape", size=3), UnsafePathError),
        (info("blobs/sha256/../../../escape", size=3), UnsafePathError),
        (info("index.json", size=3), InvalidArchiveError),
    ):
        place = spoilt(tmp_path, image, bad)
        with pytest.raises(error, match=r"bad\.tar"):
            orlop.copy(place, f"oci:{tmp_path}/out")
        with pytest.raises(error, match=r"bad\.tar"):
            orlop.copy(image.source, place)
        assert not (tmp_path / "out").exists()
        (tmp_path / "good.tar").unlink()
    assert beside(tmp_path) == {"bad.tar"}


def test_a_blob_that_links_out_of_the_archive(image, tmp_path):
    def change(document):
        document["layers"][0].update(digest=digest(b"passwd"), size=6)

    other = ImageBuilder().layer(file("x")).write(tmp_path / "from", "v2", change=change)
    (tmp_path / "from/blobs/sha256" / digest(b"passwd")[7:]).write_bytes(b"passwd")
    orlop.copy(other.source, f"oci-archive:{tmp_path}/good.tar")
    with (
        tarfile.open(tmp_path / "good.tar") as good,
        tarfile.open(tmp_path / "bad.tar", "w") as bad,
    ):
        for member in good.getmembers():
            if member.name.endswith(digest(b"passwd")[7:]):
                bad.addfile(info(member.name, type=tarfile.SYMTYPE, linkname="../../../../passwd"))
            else:
                bad.addfile(member, good.extractfile(member) if member.isfile() else None)
    with pytest.raises(UnsafePathError):
        orlop.copy(f"oci-archive:{tmp_path}/bad.tar", f"oci:{tmp_path}/out")


def test_an_archive_of_nothing_that_is_known(store, tmp_path):
    (tmp_path / "zeros.tar").write_bytes(bytes(10240))
    with pytest.raises(InvalidArchiveError, match="holds no images"):
        store.load(tmp_path / "zeros.tar")
    with pytest.raises(NotFoundError, match="no such file"):
        store.load(tmp_path / "missing.tar")


def test_what_only_the_layout_of_a_docker_archive_names_is_loaded_too(image, store, tmp_path):
    orlop.copy(image.source, f"docker-archive:{tmp_path}/both.tar:quay.io/one:1")
    other = ImageBuilder().layer(file("other")).write(tmp_path / "from", "v2")
    orlop.copy(other.source, f"oci-archive:{tmp_path}/both.tar:quay.io/two:2")
    orlop.copy(artifact(tmp_path / "from").source, f"oci-archive:{tmp_path}/both.tar:thing")
    loaded = {each.name: each.target.digest for each in store.load(tmp_path / "both.tar")}
    assert loaded == {
        "quay.io/one:1": image.manifest["digest"],
        "quay.io/two:2": other.manifest["digest"],
    }
    copied = orlop.copy_all(f"docker-archive:{tmp_path}/both.tar", f"oci:{tmp_path}/to")
    assert {name: each.digest for each in copied for name in each.names} == loaded


@pytest.mark.parametrize("form", ARCHIVES)
def test_devices_and_pipes_are_written_to_and_not_replaced(form, image, tmp_path):
    assert orlop.copy(image.source, f"{form}:/dev/null").digest == image.manifest["digest"]
    with pytest.raises(OSError, match="No space left") as caught:
        orlop.copy(image.source, f"{form}:/dev/full")
    assert caught.value.filename == "/dev/full"
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        writer = threading.Thread(target=orlop.copy, args=(image.source, f"{form}:{tmp_path}/pipe"))
        writer.start()
        data = reader.stdout.read()
        writer.join()
    orlop.copy(image.source, f"{form}:{tmp_path}/file")
    assert data == (tmp_path / "file").read_bytes()


def test_two_images_of_one_config_stay_two(store, tmp_path):
    """One compressed in another way than the other, as by a tool that converts images."""
    expected = {}
    for compression in ("gzip", "zstd"):
        image = ImageBuilder(compression=compression).layer(file("a", b"a" * 999))
        name = f"quay.io/app:{compression}"
        expected[name] = image.write(tmp_path / "from", compression).manifest["digest"]
        store.pull(f"oci:{tmp_path}/from:{compression}", tag=name)
    store.save(list(expected), tmp_path / "saved.tar")
    with orlop.open_store(tmp_path / "root2", tmp_path / "run2") as other:
        loaded = {image.name: image.target.digest for image in other.load(tmp_path / "saved.tar")}
    assert loaded == expected
    for name, wanted in expected.items():
        place = f"docker-archive:{tmp_path}/saved.tar:{name}"
        assert orlop.copy(place, f"dir:{tmp_path}/out").digest == wanted


def test_an_archive_that_docker_finds_nothing_in_is_read_as_a_layout(image, store, tmp_path):
    orlop.copy(image.source, f"oci-archive:{tmp_path}/both.tar")
    with tarfile.open(tmp_path / "both.tar", "a") as both:
        both.addfile(info("manifest.json", size=2), io.BytesIO(b"[]"))
    loaded = store.load(tmp_path / "both.tar")
    assert [each.target.digest for each in loaded] == [image.manifest["digest"]]


def test_saving_replaces_in_one_step_or_not_at_all(image, store, tmp_path):
    store.pull(image.source, tag="quay.io/app:1")
    (tmp_path / "saved.tar").write_bytes(b"old")
    blob = store.storage.content.path_of(Digest(image.layers[0]["digest"]))
    with open(blob, "rb") as stored:
        data = stored.read()
    _overwrite(blob, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DigestMismatchError, match="saving to"):
        store.save(["quay.io/app:1"], tmp_path / "saved.tar")
    assert (tmp_path / "saved.tar").read_bytes() == b"old"
    _overwrite(blob, data)
    store.save(["quay.io/app:1"], tmp_path / "saved.tar")
    assert members(tmp_path / "saved.tar")
    assert beside(tmp_path) == {"saved.tar"}


def _overwrite(path, data):
    os.unlink(path)
    with open(path, "wb") as stored:
        stored.write(data)
