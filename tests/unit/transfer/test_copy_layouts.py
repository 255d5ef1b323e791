"""Copies between layouts: whole, named, and byte for byte."""

import json

import pytest

import orlop
from orlop.errors import NotFoundError, SizeMismatchError
from orlop.layout import list_images, open_source, parse_place
from support.images import ImageBuilder, directory, file


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


def test_a_missing_layer_is_named_before_anything_is_written(image, tmp_path):
    image.blob(image.layers[0]).unlink()
    with pytest.raises(NotFoundError, match=image.layers[0]["digest"]):
        orlop.copy(image.source, f"oci:{tmp_path}/to")
    assert not (tmp_path / "to").exists()
