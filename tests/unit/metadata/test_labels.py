import pytest

from orlop.digest import Digest
from orlop.errors import InvalidError, LimitExceededError, NotFoundError
from orlop.filters.labels import MAX_LABEL_SIZE, MAX_LABELS
from orlop.metadata import (
    BlobRecord,
    Blobs,
    Database,
    ImageRow,
    Images,
    Labels,
    LeaseRecord,
    Leases,
)
from orlop.metadata.gclabels import check_gc_label

DIGEST = Digest.of(b"x")


@pytest.fixture
def tx(tmp_path):
    with Database.open(tmp_path / "orlop.db") as database, database.write() as tx:
        Blobs(tx).put(BlobRecord(digest=DIGEST, size=1, created_at_ns=1))
        Images(tx).put(image("image"))
        Leases(tx).create(LeaseRecord(id="lease", owner=None, created_at_ns=1))
        yield tx


def image(name, **changes):
    values = {
        "name": name,
        "target": "{}",
        "target_digest": DIGEST,
        "image_id": DIGEST,
        "size": 1,
        "created_at_ns": 1,
        "updated_at_ns": 1,
    }
    return ImageRow(**values | changes)


OWNERS = {"image": "image", "blob": DIGEST, "lease": "lease"}


@pytest.mark.parametrize("kind", OWNERS)
def test_labels(tx, kind):
    owner, labels = OWNERS[kind], Labels(tx)
    assert labels.get(kind, owner) == {}
    labels.replace(kind, owner, {"b.c": "1", "a": "ü\n", "empty": ""})
    assert labels.get(kind, owner) == {"a": "ü\n", "b.c": "1"}
    labels.set(kind, owner, "b.c", "2")
    labels.set(kind, owner, "a", "")
    labels.set(kind, owner, "d", "e")
    assert labels.get(kind, owner) == {"b.c": "2", "d": "e"}
    assert list(labels.find(kind, "d")) == list(labels.find(kind, "b.c", "2")) == [owner]
    assert list(labels.find(kind, "a")) == list(labels.find(kind, "b.c", "1")) == []
    labels.replace(kind, owner, {"x": "y"})
    assert labels.get(kind, owner) == {"x": "y"}


def test_labels_go_with_what_has_them(tx):
    for kind, owner in OWNERS.items():
        Labels(tx).set(kind, owner, "a", "b")
    Images(tx).delete("image")
    Blobs(tx).delete(DIGEST)
    Leases(tx).delete("lease")
    for kind, owner in OWNERS.items():
        assert list(Labels(tx).find(kind, "a")) == []
        with pytest.raises(NotFoundError, match="FOREIGN KEY"):
            Labels(tx).set(kind, owner, "a", "b")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("", "x", "key is empty"),
        ("containerd.io/gc.expire", "tomorrow", "no time"),
        ("containerd.io/gc.ref.content", "sha256:00", "sha256:00"),
        ("containerd.io/gc.ref.content.config", "x", "digest"),
        ("containerd.io/gc.ref.content/l.0", "x", "digest"),
        ("containerd.io/gc.ref.snapshot.overlayfs", "x", "digest"),
        ("containerd.io/gc.bref.content.x", "x", "digest"),
        ("containerd.io/gc.bref.snapshot.any/x", "x", "digest"),
    ],
)
def test_labels_that_could_not_be_obeyed_are_refused(tx, key, value, says):
    with pytest.raises(InvalidError, match=says) as caught:
        Labels(tx).set("image", "image", key, value)
    assert caught.value.where == (key or "labels")
    with pytest.raises(InvalidError, match=says):
        Images(tx).put(image("image", labels={key: value}))
    assert Labels(tx).get("image", "image") == {}


