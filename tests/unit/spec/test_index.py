import json
from dataclasses import replace

import pytest

from orlop.errors import InvalidDocumentError, LimitExceededError, UnsupportedError
from orlop.mediatype import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST
from orlop.platform import Platform
from orlop.spec.descriptor import Descriptor
from orlop.spec.index import MAX_MANIFESTS, Index

ARM = Platform(os="linux", architecture="arm64")
ENTRY = Descriptor.of(OCI_MANIFEST, b"manifest", platform=ARM).encode()
PLAIN = {"schemaVersion": 2, "manifests": [ENTRY]}
FULL = PLAIN | {
    "mediaType": OCI_INDEX,
    "artifactType": "application/vnd.example.thing",
    "subject": Descriptor.of(OCI_MANIFEST, b"subject").encode(),
    "annotations": {"a": "b"},
    "com.example.unknown": {"x": 1.5},
}


def encode(document):
    return json.dumps(document, indent=1).encode()


def test_every_field_is_decoded():
    found = Index.decode(encode(FULL))
    assert found.media_type == OCI_INDEX
    assert found.manifests == (Descriptor.of(OCI_MANIFEST, b"manifest", platform=ARM),)
    assert found.artifact_type == "application/vnd.example.thing"
    assert found.subject == Descriptor.of(OCI_MANIFEST, b"subject")
    assert found.annotations == {"a": "b"}
    assert found.extra == {"com.example.unknown": {"x": 1.5}}


def test_bytes_are_kept_and_edits_keep_what_is_unknown():
    raw = encode(FULL)
    found = Index.decode(raw)
    assert found.raw == raw
    assert found.descriptor().size == len(raw)
    emptied = replace(found, manifests=())
    assert json.loads(emptied.raw) == FULL | {"manifests": []}
    assert json.loads(found.encode()) == FULL


def test_empty_index_has_an_array():
    assert Index(manifests=()).raw == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    )


def test_docker_manifest_list_is_decoded_as_its_twin():
    entry = ENTRY | {"mediaType": DOCKER_MANIFEST}
    document = PLAIN | {"mediaType": DOCKER_MANIFEST_LIST, "manifests": [entry]}
    found = Index.decode(encode(document))
    assert found.media_type == DOCKER_MANIFEST_LIST
    assert found.manifests[0].platform == ARM
    assert json.loads(found.encode()) == document


def test_entries_may_be_of_unknown_types_and_nested():
    others = [ENTRY | {"mediaType": each} for each in (OCI_INDEX, "application/vnd.example")]
    found = Index.decode(encode(PLAIN | {"manifests": others}))
    assert [each.media_type for each in found.manifests] == [OCI_INDEX, "application/vnd.example"]


@pytest.mark.parametrize("key", ["layers", "config", "Layers", "CONFIG"])
def test_index_that_is_a_manifest_as_well_is_refused(key):
    with pytest.raises(InvalidDocumentError, match="ambiguous") as caught:
        Index.decode(encode(FULL | {key: []}))
    assert caught.value.where == f"$.{key}"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"schemaVersion": 1.0}, "$.schemaVersion"),
        ({"mediaType": OCI_MANIFEST}, "$.mediaType"),
        ({"manifests": {}}, "$.manifests"),
        ({"manifests": [ENTRY, 1]}, "$.manifests[1]"),
        ({"manifests": [ENTRY | {"size": 1.0}]}, "$.manifests[0].size"),
        ({"annotations": "x"}, "$.annotations"),
    ],
)
def test_broken_fields_are_refused_with_their_path(change, where):
    with pytest.raises(InvalidDocumentError) as caught:
        Index.decode(encode(FULL | change))
    assert caught.value.where == where


def test_manifests_must_be_there_though_null_is_none():
    assert Index.decode(encode(PLAIN | {"manifests": None})).manifests == ()
    with pytest.raises(InvalidDocumentError, match="is missing"):
        Index.decode(b'{"schemaVersion":2}')


def test_said_media_type_must_be_the_inner_one():
    with pytest.raises(InvalidDocumentError, match="expected"):
        Index.decode(encode(FULL), DOCKER_MANIFEST_LIST)
    assert Index.decode(encode(PLAIN), DOCKER_MANIFEST_LIST).media_type == DOCKER_MANIFEST_LIST


def test_number_of_manifests_is_limited():
    entry = {"mediaType": "a/b", "digest": "a:b", "size": 0}
    most = Index.decode(encode(PLAIN | {"manifests": [entry] * MAX_MANIFESTS}))
    assert len(most.manifests) == MAX_MANIFESTS
    with pytest.raises(LimitExceededError) as caught:
        Index.decode(encode(PLAIN | {"manifests": [entry] * (MAX_MANIFESTS + 1)}))
    assert (caught.value.limit, caught.value.value) == ("MAX_MANIFESTS", MAX_MANIFESTS)


def test_schema_1_is_refused_by_its_name():
    with pytest.raises(UnsupportedError, match="Docker schema 1"):
        Index.decode(encode(PLAIN | {"fsLayers": []}))
