import pytest

from orlop.digest import Digest
from orlop.errors import NotFoundError
from orlop.images import (
    child_label_key,
    child_labels,
    children_handler,
    handlers,
    key_without_layers,
    label_children,
    walk,
)
from orlop.mediatype import (
    CONTAINERD_CHECKPOINT_CONFIG,
    CONTAINERD_RW,
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    EROFS_LAYER,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP_ENCRYPTED,
    OCI_MANIFEST,
)
from orlop.spec import Descriptor
from support.shelf import Shelf

PREFIX = "containerd.io/gc.ref.content."


class Labels:
    """A manager of labels in memory, that knows the blobs of a shelf."""

    def __init__(self, content):
        self.content = content
        self.of = {}

    def update(self, digest, labels, *fieldpaths):
        if self.content.stat(digest) is None:
            raise NotFoundError(f"content {digest} is not stored")
        assert fieldpaths == tuple(f"labels.{key}" for key in labels)
        self.of.setdefault(digest, {}).update(labels)


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def labels(shelf):
    return Labels(shelf.content)


@pytest.mark.parametrize(
    ("media_type", "key"),
    [
        (OCI_CONFIG, "config"),
        (DOCKER_CONFIG, "config"),
        (CONTAINERD_CHECKPOINT_CONFIG, "config"),
        (OCI_MANIFEST, "m."),
        (DOCKER_MANIFEST, "m."),
        (DOCKER_LAYER_GZIP, "l."),
        (OCI_LAYER_GZIP_ENCRYPTED, "l."),
        (EROFS_LAYER, "l."),
        (OCI_INDEX, ""),
        (CONTAINERD_RW, ""),
        ("application/vnd.example", ""),
    ],
)
def test_keys_are_those_of_containerd(media_type, key):
    child = Descriptor.of(media_type, b"")
    assert child_label_key(child) == PREFIX + key
    assert key_without_layers(child) == (None if key == "l." else PREFIX + key)


def test_a_manifest_is_labelled_with_config_and_layers(shelf, labels):
    image = shelf.image("linux/amd64", b"a", b"b")
    found = shelf.manifest(image)
    handler = label_children(labels, children_handler(shelf.content))
    assert handler(image) == (found.config, *found.layers)
    assert labels.of == {
        image.digest: {
            PREFIX + "config": found.config.digest,
            PREFIX + "l.0": found.layers[0].digest,
            PREFIX + "l.1": found.layers[1].digest,
        }
    }


def test_an_index_is_labelled_with_what_it_lists(shelf, labels):
    first, second = shelf.image("linux/amd64"), shelf.image("linux/arm64")
    inner = shelf.index(first)
    target = shelf.index(first, inner, second)
    walk(label_children(labels, children_handler(shelf.content)), target)
    assert labels.of[target.digest] == {
        PREFIX + "m.0": first.digest,
        PREFIX + "0": inner.digest,
        PREFIX + "m.1": second.digest,
    }
    assert set(labels.of) == {target.digest, inner.digest, first.digest, second.digest}


def test_keys_that_come_again_are_numbered():
    digests = [Digest.of(each) for each in (b"a", b"b", b"c")]
    configs = [Descriptor(media_type=OCI_CONFIG, digest=each, size=1) for each in digests]
    assert list(child_labels(configs, child_label_key)) == [
        PREFIX + "config", PREFIX + "config1", PREFIX + "config2",
    ]  # fmt: skip


def test_layers_may_be_left_out(shelf, labels):
    image = shelf.image()
    handler = label_children(labels, children_handler(shelf.content), key=key_without_layers)
    assert len(handler(image)) == 3
    assert list(labels.of[image.digest]) == [PREFIX + "config"]


def test_a_key_of_ones_own(shelf, labels):
    image = shelf.image()
    handler = label_children(
        labels, children_handler(shelf.content), key=lambda child: "example/keep"
    )
    handler(image)
    assert list(labels.of[image.digest]) == ["example/keep", "example/keep1", "example/keep2"]


def test_what_names_nothing_is_not_labelled(shelf, labels):
    handler = label_children(labels, handlers())
    assert handler(shelf.image()) == ()
    assert label_children(labels, lambda each: None)(shelf.image()) == ()
    assert labels.of == {}


def test_a_document_that_is_not_stored_cannot_be_labelled(shelf, labels):
    image = shelf.image()
    below = children_handler(shelf.content)(image)
    handler = label_children(labels, lambda each: below)
    with pytest.raises(NotFoundError, match=str(image.digest)):
        handler(shelf.drop(image))
