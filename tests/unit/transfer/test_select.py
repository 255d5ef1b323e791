import json
from collections import Counter
from importlib import import_module

import pytest

from orlop.digest import Digest
from orlop.errors import LimitExceededError, NotFoundError, UnsupportedError
from orlop.images import MAX_DEPTH
from orlop.mediatype import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from orlop.platform import Platform
from orlop.spec.descriptor import Descriptor
from orlop.transfer.select import select

HOST = Platform.parse("linux/amd64")


class Documents:
    """An image source in memory, of documents alone."""

    names = ()

    def __init__(self):
        self._blobs = {}
        self._top = None
        self.reads = Counter()

    def put(self, media_type, document, **fields):
        """Keep a document; its descriptor."""
        raw = json.dumps(document).encode()
        descriptor = {"mediaType": media_type, "digest": Digest.of(raw), "size": len(raw), **fields}
        self._blobs[Digest.of(raw)] = raw
        self._top = descriptor
        return descriptor

    def image(self, platform="linux/amd64", config_type=OCI_CONFIG, **fields):
        parts = platform.split("/")
        config = self.put(
            config_type,
            {
                **dict(zip(("os", "architecture", "variant"), parts, strict=False)),
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]},
            },
        )
        layer = {"mediaType": OCI_LAYER, "digest": "sha256:" + "0" * 64, "size": 1}
        manifest = {
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer],
        }  # fmt: skip
        return self.put(OCI_MANIFEST, manifest, **fields)

    def index(self, *children, **fields):
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(children)}
        return self.put(OCI_INDEX, document, **fields)

    def for_platform(self, text, **fields):
        """An image whose descriptor says its platform."""
        descriptor = self.image(text, **fields)
        names = ("os", "architecture", "variant")
        descriptor["platform"] = dict(zip(names, text.split("/"), strict=False))
        return descriptor

    def resolve(self):
        return Descriptor.decode(self._top)

    def read(self, descriptor):
        self.reads[descriptor.digest] += 1
        return self._blobs[descriptor.digest]


@pytest.fixture
def source():
    return Documents()


def platform_of(source, wanted=None, host=HOST):
    selection = select(source, host, wanted and Platform.parse(wanted))
    return str(selection.config.platform)


def test_a_manifest_alone(source):
    manifest = source.image()
    selection = select(source, HOST)
    assert selection.target.digest == manifest["digest"]
    assert selection.manifest_descriptor == selection.target
    assert [descriptor.media_type for descriptor, _ in selection.documents] == [
        OCI_MANIFEST, OCI_CONFIG,
    ]  # fmt: skip


def test_a_manifest_alone_is_taken_whatever_this_machine_is(source):
    source.image("linux/s390x")
    assert platform_of(source) == "linux/s390x"


def test_a_manifest_alone_for_another_platform_than_was_asked_for(source):
    source.image("linux/s390x")
    with pytest.raises(NotFoundError, match="is an image for linux/s390x, not for linux/arm64"):
        platform_of(source, "linux/arm64")
    assert platform_of(source, "linux/s390x") == "linux/s390x"


def several(source, *platforms):
    return source.index(*(source.for_platform(each) for each in platforms))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, "linux/amd64"),
        ("linux/arm64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v6"),
        ("arm64", "linux/arm64"),
        ("x86_64", "linux/amd64"),
    ],
)
def test_an_index_has_one_for_each_platform(source, wanted, found):
    several(source, "linux/s390x", "linux/arm64", "linux/arm/v6", "linux/amd64", "linux/arm/v5")
    assert platform_of(source, wanted) == found


def test_an_index_without_the_platform_names_those_that_it_has(source):
    several(source, "linux/s390x", "linux/arm64")
    with pytest.raises(NotFoundError, match="has no image for linux/amd64") as error:
        platform_of(source)
    assert error.value.hint == "it has images for linux/arm64, linux/s390x"


def test_an_index_of_nothing(source):
    source.index()
    with pytest.raises(NotFoundError, match="has no image for linux/amd64") as error:
        platform_of(source)
    assert error.value.hint is None


def test_the_first_that_fits_is_taken(source):
    first = source.image(annotations={"number": "1"})
    first["platform"] = {"os": "linux", "architecture": "amd64"}
    second = source.for_platform("linux/amd64")
    source.index(first, second)
    selection = select(source, HOST)
    assert selection.documents[1][0].annotations == {"number": "1"}


def test_configs_tell_where_the_index_does_not(source):
    source.index(*map(source.image, ("linux/s390x", "linux/arm64", "linux/amd64")))
    assert platform_of(source) == "linux/amd64"
    assert platform_of(source, "linux/s390x") == "linux/s390x"
    source.index(source.image("linux/s390x"))
    with pytest.raises(NotFoundError, match="has no image for linux/amd64") as error:
        platform_of(source)
    assert error.value.hint == "it has images for linux/s390x"


@pytest.mark.parametrize(("room", "times"), [(1 << 20, 1), (0, 2)])
def test_each_document_is_read_once_unless_they_are_too_large(source, room, times, monkeypatch):
    monkeypatch.setattr(import_module("orlop.transfer.select"), "_KEPT_SIZE", room)
    several(source, "linux/arm64", "linux/amd64")
    before = select(source, HOST)
    assert select(source, HOST) == before
    assert set(source.reads.values()) == {2 * times}


def test_indexes_in_an_index(source):
    inner = several(source, "linux/arm64", "linux/amd64")
    source.index(inner)
    selection = select(source, HOST)
    assert str(selection.config.platform) == "linux/amd64"
    assert [descriptor.media_type for descriptor, _ in selection.documents] == [
        OCI_INDEX, OCI_INDEX, OCI_MANIFEST, OCI_CONFIG,
    ]  # fmt: skip
    assert selection.manifest_descriptor.media_type == OCI_MANIFEST


@pytest.mark.parametrize("kind", ["docker", "in-toto"])
def test_attestations_are_no_images(source, kind):
    """BuildKit puts a manifest beside each image, for a platform `unknown/unknown`."""
    note = source.image("linux/amd64")
    if kind == "docker":
        note["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    else:
        note["mediaType"] = "application/vnd.in-toto+json"
    image = source.for_platform("linux/amd64")
    source.index(note, image)
    assert select(source, HOST).documents[1][0].platform is not None


def test_an_index_of_attestations_alone(source):
    note = source.image()
    note["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    source.index(note)
    with pytest.raises(NotFoundError):
        select(source, HOST)


def nest(source, depth):
    descriptor = source.image()
    for _ in range(depth):
        descriptor = source.index(descriptor)


def test_indexes_as_deep_as_is_allowed(source):
    nest(source, MAX_DEPTH - 1)
    assert len(select(source, HOST).documents) == MAX_DEPTH + 1


def test_indexes_deeper_than_is_allowed(source):
    nest(source, MAX_DEPTH)
    with pytest.raises(LimitExceededError, match="limit MAX_DEPTH = 32"):
        select(source, HOST)


def test_an_artifact_is_no_image(source):
    source.image(config_type="application/vnd.example.thing+json")
    with pytest.raises(UnsupportedError, match=r"is an artifact of type application/vnd\.example"):
        select(source, HOST)


def test_a_config_that_says_another_platform_than_its_descriptor(source):
    descriptor = source.image("linux/s390x")
    descriptor["platform"] = {"os": "linux", "architecture": "amd64"}
    source.index(descriptor)
    assert platform_of(source) == "linux/s390x"
    with pytest.raises(NotFoundError, match="is an image for linux/s390x, not for linux/amd64"):
        platform_of(source, "linux/amd64")
