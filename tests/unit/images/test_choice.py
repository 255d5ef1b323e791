from dataclasses import replace

import pytest

from orlop.errors import (
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    UnsupportedError,
)
from orlop.images import MAX_DEPTH, choose, config, manifest, platforms, read_config, rootfs
from orlop.mediatype import DOCKER_SCHEMA1_SIGNED, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from orlop.platform import Platform
from orlop.spec import Index
from support.shelf import Shelf

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
S390X = Platform.parse("linux/s390x")


@pytest.fixture
def shelf():
    return Shelf()


def chosen(shelf, target, platform=AMD64):
    return choose(shelf.content, target, platform).descriptor


def test_a_manifest_that_is_the_target_is_what_was_meant(shelf):
    image = shelf.image("linux/s390x")
    assert chosen(shelf, image) == image
    assert manifest(shelf.content, image, AMD64).descriptor().digest == image.digest


def test_of_an_index_the_one_that_suits_best(shelf):
    names = "linux/s390x", "linux/386", "linux/amd64", "linux/arm64"
    images = dict(zip(names, map(shelf.image, names), strict=True))
    target = shelf.index(*images.values())
    assert chosen(shelf, target) == images["linux/amd64"]
    assert chosen(shelf, target, ARM64) == images["linux/arm64"]
    assert chosen(shelf, target, Platform.parse("linux/386")) == images["linux/386"]
    assert choose(shelf.content, target, ARM64).documents == (target, images["linux/arm64"])


def test_of_equals_the_first(shelf):
    first, second = shelf.image("linux/amd64", b"1"), shelf.image("linux/amd64", b"2")
    assert chosen(shelf, shelf.index(first, second)) == first


def test_without_a_platform_the_first(shelf):
    image = shelf.image("linux/s390x")
    assert chosen(shelf, shelf.index(image, shelf.image()), None) == image


def test_every_silent_manifest_is_asked_for_its_config(shelf):
    """containerd tries but the first of an index that says no platforms."""
    silent = [shelf.image(f"linux/{each}", said=False) for each in ("s390x", "arm64", "amd64")]
    target = shelf.index(*silent)
    assert chosen(shelf, target) == silent[2]
    assert chosen(shelf, target, ARM64) == silent[1]


def test_of_silent_manifests_the_one_that_suits_best_and_not_the_first_that_fits(shelf):
    older, mine = (shelf.image(f"linux/{each}", said=False) for each in ("386", "amd64"))
    assert chosen(shelf, shelf.index(older, mine)) == mine


def test_what_says_its_platform_comes_before_what_is_silent(shelf):
    silent, older = shelf.image("linux/amd64", said=False), shelf.image("linux/386")
    assert chosen(shelf, shelf.index(silent, older)) == older


@pytest.mark.parametrize(
    "media_type", ["application/vnd.example+json", DOCKER_SCHEMA1_SIGNED, OCI_LAYER]
)
def test_entries_of_unknown_type_do_not_stop_the_search(shelf, media_type):
    """In containerd one of them makes the whole look-up a NotFound."""
    strange = shelf.put(b"?", media_type)
    image = shelf.image(said=False)
    assert chosen(shelf, shelf.index(strange, image)) == image
    assert chosen(shelf, shelf.index(strange, image), None) == image
    assert chosen(shelf, shelf.index(shelf.index(strange), image)) == image


def test_attestations_are_no_images(shelf):
    note = replace(
        shelf.image("linux/amd64", b"note", said=False),
        annotations={"vnd.docker.reference.type": "attestation-manifest"},
    )
    image = shelf.image("linux/amd64", said=False)
    target = shelf.index(note, image)
    assert chosen(shelf, target) == image
    assert chosen(shelf, target, None) == image
    assert platforms(shelf.content, target) == (AMD64,)


def test_artifacts_are_no_images_for_a_platform(shelf):
    artifact = shelf.image("linux/amd64", said=False, config_type="application/vnd.example+json")
    target = shelf.index(artifact)
    with pytest.raises(NotFoundError):
        chosen(shelf, target)
    assert platforms(shelf.content, target) == ()


def test_indexes_inside_an_index(shelf):
    inner = shelf.index(shelf.image("linux/arm64"), shelf.image("linux/amd64"))
    target = shelf.index(shelf.index(), inner)
    found = choose(shelf.content, target, AMD64)
    assert found.descriptor.platform == AMD64
    assert found.documents == (target, inner, found.descriptor)


def test_indexes_that_lie_too_deep(shelf):
    assert chosen(shelf, shelf.nest(MAX_DEPTH - 1))
    for depth in (MAX_DEPTH, 10_000):
        with pytest.raises(LimitExceededError, match="limit MAX_DEPTH = 32"):
            chosen(shelf, shelf.nest(depth))


