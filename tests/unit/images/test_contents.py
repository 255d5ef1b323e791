from dataclasses import replace

import pytest

from orlop.errors import InvalidDocumentError, InvalidError, NotFoundError
from orlop.images import check, parts, size, usage
from orlop.mediatype import OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from orlop.platform import Platform
from orlop.spec import EMPTY, Descriptor, Index, Manifest
from support.shelf import Shelf

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def image(shelf):
    return shelf.image("linux/amd64", b"base", b"more")


def packed(shelf, image):
    found = shelf.manifest(image)
    return (found.config, *found.layers)


def total(*descriptors):
    return sum(each.size for each in descriptors)


def test_parts_begin_with_the_documents(shelf, image):
    target = shelf.index(image, shelf.image("linux/arm64"))
    inside = (target, image, *packed(shelf, image))
    assert tuple(parts(shelf.content, target, AMD64)) == inside
    assert tuple(parts(shelf.content, target))[: len(inside)] == inside


def test_size_of_an_image(shelf, image):
    assert size(shelf.content, image) == total(image, *packed(shelf, image))


def test_size_needs_no_layers(shelf, image):
    before = size(shelf.content, image)
    for each in packed(shelf, image):
        shelf.drop(each)
    assert size(shelf.content, image) == before


def test_size_for_one_platform_and_for_all(shelf, image):
    other = shelf.image("linux/arm64", b"base", b"much more")
    target = shelf.index(image, other)
    one = total(target, image, *packed(shelf, image))
    assert size(shelf.content, target, AMD64) == one
    shared = len(b"base")
    assert size(shelf.content, target) == one + total(other, *packed(shelf, other)) - shared


def test_a_blob_counts_once(shelf):
    image = shelf.image("linux/amd64", b"same", b"same")
    (config, layer, _) = packed(shelf, image)
    assert size(shelf.content, shelf.index(image, image)) == total(
        shelf.index(image, image), image, config, layer
    )


def test_a_blob_counts_once_for_one_platform_too(shelf):
    image = shelf.image("linux/amd64", b"same", b"same")
    (config, layer, _) = packed(shelf, image)
    assert size(shelf.content, image, AMD64) == total(image, config, layer)


def test_a_negative_size_is_no_size(shelf, image):
    target = replace(shelf.index(), size=-1, media_type=OCI_LAYER)
    with pytest.raises(InvalidError, match="has a size of -1 bytes"):
        size(shelf.content, target)


def test_the_size_of_what_is_not_there(shelf, image):
    target = shelf.index(shelf.drop(image), shelf.image("linux/arm64"))
    with pytest.raises(NotFoundError, match=str(image.digest)):
        size(shelf.content, target)
    assert size(shelf.content, target, ARM64) > 0


def test_usage_is_what_is_stored(shelf, image):
    target = shelf.index(image, shelf.image("linux/arm64", b"base", b"other"))
    assert usage(shelf.content, target) == size(shelf.content, target)
    before = usage(shelf.content, target)
    layer = shelf.drop(shelf.manifest(image).layers[1])
    assert usage(shelf.content, target) == before - layer.size


def test_usage_of_an_index_of_which_one_image_is_there(shelf, image):
    other = shelf.image("linux/arm64", b"far")
    target = shelf.index(image, other)
    mine = total(target, image, *packed(shelf, image))
    assert usage(shelf.content, target, AMD64) == mine
    for each in (*packed(shelf, other), other):
        shelf.drop(each)
    assert usage(shelf.content, target) == mine
    assert usage(shelf.content, target, ARM64) == target.size


def test_usage_of_nothing(shelf, image):
    assert usage(shelf.content, shelf.drop(image)) == 0


@pytest.mark.parametrize("platform", [None, AMD64])
def test_a_whole_image(shelf, image, platform):
    found = check(shelf.content, shelf.index(image), platform)
    assert found.available
    assert found.complete
    assert found.required == found.present == packed(shelf, image)
    assert found.missing == ()


@pytest.mark.parametrize("platform", [None, AMD64])
def test_an_image_without_a_layer(shelf, image, platform):
    gone = shelf.drop(shelf.manifest(image).layers[0])
    found = check(shelf.content, image, platform)
    assert found.available
    assert not found.complete
    assert found.missing == (gone,)
    assert (*found.present, gone) == (
        packed(shelf, image)[0], packed(shelf, image)[2], gone,
    )  # fmt: skip
    assert found.required == packed(shelf, image)


@pytest.mark.parametrize("platform", [None, AMD64])
def test_an_image_whose_manifest_is_not_there(shelf, image, platform):
    found = check(shelf.content, shelf.drop(image), platform)
    assert not found.available
    assert not found.complete
    assert found.required == found.missing == (image,)
    assert found.present == ()


def test_an_index_of_which_one_image_is_there(shelf, image):
    other = shelf.drop(shelf.image("linux/arm64", b"far"))
    target = shelf.index(image, other)
    assert check(shelf.content, target, AMD64).complete
    assert check(shelf.content, target, ARM64).missing == (target,)
    found = check(shelf.content, target)
    assert not found.available
    assert found.missing == (other,)
    assert found.required == (other, *packed(shelf, image))


def test_an_index_without_the_platform_is_not_available(shelf, image):
    found = check(shelf.content, shelf.index(image), ARM64)
    assert not found.available
    assert found.missing


def test_stored_content_of_another_length_is_missing(shelf, image):
    layer = shelf.manifest(image).layers[0]
    raw = Manifest(
        config=shelf.manifest(image).config, layers=(replace(layer, size=layer.size + 1),)
    ).raw
    found = check(shelf.content, shelf.put(raw, OCI_MANIFEST))
    assert [each.digest for each in found.missing] == [layer.digest]


def test_a_layer_that_comes_twice_is_required_once(shelf):
    image = shelf.image("linux/amd64", b"same", b"same")
    for platform in (None, AMD64):
        assert len(check(shelf.content, image, platform).required) == 2


def test_embedded_content_is_there(shelf):
    raw = Manifest(config=EMPTY, layers=(EMPTY,)).raw
    assert check(shelf.content, shelf.put(raw, OCI_MANIFEST)).complete


def test_a_broken_document_is_no_incomplete_image(shelf):
    broken = shelf.put(Index(manifests=()).raw, OCI_MANIFEST)
    with pytest.raises(InvalidDocumentError):
        check(shelf.content, broken)


def test_a_target_of_another_kind_is_complete_when_it_is_there(shelf):
    thing = Descriptor.of("application/vnd.example", b"thing")
    assert not check(shelf.content, thing).complete
    shelf.put(b"thing")
    assert check(shelf.content, thing).complete


def test_an_empty_index_lacks_nothing(shelf):
    target = shelf.index()
    assert target.media_type == OCI_INDEX
    assert check(shelf.content, target).complete
