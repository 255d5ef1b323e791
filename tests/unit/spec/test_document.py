import json

import pytest

from orlop.errors import InvalidDocumentError, UnsupportedError
from orlop.mediatype import (
    DOCKER_MANIFEST_LIST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    OCI_ARTIFACT_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
)
from orlop.spec.descriptor import EMPTY
from orlop.spec.document import decode_document
from orlop.spec.index import Index
from orlop.spec.manifest import Manifest

MANIFEST = {"schemaVersion": 2, "config": EMPTY.encode(), "layers": []}
INDEX = {"schemaVersion": 2, "manifests": []}


def encode(document):
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("document", "said", "kind"),
    [
        (MANIFEST, None, Manifest),
        (INDEX, None, Index),
        (MANIFEST | {"mediaType": OCI_MANIFEST}, None, Manifest),
        (INDEX | {"mediaType": DOCKER_MANIFEST_LIST}, None, Index),
        (MANIFEST, OCI_MANIFEST, Manifest),
        (INDEX, OCI_INDEX, Index),
    ],
)
def test_document_is_decoded_as_what_it_is(document, said, kind):
    found = decode_document(encode(document), said)
    assert type(found) is kind
    assert found.raw == encode(document)


@pytest.mark.parametrize("said", [None, OCI_MANIFEST, OCI_INDEX])
@pytest.mark.parametrize("inner", [None, OCI_MANIFEST, OCI_INDEX])
def test_document_that_is_both_is_refused_whatever_it_says(inner, said):
    with pytest.raises(InvalidDocumentError):
        decode_document(encode(MANIFEST | INDEX | {"mediaType": inner}), said)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (MANIFEST, OCI_INDEX),
        (INDEX, OCI_MANIFEST),
        (MANIFEST | {"mediaType": OCI_INDEX}, None),
        (INDEX | {"mediaType": OCI_MANIFEST}, None),
        (INDEX | {"mediaType": OCI_INDEX}, DOCKER_MANIFEST_LIST),
        ({"schemaVersion": 2, "Manifests": []}, None),
        ({"schemaVersion": 2}, None),
        ({}, None),
    ],
)
def test_document_that_is_something_else_is_refused(document, said):
    with pytest.raises(InvalidDocumentError):
        decode_document(encode(document), said)


@pytest.mark.parametrize(
    ("raw", "said", "name"),
    [
        (b'{"schemaVersion":1,"fsLayers":[]}', None, "Docker schema 1"),
        (b'{"mediaType":"%s"}' % DOCKER_SCHEMA1.encode(), None, "Docker schema 1"),
        (b"\xff", DOCKER_SCHEMA1_SIGNED, "Docker schema 1"),
        (b"\xff", OCI_ARTIFACT_MANIFEST, "OCI artifact manifest"),
        (b"\xff", OCI_CONFIG, OCI_CONFIG.replace("+", r"\+")),
        (b'{"mediaType":"text/plain"}', None, "text/plain"),
        (b"\xff", "", "''"),
    ],
)
def test_types_that_are_neither_are_refused_by_name(raw, said, name):
    with pytest.raises(UnsupportedError, match=name):
        decode_document(raw, said)
