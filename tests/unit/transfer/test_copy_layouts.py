"""Copies between layouts: whole, named, and byte for byte."""

import json

import pytest

import orlop
from orlop.errors import (
    AlreadyExistsError,
    InUseError,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    SizeMismatchError,
)
from orlop.images import MAX_DEPTH
from orlop.layout import DirectoryDriver, collect, list_images, open_source, parse_place
from orlop.layout.write import LayoutTarget
from support.images import KIND, ImageBuilder, digest, directory, file


@pytest.fixture
def image(tmp_path):
    """An image of two layers in a layout."""
    builder = ImageBuilder().layer(directory("etc")).layer(file("etc/motd", b"hello" * 1000))
    return builder.write(tmp_path / "from", "v1")


def test_a_copy_has_the_same_digest_and_name(image, tmp_path):
    copied = orlop.copy(image.source, f"oci:{tmp_path}/to")
    assert copied.digest == image.manifest["digest"]
    assert (copied.names, copied.notes) == (("v1",), ())
    with open_source(parse_place(f"oci:{tmp_path}/to:v1")) as source:
        assert source.resolve().digest == image.manifest["digest"]
    for blob in (tmp_path / "from/blobs/sha256").iterdir():
        assert (tmp_path / "to/blobs/sha256" / blob.name).read_bytes() == blob.read_bytes()


def test_a_name_in_the_destination_is_the_copys(image, tmp_path):
    orlop.copy(image.source, f"oci:{tmp_path}/to:other")
    assert [each.selector for each in list_images(parse_place(f"oci:{tmp_path}/to"))] == ["other"]


def test_what_is_there_is_not_copied_again(image, tmp_path):
    orlop.copy(image.source, f"oci:{tmp_path}/to")
    steps = []
    orlop.copy(image.source, f"oci:{tmp_path}/to:again", progress=steps.append)
    assert {step.stage.value for step in steps} == {"present"}


def test_a_blob_of_another_size_is_copied_again(image, tmp_path):
    orlop.copy(image.source, f"oci:{tmp_path}/to")
    blob = tmp_path / "to/blobs/sha256" / image.layers[1]["digest"][7:]
    whole = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(whole[:-1])
    orlop.copy(image.source, f"oci:{tmp_path}/to")
    assert blob.read_bytes() == whole


def test_a_cut_blob_is_refused_and_nothing_named(image, tmp_path):
    blob = image.blob(image.layers[1])
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(SizeMismatchError, match=r"copying oci:.* to oci:"):
        orlop.copy(image.source, f"oci:{tmp_path}/to")
    assert json.loads((tmp_path / "to/index.json").read_bytes())["manifests"] == []


def test_no_collector_comes_between_blobs_and_their_name(tmp_path):
    driver = DirectoryDriver(tmp_path / "to")
    with LayoutTarget(driver) as target:
        target.begin([])
        with pytest.raises(InUseError, match="being written to"):
            collect(driver, timeout=0)
    assert collect(driver, timeout=0) == []


def test_a_missing_layer_is_named_before_anything_is_written(image, tmp_path):
    image.blob(image.layers[0]).unlink()
    with pytest.raises(NotFoundError, match=image.layers[0]["digest"]):
        orlop.copy(image.source, f"oci:{tmp_path}/to")
    assert not (tmp_path / "to").exists()


def nest(path, descriptor, depth, tag="v1"):
    """Put a layout's descriptor into so many indexes, the outermost of which it names then."""
    top = {key: value for key, value in descriptor.items() if key != "annotations"}
    for _ in range(depth):
        document = {"schemaVersion": 2, "mediaType": KIND + "index.v1+json", "manifests": [top]}
        data = json.dumps(document).encode()
        (path / "blobs/sha256" / digest(data)[7:]).write_bytes(data)
        top = {"mediaType": KIND + "index.v1+json", "digest": digest(data), "size": len(data)}
    name_only(path, {**top, "annotations": {"org.opencontainers.image.ref.name": tag}})
    return top


def name_only(path, *descriptors):
    index = {"schemaVersion": 2, "manifests": descriptors}
    (path / "index.json").write_text(json.dumps(index))


