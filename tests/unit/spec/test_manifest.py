import json
import pickle
from dataclasses import replace

import pytest

from orlop.errors import (
    DigestMismatchError,
    InvalidDocumentError,
    LimitExceededError,
    UnsupportedError,
)
from orlop.mediatype import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1_SIGNED,
    OCI_ARTIFACT_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from orlop.spec.descriptor import EMPTY, Descriptor
from orlop.spec.manifest import MAX_LAYERS, Manifest

CONFIG = Descriptor.of(OCI_CONFIG, b"config").encode()
LAYER = Descriptor.of(OCI_LAYER_GZIP, b"layer").encode()
PLAIN = {"schemaVersion": 2, "config": CONFIG, "layers": [LAYER]}
FULL = PLAIN | {
    "mediaType": OCI_MANIFEST,
    "artifactType": "application/vnd.example.thing",
    "subject": Descriptor.of(OCI_MANIFEST, b"subject").encode(),
    "annotations": {"a": "b"},
    "com.example.unknown": [{"x": None}],
}


def encode(document):
    return json.dumps(document, indent=3).encode()


def test_every_field_is_decoded():
    found = Manifest.decode(encode(FULL))
    assert found.media_type == OCI_MANIFEST
    assert found.config == Descriptor.of(OCI_CONFIG, b"config")
    assert found.layers == (Descriptor.of(OCI_LAYER_GZIP, b"layer"),)
    assert found.artifact_type == "application/vnd.example.thing"
    assert found.subject == Descriptor.of(OCI_MANIFEST, b"subject")
    assert found.annotations == {"a": "b"}
    assert found.extra == {"com.example.unknown": [{"x": None}]}


def test_bytes_are_kept_as_they_were_read():
    raw = encode(FULL)
    found = Manifest.decode(raw)
    assert found.raw == raw
    assert found.descriptor() == Descriptor.of(
        OCI_MANIFEST, raw, artifact_type="application/vnd.example.thing"
    )
    assert pickle.loads(pickle.dumps(found)).raw == raw


def test_encoding_is_compact_and_loses_nothing():
    encoded = Manifest.decode(encode(FULL)).encode()
    assert json.loads(encoded) == FULL
    assert b" " not in encoded
    assert Manifest.decode(encoded) == Manifest.decode(encode(FULL))


def test_edit_gives_new_bytes_and_keeps_what_is_unknown():
    found = Manifest.decode(encode(FULL))
    edited = replace(found, layers=(*found.layers, Descriptor.of(OCI_LAYER, b"more")))
    assert json.loads(edited.raw) == FULL | {
        "layers": [LAYER, Descriptor.of(OCI_LAYER, b"more").encode()]
    }
    assert found.raw == encode(FULL)


def test_manifest_that_is_made_has_bytes():
    made = Manifest(config=EMPTY, layers=(EMPTY,), artifact_type="a/b")
    assert Manifest.decode(made.raw) == made
    assert list(json.loads(made.raw)) == [
        "schemaVersion", "mediaType", "artifactType", "config", "layers"
    ]  # fmt: skip


def test_docker_manifest_is_decoded_as_its_twin():
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": CONFIG | {"mediaType": DOCKER_CONFIG},
        "layers": [LAYER | {"mediaType": DOCKER_LAYER_GZIP}],
    }
    found = Manifest.decode(encode(document), DOCKER_MANIFEST)
    assert found.media_type == DOCKER_MANIFEST
    assert found.is_image
    assert json.loads(found.encode()) == document


@pytest.mark.parametrize(
    ("inner", "said", "expected"),
    [
        (None, None, OCI_MANIFEST),
        (None, OCI_MANIFEST, OCI_MANIFEST),
        (None, DOCKER_MANIFEST, DOCKER_MANIFEST),
        (DOCKER_MANIFEST, None, DOCKER_MANIFEST),
        (OCI_MANIFEST, OCI_MANIFEST, OCI_MANIFEST),
    ],
)
def test_media_type_is_what_it_says_or_was_said_to_be(inner, said, expected):
    assert Manifest.decode(encode(PLAIN | {"mediaType": inner}), said).media_type == expected


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        (OCI_MANIFEST, DOCKER_MANIFEST),
        (DOCKER_MANIFEST, OCI_MANIFEST),
        (OCI_INDEX, None),
        (OCI_INDEX, OCI_INDEX),
        (None, OCI_INDEX),
        ("a/b", None),
        ("nonsense", None),
        (2, None),
    ],
)
def test_wrong_media_type_is_refused(inner, said):
    with pytest.raises(InvalidDocumentError) as caught:
        Manifest.decode(encode(PLAIN | {"mediaType": inner}), said)
    assert caught.value.where == "$.mediaType"


