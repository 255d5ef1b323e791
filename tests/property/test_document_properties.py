import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop import mediatype
from orlop.digest import Digest, chain_ids
from orlop.errors import InvalidDocumentError, OrlopError
from orlop.platform import Platform
from orlop.spec.config import ImageConfig
from orlop.spec.container import ContainerConfig
from orlop.spec.descriptor import Descriptor, decode_plain
from orlop.spec.document import decode_document
from orlop.spec.history import History
from orlop.spec.index import Index
from orlop.spec.json import decode_json, encode_json
from orlop.spec.layout import ImageLayout
from orlop.spec.manifest import Manifest

words = st.text(alphabet=st.characters(codec="utf-8"), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words
scalars = scalars.filter(lambda value: value not in (float("inf"), float("-inf")))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
unknown = st.dictionaries(st.integers(0, 99).map("com.example.{}".format), values, max_size=2)
annotations = st.dictionaries(words, words, max_size=3)
media_types = st.sampled_from(
    [mediatype.OCI_LAYER_GZIP, mediatype.DOCKER_LAYER, mediatype.OCI_CONFIG, "a/b.c+d"]
)
maybe_types = st.none() | media_types
digests = st.binary(max_size=3).map(Digest.of)
platforms = st.builds(
    Platform,
    os=words,
    architecture=words,
    variant=words,
    os_version=words,
    os_features=st.lists(words, max_size=2).map(tuple),
)
plain = st.builds(
    Descriptor,
    media_type=media_types,
    digest=digests,
    size=st.integers(0, 2**63 - 1),
    urls=st.lists(st.sampled_from(["https://example.com", "urn:x"]), max_size=2).map(tuple),
    annotations=annotations,
    artifact_type=maybe_types,
    platform=st.none() | platforms,
    extra=unknown,
)
embedded = st.builds(
    lambda data, media_type: replace(Descriptor.of(media_type, data), data=data),
    st.binary(max_size=20),
    media_types,
)
descriptors = plain | embedded
lists = st.lists(descriptors, max_size=3).map(tuple)
head = {
    "annotations": annotations,
    "artifact_type": maybe_types,
    "subject": st.none() | descriptors,
    "extra": unknown,
}
manifests = st.builds(
    Manifest,
    config=descriptors,
    layers=lists,
    media_type=st.sampled_from([mediatype.OCI_MANIFEST, mediatype.DOCKER_MANIFEST]),
    **head,
)
indexes = st.builds(
    Index,
    manifests=lists,
    media_type=st.sampled_from([mediatype.OCI_INDEX, mediatype.DOCKER_MANIFEST_LIST]),
    **head,
)
times = st.none() | st.datetimes().map(lambda time: time.isoformat() + "Z")
strings = st.lists(words, max_size=3).map(tuple)
sets = st.lists(words, max_size=3, unique=True).map(tuple)
containers = st.builds(
    ContainerConfig,
    user=words,
    exposed_ports=sets,
    env=strings,
    entrypoint=strings,
    cmd=strings,
    volumes=sets,
    working_dir=words,
    labels=annotations,
    stop_signal=words,
    healthcheck=st.none() | st.dictionaries(words, values, max_size=2),
    extra=unknown,
)
maybe_words = st.none() | words
histories = st.builds(
    History,
    created=times,
    author=maybe_words,
    created_by=maybe_words,
    comment=maybe_words,
    empty_layer=st.booleans(),
    extra=unknown,
)
configs = st.builds(
    ImageConfig,
    platform=platforms,
    diff_ids=st.lists(digests, max_size=4).map(tuple),
    created=times,
    author=maybe_words,
    config=st.none() | containers,
    history=st.lists(histories, max_size=3).map(tuple),
    extra=unknown,
    rootfs_extra=unknown,
)
layouts = st.builds(ImageLayout, extra=unknown)
documents = st.one_of(manifests, indexes, configs, layouts)


@given(descriptors)
def test_descriptors_survive_being_written(descriptor):
    """A descriptor consists of a set of properties encapsulated in key-value fields."""
    again = Descriptor.decode(json.loads(json.dumps(descriptor.encode())))
    assert again == descriptor
    assert again.encode() == descriptor.encode()


@given(descriptors, st.sampled_from(["mediaType", "digest", "size", "annotations"]), st.data())
def test_the_short_way_to_a_descriptor_leads_to_the_same(descriptor, key, data):
    """A descriptor consists of a set of properties encapsulated in key-value fields."""
    value = descriptor.encode()
    if data.draw(st.booleans(), "whether to bend it"):
        value[key] = data.draw(values | st.sampled_from([2**63, -1, True, {"a": None}, "x:y"]))
    found = decode_plain(value)
    try:
        expected = Descriptor.decode(value)
    except OrlopError:
        assert found is None
    else:
        assert found is None or found == expected


def test_the_short_way_is_taken():
    """A descriptor has a media type, a digest, a size, and may have annotations."""
    value = {"mediaType": "a/b", "digest": Digest.of(b""), "size": 0}
    for usual in (value, value | {"annotations": {"a": "b"}}):
        plain_value = json.loads(json.dumps(usual))
        assert decode_plain(plain_value) == Descriptor.decode(plain_value)


@given(documents)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_documents_survive_being_written(document):
    """Implementations serializing content for blobs SHOULD use a canonical serialization."""
    raw = document.encode()
    again = type(document).decode(raw)
    if isinstance(document, Manifest | Index):
        assert again.media_type == document.media_type
        assert decode_document(raw) == again
    assert again == document
    assert again.encode() == raw


@given(manifests | indexes | configs, st.integers(0, 8))
def test_documents_keep_the_bytes_they_were_read_from(document, indent):
    """Implementations MUST NOT alter the content in a way that would change its digest."""
    raw = json.dumps(json.loads(document.encode()), indent=indent).encode()
    again = type(document).decode(raw)
    assert again.raw == raw
    assert again.descriptor().digest == Digest.of(raw)
    assert replace(again).raw == document.encode()


@given(manifests | indexes | configs, unknown)
def test_unknown_properties_are_no_error_and_survive_an_edit(document, more):
    """Implementations SHOULD NOT generate an error if they encounter an unknown property."""
    raw = encode_json(json.loads(document.encode()) | more)
    edited = replace(type(document).decode(raw), extra=dict(document.extra) | more)
    assert json.loads(edited.raw) == json.loads(raw)


@given(values)
def test_json_survives_being_written(value):
    """The encoding MUST be UTF-8."""
    assert decode_json(encode_json({"a": value})) == {"a": value}


@given(values, words, values, values)
def test_duplicate_names_are_refused_at_every_depth(before, key, one, two):
    """Objects MUST NOT contain duplicate names."""
    name = json.dumps(key)
    twins = f"{{{name}:{json.dumps(one)},{name}:{json.dumps(two)}}}"
    raw = f'{{"a":{json.dumps(before)},"b":[{{"c":{twins}}}]}}'.encode()
    with pytest.raises(InvalidDocumentError, match="twice"):
        decode_json(raw)


@given(st.lists(digests, min_size=1, max_size=6))
def test_chain_ids_follow_the_definition(diff_ids):
    """ChainID(L0|...|Ln-1|Ln) = Digest(ChainID(L0|...|Ln-1) + " " + DiffID(Ln))."""
    found = chain_ids(diff_ids)
    assert found[0] == diff_ids[0]
    for at in range(1, len(diff_ids)):
        assert found[at] == Digest.of(f"{found[at - 1]} {diff_ids[at]}".encode())


@given(manifests, st.sampled_from(["manifests", "Manifests", "fsLayers"]), values)
def test_manifest_never_doubles_as_another_document(manifest, key, value):
    """CVE-2021-41190: a manifest that contains `manifests` is ambiguous."""
    raw = encode_json(json.loads(manifest.encode()) | {key: value})
    for said in (None, manifest.media_type):
        with pytest.raises(OrlopError):
            decode_document(raw, said)


@given(indexes, st.sampled_from(["layers", "config", "LAYERS", "fsLayers"]), values)
def test_index_never_doubles_as_another_document(index, key, value):
    """CVE-2021-41190: an index that contains `layers` or `config` is ambiguous."""
    raw = encode_json(json.loads(index.encode()) | {key: value})
    for said in (None, index.media_type):
        with pytest.raises(OrlopError):
            decode_document(raw, said)


DECODERS = (
    decode_json,
    decode_document,
    Manifest.decode,
    Index.decode,
    ImageConfig.decode,
    ImageLayout.decode,
    lambda raw: decode_document(raw, mediatype.OCI_MANIFEST),
    lambda raw: decode_document(raw, mediatype.DOCKER_MANIFEST_LIST),
)


def decode_by_all(raw):
    """Decode by every decoder; what is read can be written and read again."""
    for decode in DECODERS:
        try:
            found = decode(raw)
        except OrlopError:
            continue
        if not isinstance(found, dict):
            assert type(found).decode(found.encode()) == found


@given(st.binary(max_size=64) | st.text(alphabet='{}[]":,\\ud8001eENan-.', max_size=40))
def test_garbage_is_refused_and_nothing_worse(raw):
    """All bad input ends in an error of this library."""
    decode_by_all(raw if isinstance(raw, bytes) else raw.encode())


@given(documents, st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_bent_documents_are_refused_and_nothing_worse(document, data):
    """All bad input ends in an error of this library, however near it comes to a document."""
    tree = json.loads(document.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        bend(tree, data)
    decode_by_all(json.dumps(tree).encode())


def bend(tree, data):
    """Replace, remove or double one value somewhere in the tree."""
    here = tree
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(here[key], dict | list) and here[key] and data.draw(st.booleans()):
            here = here[key]
            continue
        break
    action = data.draw(st.sampled_from(["replace", "remove", "recase"]))
    if action == "replace":
        here[key] = data.draw(values | st.just("sha256:" + "0" * 64) | st.just([here[key]]))
    elif action == "remove":
        del here[key]
    elif isinstance(here, dict):
        here[key.swapcase()] = here.pop(key)


@given(documents, st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_damaged_documents_are_refused_and_nothing_worse(document, data):
    """All bad input ends in an error of this library, whichever bytes are damaged."""
    raw = bytearray(document.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    decode_by_all(bytes(raw[: data.draw(st.sampled_from([None, None, len(raw) // 2]))]))
