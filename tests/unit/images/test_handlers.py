import json

import pytest

from orlop.digest import Digest
from orlop.errors import (
    DigestMismatchError,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    SizeMismatchError,
)
from orlop.images import (
    SkipDescriptor,
    StopHandler,
    children,
    children_handler,
    handlers,
    iter_walk,
    walk,
)
from orlop.mediatype import (
    CONTAINERD_CHECKPOINT,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1_SIGNED,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from orlop.spec import MAX_DOCUMENT_SIZE, Descriptor, Index, Manifest
from support.shelf import Shelf

A, B, C = (Descriptor.of(OCI_LAYER_GZIP, name) for name in (b"a", b"b", b"c"))


def giving(*found):
    return lambda descriptor: found


def raising(error):
    def handler(descriptor):
        raise error

    return handler


@pytest.fixture
def shelf():
    return Shelf()


def test_children_come_in_the_order_of_the_handlers():
    assert handlers(giving(A, B), giving(), giving(C))(A) == (A, B, C)


def test_no_handlers_give_no_children():
    assert handlers()(A) == ()


def test_a_function_that_gives_nothing_is_a_handler():
    calls = []
    assert handlers(calls.append, giving(B))(A) == (B,)
    assert calls == [A]


def test_a_generator_is_a_handler():
    def handler(descriptor):
        yield B
        yield C

    assert handlers(handler)(A) == (B, C)


def test_stop_keeps_what_came_before_and_calls_nobody_after():
    calls = []
    assert handlers(giving(A), raising(StopHandler), calls.append)(A) == (A,)
    assert calls == []


def test_children_given_together_with_stop_are_dropped():
    def handler(descriptor):
        yield B
        raise StopHandler

    assert handlers(giving(A), handler, giving(C))(A) == (A,)


def test_stop_holds_for_one_descriptor_and_not_for_those_below_it(shelf):
    """StopHandler: "does not apply to descendant descriptors"."""
    target = shelf.index(shelf.image())
    calls = []

    def stop_at_the_top(descriptor):
        if descriptor == target:
            raise StopHandler

    below = children_handler(shelf.content)
    walk(handlers(below, stop_at_the_top, calls.append), target)
    assert calls[0].media_type == OCI_MANIFEST
    assert len(calls) == 4
    assert target not in calls


def test_chains_nest():
    inner = handlers(giving(A), raising(StopHandler), giving(B))
    assert handlers(inner, giving(C))(A) == (A, C)


@pytest.mark.parametrize("error", [SkipDescriptor(), OSError(5, "broken"), NotFoundError("gone")])
def test_every_other_exception_leaves_the_chain(error):
    calls = []
    with pytest.raises(type(error)):
        handlers(giving(A), raising(error), calls.append)(A)
    assert calls == []


def test_children_of_a_manifest_are_config_and_layers(shelf):
    image = shelf.image()
    found = shelf.manifest(image)
    assert children(shelf.content, image) == (found.config, *found.layers)


def test_children_of_a_docker_manifest(shelf):
    found = Manifest(config=A, layers=(B, C), media_type=DOCKER_MANIFEST)
    assert children(shelf.content, shelf.put(found.raw, DOCKER_MANIFEST)) == (A, B, C)


def test_children_of_an_index_are_its_entries_whatever_they_are(shelf):
    image = shelf.image()
    assert children(shelf.content, shelf.index(image, A)) == (image, A)


@pytest.mark.parametrize(
    "media_type",
    [OCI_LAYER_GZIP, CONTAINERD_CHECKPOINT, DOCKER_SCHEMA1_SIGNED, "application/vnd.example"],
)
def test_other_content_has_no_children_and_is_not_read(shelf, media_type):
    assert children(shelf.content, Descriptor.of(media_type, b"not stored")) == ()


def test_the_subject_is_no_child(shelf):
    raw = Manifest(config=A, layers=(B,), subject=shelf.image()).raw
    assert children(shelf.content, shelf.put(raw, OCI_MANIFEST)) == (A, B)


def embedded(raw, data, media_type=OCI_INDEX):
    return Descriptor(media_type=media_type, digest=Digest.of(raw), size=len(raw), data=data)


def test_embedded_data_is_not_read_again(shelf):
    raw = Index(manifests=(A,)).raw
    assert children(shelf.content, embedded(raw, raw)) == (A,)


def test_embedded_data_that_is_something_else_is_passed_over(shelf):
    raw = Index(manifests=(A,)).raw
    other = Index(manifests=(B,)).raw
    lie = embedded(raw, other)
    assert len(other) == lie.size
    with pytest.raises(NotFoundError):
        children(shelf.content, lie)
    shelf.put(raw, OCI_INDEX)
    assert children(shelf.content, lie) == (A,)


class Liar:
    """A provider that gives the same, whatever it is asked for."""

    def __init__(self, data):
        self.data = data

    def read(self, digest, size):
        return self.data


def test_what_a_provider_gives_is_verified():
    descriptor = Descriptor.of(OCI_MANIFEST, b"{} ")
    with pytest.raises(DigestMismatchError, match=str(descriptor.digest)):
        children(Liar(b"{}\n"), descriptor)
    with pytest.raises(SizeMismatchError, match=str(descriptor.digest)):
        children(Liar(b"{}"), descriptor)


def test_a_document_that_is_too_large_is_not_read():
    huge = Descriptor(media_type=OCI_MANIFEST, digest=Digest.of(b""), size=MAX_DOCUMENT_SIZE + 1)
    with pytest.raises(LimitExceededError, match=r"limit MAX_DOCUMENT_SIZE = 4194304"):
        children(Liar(None), huge)


BOTH = json.dumps(
    {"schemaVersion": 2, "config": A.encode(), "layers": [], "manifests": []}
).encode()


@pytest.mark.parametrize(
    ("media_type", "raw"),
    [
        (OCI_MANIFEST, BOTH),
        (OCI_INDEX, BOTH),
        (OCI_MANIFEST, Index(manifests=()).raw),
        (OCI_INDEX, Manifest(config=A, layers=()).raw),
        (OCI_MANIFEST, b"[]"),
        (OCI_MANIFEST, b"\xff"),
    ],
)
def test_a_document_of_another_shape_is_refused_by_its_digest(shelf, media_type, raw):
    descriptor = shelf.put(raw, media_type)
    with pytest.raises(InvalidDocumentError, match=str(descriptor.digest)):
        children(shelf.content, descriptor)


def test_another_function_goes_down_into_types_of_its_own(shelf):
    """ChildrenHandler: "replace this with another implementation to allow descending"."""
    kind = "application/vnd.example.shelf+json"
    image = shelf.image()
    raw = json.dumps([image.encode()]).encode()
    target = shelf.put(raw, kind)

    def open_shelf(descriptor):
        if descriptor.media_type == kind:
            listed = shelf.content.read(descriptor.digest, descriptor.size)
            return [Descriptor.decode(each) for each in json.loads(listed)]
        return None

    walked = list(iter_walk(handlers(open_shelf, children_handler(shelf.content)), target))
    assert walked[:2] == [target, image]
    assert len(walked) == 5