def test_indexes_inside_each_other(image, tmp_path):
    top = nest(image.path, image.manifest, MAX_DEPTH - 1)
    copied = orlop.copy(image.source, f"oci:{tmp_path}/to")
    assert copied.digest == top["digest"]
    nest(image.path, top, 10_000 - MAX_DEPTH)
    with pytest.raises(LimitExceededError, match="MAX_DEPTH"):
        orlop.copy(image.source, f"oci:{tmp_path}/other")
    assert not (tmp_path / "other").exists()


def test_documents_that_are_too_large_together(image, tmp_path):
    huge = {**image.manifest, "size": (256 << 20) + 1}
    nest(image.path, huge, 1)
    with pytest.raises(LimitExceededError, match="MAX_PLAN_SIZE"):
        orlop.copy(image.source, f"oci:{tmp_path}/to")


def test_an_index_that_lists_one_image_very_often(image, tmp_path):
    child = {key: value for key, value in image.manifest.items() if key != "annotations"}
    data = json.dumps({"schemaVersion": 2, "manifests": [child] * 10_000}).encode()
    (image.path / "blobs/sha256" / digest(data)[7:]).write_bytes(data)
    top = {"mediaType": KIND + "index.v1+json", "digest": digest(data), "size": len(data)}
    name_only(image.path, top)
    steps = []
    copied = orlop.copy(f"oci:{image.path}", f"oci:{tmp_path}/to", progress=steps.append)
    assert copied.digest == top["digest"]
    done = [step.digest for step in steps if step.stage.value == "done"]
    assert len(done) == len(set(done)) == 3


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc", "a//b", "\x1b[31m", "x" * 600, "@0"])
def test_a_ref_name_that_is_a_path_is_not_taken_over(name, image, tmp_path):
    image.manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
    name_only(image.path, image.manifest)
    copied = orlop.copy(f"oci:{image.path}", f"oci:{tmp_path}/to")
    assert copied.names == ()
    assert "ref.name" not in (tmp_path / "to/index.json").read_text()


@pytest.mark.parametrize("text", ["sha256:../../../etc/passwd", "sha256:" + "A" * 64, "md5", ""])
def test_a_digest_that_is_none(text, image, tmp_path):
    name_only(image.path, {**image.manifest, "digest": text})
    with pytest.raises(InvalidDocumentError):
        orlop.copy(f"oci:{image.path}", f"oci:{tmp_path}/to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("file_name", "text"),
    [("oci-layout", "{}"), ("oci-layout", "no json"), ("index.json", "[]"), ("index.json", "{")],
)
def test_a_layout_that_is_broken_is_not_added_to(file_name, text, image, tmp_path):
    orlop.copy(image.source, f"oci:{tmp_path}/to")
    (tmp_path / "to" / file_name).unlink()
    (tmp_path / "to" / file_name).write_text(text)
    before = sorted((tmp_path / "to/blobs/sha256").iterdir())
    other = ImageBuilder().layer(file("other")).write(tmp_path / "from", "v2")
    with pytest.raises(InvalidDocumentError, match=file_name):
        orlop.copy(other.source, f"oci:{tmp_path}/to")
    assert (tmp_path / "to" / file_name).read_text() == text
    assert sorted((tmp_path / "to/blobs/sha256").iterdir()) == before


def test_a_directory_without_oci_layout_is_no_layout(image, tmp_path):
    orlop.copy(image.source, f"oci:{tmp_path}/to")
    (tmp_path / "to/oci-layout").unlink()
    with pytest.raises(AlreadyExistsError, match="not empty"):
        orlop.copy(image.source, f"oci:{tmp_path}/to")


def test_steps_of_a_copy_go_up_to_their_totals(image, tmp_path):
    steps = []
    orlop.copy(image.source, f"oci:{tmp_path}/to", progress=steps.append)
    for each in {step.digest for step in steps}:
        found = [step for step in steps if step.digest == each]
        assert [step.done for step in found] == sorted(step.done for step in found)
        assert (found[-1].stage.value, found[-1].done) == ("done", found[-1].total)