@pytest.mark.parametrize("key", ["manifests", "Manifests", "MANIFESTS"])
@pytest.mark.parametrize("value", [[], [LAYER], None])
def test_manifest_that_is_an_index_as_well_is_refused(key, value):
    with pytest.raises(InvalidDocumentError, match="ambiguous") as caught:
        Manifest.decode(encode(FULL | {key: value}))
    assert caught.value.where == f"$.{key}"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"schemaVersion": None}, "$.schemaVersion"),
        ({"schemaVersion": 3}, "$.schemaVersion"),
        ({"schemaVersion": 2.0}, "$.schemaVersion"),
        ({"schemaVersion": True}, "$.schemaVersion"),
        ({"schemaVersion": "2"}, "$.schemaVersion"),
        ({"config": None}, "$.config"),
        ({"config": []}, "$.config"),
        ({"config": CONFIG | {"size": -1}}, "$.config.size"),
        ({"layers": {}}, "$.layers"),
        ({"layers": [LAYER, None]}, "$.layers[1]"),
        ({"layers": [LAYER | {"digest": "x"}]}, "$.layers[0].digest"),
        ({"annotations": {"a": None}}, "$.annotations.a"),
        ({"artifactType": ""}, "$.artifactType"),
        ({"subject": "sha256"}, "$.subject"),
        ({"subject": {"size": 1}}, "$.subject.mediaType"),
        ({"Layers": []}, "$.Layers"),
        ({"layer\u017f": []}, "$.layer\u017f"),
    ],
)
def test_broken_fields_are_refused_with_their_path(change, where):
    with pytest.raises(InvalidDocumentError) as caught:
        Manifest.decode(encode(FULL | change))
    assert caught.value.where == where


@pytest.mark.parametrize("name", ["schemaVersion", "config", "layers"])
def test_required_fields_must_be_there(name):
    document = {key: value for key, value in PLAIN.items() if key != name}
    with pytest.raises(InvalidDocumentError, match="is missing") as caught:
        Manifest.decode(encode(document))
    assert caught.value.where == f"$.{name}"


@pytest.mark.parametrize("layers", [None, []])
def test_image_may_have_no_layers(layers):
    assert Manifest.decode(encode(PLAIN | {"layers": layers})).layers == ()


def test_number_of_layers_is_limited():
    assert len(Manifest.decode(encode(PLAIN | {"layers": [LAYER] * MAX_LAYERS})).layers) == 1024
    with pytest.raises(LimitExceededError) as caught:
        Manifest.decode(encode(PLAIN | {"layers": [LAYER] * (MAX_LAYERS + 1)}))
    assert (caught.value.limit, caught.value.value) == ("MAX_LAYERS", MAX_LAYERS)


def test_embedded_config_is_verified():
    with pytest.raises(DigestMismatchError, match=r"\$\.config\.data"):
        Manifest.decode(encode(PLAIN | {"config": EMPTY.encode() | {"data": "W10="}}))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"schemaVersion": 1, "fsLayers": [], "history": []}, None),
        ({"schemaVersion": 1}, None),
        ({"schemaVersion": 1, "fsLayers": [], "manifests": []}, None),
        (PLAIN | {"fsLayers": []}, None),
        (PLAIN | {"mediaType": DOCKER_SCHEMA1_SIGNED}, None),
        (PLAIN, DOCKER_SCHEMA1_SIGNED),
    ],
)
def test_schema_1_is_refused_by_its_name(document, said):
    with pytest.raises(UnsupportedError, match="Docker schema 1"):
        Manifest.decode(encode(document), said)


def test_withdrawn_artifact_manifest_is_refused_by_its_name():
    with pytest.raises(UnsupportedError, match="OCI artifact manifest"):
        Manifest.decode(encode({"mediaType": OCI_ARTIFACT_MANIFEST, "blobs": []}))


def test_artifact_is_no_image_and_has_a_kind():
    artifact = Manifest(config=Descriptor.of("application/vnd.example", b""), layers=())
    assert not artifact.is_image
    assert artifact.kind == "application/vnd.example"
    assert replace(artifact, artifact_type="a/b").kind == "a/b"