def test_labels_that_are_too_long(tx):
    Labels(tx).set("image", "image", "k", "x" * (MAX_LABEL_SIZE - 1))
    for labels in (
        {"k": "x" * MAX_LABEL_SIZE},
        dict.fromkeys(map(str, range(MAX_LABELS + 1)), "x"),
    ):
        with pytest.raises(LimitExceededError):
            Labels(tx).replace("image", "image", labels)
    assert list(Labels(tx).get("image", "image")) == ["k"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("containerd.io/gc.ref.contentbad", "anything"),
        ("containerd.io/gc.ref.image.x", "any name"),
        ("containerd.io/gc.bref.image", "any name"),
        ("containerd.io/gc.root", "any"),
        ("containerd.io/gc.flat", "any"),
        ("containerd.io/gc.ref.content.x", DIGEST),
        ("containerd.io/gc.expire", "2030-01-01T00:00:00+02:00"),
        ("containerd.io/distribution.source.x", "sha256:00"),
    ],
)
def test_other_labels_are_taken_as_they_are(key, value):
    check_gc_label(key, value)


def test_a_name_that_moves_keeps_its_labels(tx):
    Images(tx).put(image("a", labels={"k": "v"}))
    Images(tx).put(image("a", size=2))
    assert Images(tx).get("a") == image("a", size=2, labels={"k": "v"})
    Images(tx).put(image("a", labels={"x": "y"}))
    assert Images(tx).get("a").labels == {"x": "y"}
    Images(tx).put(image("a"), keep_labels=False)
    assert Images(tx).get("a").labels == {}
    Images(tx).create(image("b", labels={"k": "v"}))
    assert [row.labels for row in Images(tx).list()] == [{}, {"k": "v"}, {}]


def test_updating_an_image(tx):
    before = image("a", labels={"k": "v"})
    Images(tx).put(before)
    after = image("a", size=2, created_at_ns=9, updated_at_ns=9, labels={"l": "w"})
    stale = image("a", labels={"k": "w"})
    assert Images(tx).update(after, expected=stale) is False
    assert Images(tx).get("a") == before
    assert Images(tx).update(after, expected=before) is True
    assert Images(tx).get("a") == image("a", size=2, updated_at_ns=9, labels={"l": "w"})
    assert Images(tx).update(image("a")) is True
    assert Images(tx).get("a").labels == {}
    assert Images(tx).update(image("missing")) is False
    assert Images(tx).get("missing") is None


def test_finding_images(tx):
    other = Digest.of(b"other")
    Images(tx).put(image("a:1", labels={"k": "v"}))
    Images(tx).put(image("a:2", labels={"k": "w"}))
    Images(tx).put(image("b:1", labels={"k": "v"}, target_digest=other))

    def found(**what):
        return [row.name for row in Images(tx).find(**what)]

    assert found() == ["a:1", "a:2", "b:1", "image"]
    assert found(names=["image", "a:2", "missing"]) == ["a:2", "image"]
    assert found(names=[]) == []
    assert found(name_prefix="a:") == ["a:1", "a:2"]
    assert found(label=("k", None)) == ["a:1", "a:2", "b:1"]
    assert found(label=("k", "v")) == ["a:1", "b:1"]
    assert found(target_digest=other) == ["b:1"]
    assert found(name_prefix="a", label=("k", "v"), target_digest=DIGEST) == ["a:1"]
    assert found(names=["b:1"], target_digest=DIGEST) == []


def test_labels_of_blobs(tx):
    labelled = BlobRecord(
        digest=Digest.of(b"y"), size=1, created_at_ns=1, updated_at_ns=2, labels={"a": "b"}
    )
    Blobs(tx).put(labelled)
    assert Blobs(tx).get(labelled.digest) == labelled
    Blobs(tx).put(BlobRecord(digest=labelled.digest, size=1, created_at_ns=5))
    assert Blobs(tx).get(labelled.digest) == labelled
    assert Blobs(tx).touch(labelled.digest, 7) is True
    assert Blobs(tx).touch(Digest.of(b"z"), 7) is False
    assert Blobs(tx).get(labelled.digest).updated_at_ns == 7
    assert Blobs(tx).digests() == tuple(sorted([DIGEST, labelled.digest]))
    assert {blob.digest: blob.labels for blob in Blobs(tx).list()} == {
        DIGEST: {},
        labelled.digest: {"a": "b"},
    }