def test_an_index_of_many_ways_to_nothing(shelf):
    target = shelf.index()
    for number in range(MAX_DEPTH - 1):
        empty = shelf.index(annotations={"number": str(number)})
        target = shelf.index(*[target] * 100, empty)
    with pytest.raises(NotFoundError, match="has no image for linux/amd64"):
        chosen(shelf, target)


def test_nothing_that_suits(shelf):
    target = shelf.index(shelf.image("linux/arm64"), shelf.image("linux/s390x", said=False))
    with pytest.raises(NotFoundError, match=f"{target.digest} has no image for linux/amd64") as e:
        chosen(shelf, target)
    assert e.value.hint == "it has images for linux/arm64, linux/s390x"


def test_nothing_at_all(shelf):
    with pytest.raises(NotFoundError, match=r"has no image$") as error:
        chosen(shelf, shelf.index(), None)
    assert error.value.hint is None


@pytest.mark.parametrize("media_type", [OCI_CONFIG, OCI_LAYER, DOCKER_SCHEMA1_SIGNED, "a/b"])
def test_a_target_that_is_no_document(shelf, media_type):
    with pytest.raises(UnsupportedError):
        manifest(shelf.content, shelf.put(b"?", media_type))


def test_an_image_that_is_listed_and_not_there(shelf):
    best = shelf.drop(shelf.image("linux/amd64"))
    target = shelf.index(shelf.image("linux/386"), best)
    with pytest.raises(NotFoundError, match=str(best.digest)):
        chosen(shelf, target)


def test_a_silent_manifest_that_is_not_there_is_told_of_when_no_other_suits(shelf):
    gone = shelf.drop(shelf.image("linux/amd64", b"gone", said=False))
    image = shelf.image("linux/amd64", said=False)
    assert chosen(shelf, shelf.index(gone, image)) == image
    with pytest.raises(NotFoundError, match=str(gone.digest)):
        chosen(shelf, shelf.index(gone, image), S390X)


def test_a_silent_manifest_whose_config_is_not_there(shelf):
    image = shelf.image(said=False)
    gone = shelf.drop(shelf.manifest(image).config)
    with pytest.raises(NotFoundError, match=str(gone.digest)):
        chosen(shelf, shelf.index(image))


def test_a_target_that_is_not_there(shelf):
    for target in (shelf.drop(shelf.image()), shelf.drop(shelf.index())):
        with pytest.raises(NotFoundError, match=str(target.digest)):
            chosen(shelf, target)


def test_a_broken_index(shelf):
    target = shelf.put(Index(manifests=()).raw, OCI_MANIFEST)
    with pytest.raises(InvalidDocumentError, match=str(target.digest)):
        chosen(shelf, target)


def test_config_and_rootfs(shelf):
    target = shelf.index(shelf.image("linux/amd64", b"a", b"b"), shelf.image("linux/arm64", b"c"))
    found = config(shelf.content, target, AMD64)
    assert found == manifest(shelf.content, target, AMD64).config
    assert read_config(shelf.content, found).platform == AMD64
    layers = manifest(shelf.content, target, AMD64).layers
    assert rootfs(shelf.content, found) == tuple(layer.digest for layer in layers)
    assert len(rootfs(shelf.content, config(shelf.content, target, ARM64))) == 1


def test_a_rootfs_of_something_else(shelf):
    with pytest.raises(UnsupportedError, match=r"application/vnd\.example"):
        rootfs(shelf.content, shelf.put(b"{}", "application/vnd.example"))
    broken = shelf.put(b"{}", OCI_CONFIG)
    with pytest.raises(InvalidDocumentError, match=str(broken.digest)):
        rootfs(shelf.content, broken)


def test_platforms_are_those_that_are_said_and_those_of_configs(shelf):
    arm = shelf.drop(shelf.image("linux/arm64"))
    silent = shelf.image("linux/s390x", said=False)
    inner = shelf.index(shelf.image("linux/amd64"), shelf.image("linux/arm64", b"again"))
    target = shelf.index(arm, silent, inner)
    assert platforms(shelf.content, target) == (ARM64, S390X, AMD64)
    assert platforms(shelf.content, silent) == (S390X,)


def test_platforms_are_normalised(shelf):
    said = replace(shelf.image(), platform=Platform(os="Linux", architecture="x86_64"))
    assert platforms(shelf.content, shelf.index(said)) == (AMD64,)


def test_unknown_is_no_platform(shelf):
    unknown = Platform(os="unknown", architecture="unknown")
    target = shelf.index(replace(shelf.image(), platform=unknown))
    assert platforms(shelf.content, target) == ()
