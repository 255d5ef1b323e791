import base64

import pytest

from orlop.digest import Digest
from orlop.errors import (
    DigestMismatchError,
    InvalidDocumentError,
    LimitExceededError,
    SizeMismatchError,
)
from orlop.mediatype import OCI_EMPTY, OCI_LAYER_GZIP, OCI_MANIFEST
from orlop.platform import Platform
from orlop.spec.descriptor import EMPTY, MAX_ANNOTATIONS, MAX_URLS, Descriptor

DATA = b"content"
PLAIN = {"mediaType": OCI_LAYER_GZIP, "digest": Digest.of(DATA), "size": len(DATA)}
FULL = PLAIN | {
    "urls": ["https://example.com/a?b=%20"],
    "annotations": {"com.example.key": "", "b": "c"},
    "data": base64.b64encode(DATA).decode(),
    "platform": {
        "architecture": "arm",
        "os": "linux",
        "os.version": "1.2",
        "os.features": ["a", "b"],
        "variant": "v7",
        "features": ["sse4"],
    },
    "artifactType": "application/vnd.example.thing",
    "com.example.unknown": {"deep": [1, None]},
}


def test_every_field_is_decoded():
    found = Descriptor.decode(FULL)
    assert found.media_type == OCI_LAYER_GZIP
    assert (found.digest, found.size, found.data) == (Digest.of(DATA), len(DATA), DATA)
    assert found.urls == ("https://example.com/a?b=%20",)
    assert found.annotations == {"com.example.key": "", "b": "c"}
    assert found.platform == Platform(
        os="linux", architecture="arm", variant="v7", os_version="1.2", os_features=("a", "b")
    )
    assert found.platform.extra == {"features": ["sse4"]}
    assert found.artifact_type == "application/vnd.example.thing"
    assert found.extra == {"com.example.unknown": {"deep": [1, None]}}


@pytest.mark.parametrize("document", [PLAIN, FULL])
def test_encoding_gives_back_what_was_decoded(document):
    encoded = Descriptor.decode(document).encode()
    assert encoded == document
    assert list(encoded)[:3] == ["mediaType", "digest", "size"]


def test_null_counts_as_absent():
    nulls = dict.fromkeys(("urls", "annotations", "data", "platform", "artifactType"))
    assert Descriptor.decode(PLAIN | nulls) == Descriptor.decode(PLAIN)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"mediaType": None}, "mediaType"),
        ({"mediaType": "layer"}, "mediaType"),
        ({"mediaType": 1}, "mediaType"),
        ({"digest": None}, "digest"),
        ({"digest": "sha256:abc"}, "digest"),
        ({"digest": "../../etc/passwd"}, "digest"),
        ({"digest": "sha256:" + "A" * 64}, "digest"),
        ({"size": None}, "size"),
        ({"size": -1}, "size"),
        ({"size": 1.0}, "size"),
        ({"size": True}, "size"),
        ({"size": "7"}, "size"),
        ({"size": 2**63}, "size"),
        ({"urls": "https://example.com"}, "urls"),
        ({"urls": ["relative/path"]}, "urls"),
        ({"urls": ["https://example.com/a b"]}, "urls"),
        ({"urls": ["https://example.com/\n"]}, "urls"),
        ({"urls": ["https://example.com/%zz"]}, "urls"),
        ({"annotations": {"a": 1}}, "annotations.a"),
        ({"annotations": []}, "annotations"),
        ({"data": "Y29udGVudA"}, "data"),
        ({"data": "Y29u dGVudA=="}, "data"),
        ({"data": "ÿ"}, "data"),
        ({"data": 7}, "data"),
        ({"artifactType": "thing"}, "artifactType"),
        ({"platform": []}, "platform"),
        ({"platform": {"os": "linux"}}, "platform.architecture"),
        ({"platform": {"architecture": "arm"}}, "platform.os"),
        ({"platform": {"os": "a", "architecture": "b", "OS": "c"}}, "platform.OS"),
        ({"Size": 1}, "Size"),
        ({"mediatype": "a/b"}, "mediatype"),
    ],
)
def test_broken_fields_are_refused_with_their_path(change, where):
    with pytest.raises(InvalidDocumentError) as caught:
        Descriptor.decode(PLAIN | change, "$.layers[3]")
    assert caught.value.where == f"$.layers[3].{where}"


@pytest.mark.parametrize("value", [None, [], "sha256", 5])
def test_only_objects_are_descriptors(value):
    with pytest.raises(InvalidDocumentError):
        Descriptor.decode(value)


@pytest.mark.parametrize(
    ("field", "value", "limit"),
    [
        ("urls", ["a:b"] * (MAX_URLS + 1), "MAX_URLS"),
        ("annotations", {str(i): "" for i in range(MAX_ANNOTATIONS + 1)}, "MAX_ANNOTATIONS"),
    ],
)
def test_counts_are_limited(field, value, limit):
    with pytest.raises(LimitExceededError) as caught:
        Descriptor.decode(PLAIN | {field: value})
    assert caught.value.limit == limit


def test_embedded_data_must_have_the_size():
    with pytest.raises(SizeMismatchError, match=r"\$\.config\.data"):
        Descriptor.decode(FULL | {"size": 6}, "$.config")


def test_embedded_data_must_have_the_digest():
    with pytest.raises(DigestMismatchError, match=r"\$\.config\.data"):
        Descriptor.decode(FULL | {"digest": Digest.of(b"another")}, "$.config")


def test_embedded_data_of_an_unknown_algorithm_is_taken_on_its_size():
    found = Descriptor.decode(FULL | {"digest": "multihash+base58:Qm"})
    assert found.data == DATA


def test_empty_descriptor_is_the_one_of_the_specification():
    assert EMPTY.encode() == {
        "mediaType": OCI_EMPTY,
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": 2,
        "data": "e30=",
    }
    assert Descriptor.decode(EMPTY.encode()) == EMPTY


def test_descriptor_of_bytes_names_them():
    found = Descriptor.of(OCI_MANIFEST, b"{}", annotations={"a": "b"}, artifact_type="a/b")
    assert (found.size, found.digest, found.data) == (2, Digest.of(b"{}"), None)
    assert (found.annotations, found.artifact_type) == ({"a": "b"}, "a/b")


def test_descriptors_are_values():
    assert len({Descriptor.decode(FULL), Descriptor.decode(FULL), Descriptor.decode(PLAIN)}) == 2
