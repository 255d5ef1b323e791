import subprocess
import sys
from dataclasses import replace

import pytest

from orlop.content import MemoryContent
from orlop.digest import Digest
from orlop.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    InvalidFilterError,
    LimitExceededError,
    NotFoundError,
)
from orlop.filters import MAX_LABEL_SIZE
from orlop.images.record import ImageRecord
from orlop.images.rows import MAX_IMAGE_NAME_SIZE, MAX_TARGET_SIZE
from orlop.images.store import ImageStore
from orlop.mediatype import OCI_INDEX, OCI_MANIFEST
from orlop.metadata import Chains, Database, Images
from orlop.platform import Platform
from orlop.spec.config import ImageConfig
from orlop.spec.descriptor import Descriptor
from orlop.spec.index import Index
from orlop.spec.json import encode_json
from orlop.spec.manifest import Manifest

TARGET = Descriptor.of(OCI_MANIFEST, b"one")
OTHER = Descriptor.of(OCI_MANIFEST, b"another")


class Clock:
    """Tells the time that a test sets."""

    now = 1000

    def __call__(self):
        return self.now


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path / "orlop.db") as database:
        yield database


@pytest.fixture
def content():
    return MemoryContent()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(database, content, clock):
    return ImageStore(database, content, now_ns=clock)


def image(name="ship", target=TARGET, **labels):
    return ImageRecord(name=name, target=target, labels=labels)


def target_of(size):
    """A target whose descriptor has this many bytes."""
    spare = size - len(encode_json(replace(TARGET, annotations={"a": ""}).encode()))
    return replace(TARGET, annotations={"a": "x" * spare})


def names(store, *filters):
    return [record.name for record in store.list(*filters)]


def put(content, raw):
    with content.ingest("test") as ingest:
        ingest.write(raw)
        return ingest.commit()


def put_image(content, *layers, architecture="amd64"):
    """The manifest's descriptor of an image of these layers, which are not stored themselves."""
    config = ImageConfig(
        platform=Platform(os="linux", architecture=architecture),
        diff_ids=tuple(Digest.of(layer) for layer in layers),
    )
    manifest = Manifest(
        config=config.descriptor(),
        layers=tuple(
            Descriptor.of("application/vnd.oci.image.layer.v1.tar", layer) for layer in layers
        ),
    )
    put(content, config.raw)
    put(content, manifest.raw)
    return Descriptor.of(OCI_MANIFEST, manifest.raw), config


def row(database, name="ship"):
    with database.read() as tx:
        return Images(tx).get(name)


def test_an_image_is_stored_with_the_time(store, clock):
    created = store.create(replace(image(a="1"), created_at_ns=5, updated_at_ns=6))
    assert created == replace(image(a="1"), created_at_ns=1000, updated_at_ns=1000)
    assert store.get("ship") == created


def test_a_whole_descriptor_survives(store):
    """containerd keeps digest, media type, size and annotations, and loses the rest silently."""
    target = replace(
        Descriptor.of(OCI_MANIFEST, b"{}"),
        urls=("https://example.org/x",),
        annotations={"a.b/c": "1", "empty": ""},
        data=b"{}",
        artifact_type="application/vnd.example",
        platform=Platform(os="linux", architecture="arm64", variant="v8", os_features=("x",)),
        extra={"com.example.field": {"nested": [1, None, "ü"]}},
    )
    assert store.create(image(target=target)).target == target
    assert store.get("ship").target == target
    assert store.list()[0].target == target
    assert store.update(image(label="1"), "labels").target == target


def test_what_is_not_there_is_not_found(store):
    with pytest.raises(NotFoundError, match="'ship'"):
        store.get("ship")
    with pytest.raises(NotFoundError, match="'ship'"):
        store.delete("ship")
    with pytest.raises(NotFoundError, match="'ship'"):
        store.update(image())


def test_a_name_is_given_once(store):
    first = store.create(image())
    with pytest.raises(AlreadyExistsError, match="'ship'"):
        store.create(image(target=OTHER))
    assert store.get("ship") == first


def test_images_are_listed_in_the_order_of_their_names(store):
    for name in ("b", "a/b", "ü", "a"):
        store.create(image(name))
    assert names(store) == ["a", "a/b", "b", "ü"]
    assert names(store, "") == ["a", "a/b", "b", "ü"]


def test_wrong_filter_is_refused(store):
    with pytest.raises(InvalidFilterError, match="column 5"):
        store.list("name=x")


def test_a_name_is_taken_away(store):
    store.create(image())
    store.delete("ship")
    assert names(store) == []
    store.create(image())


def test_a_name_is_taken_away_only_if_it_still_means_the_target(store):
    store.create(image())
    with pytest.raises(NotFoundError, match=f"is {TARGET.digest}, and not {OTHER.digest}"):
        store.delete("ship", target=OTHER)
    assert names(store) == ["ship"]
    store.delete("ship", target=replace(TARGET, annotations={"digest": "alone counts"}))
    assert names(store) == []


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (image(""), "name is empty"),
        (image("a\0b"), "name holds a NUL"),
        (image("\udcff"), "not UTF-8"),
        (image(target=replace(TARGET, size=0)), r"target\.size: is 0, and must be above 0"),
        (image(target=replace(TARGET, size=-1)), r"target\.size: is -1"),
        (image(target=replace(TARGET, media_type="")), r"target\.mediaType"),
        (image(target=replace(TARGET, media_type="no type")), r"target\.mediaType"),
        (image(target=replace(TARGET, urls=("no uri",))), r"target\.urls"),
        (image(**{"": "x"}), "key is empty"),
        (image(**{"a\0": "x"}), "key holds a NUL"),
    ],
)
def test_what_cannot_be_kept_is_refused(store, record, problem):
    """containerd demands a media type and a size above nothing too."""
    with pytest.raises(InvalidError, match=problem):
        store.create(record)
    assert names(store) == []


@pytest.mark.parametrize(
    ("record", "limit"),
    [
        (image("ü" * (MAX_IMAGE_NAME_SIZE // 2) + "x"), "MAX_IMAGE_NAME_SIZE"),
        (image(target=target_of(MAX_TARGET_SIZE + 1)), "MAX_TARGET_SIZE"),
        (image(a="x" * MAX_LABEL_SIZE), "MAX_LABEL_SIZE"),
    ],
)
def test_what_is_beyond_a_limit_is_refused(store, record, limit):
    with pytest.raises(LimitExceededError) as caught:
        store.create(record)
    assert caught.value.limit == limit
    assert names(store) == []


def test_limits_are_inclusive(store):
    store.create(image("ü" * (MAX_IMAGE_NAME_SIZE // 2), a="x" * (MAX_LABEL_SIZE - 1)))
    assert store.create(image("b", target=target_of(MAX_TARGET_SIZE)))


def test_change_since_it_was_read_is_a_conflict(store, clock):
    """Of two that read, change and write, the second does not undo the first."""
    read = store.create(image(a="1"))
    clock.now += 1
    first = store.update(replace(read, labels={"a": "1", "b": "2"}), expected=read)
    with pytest.raises(ConflictError, match="'ship' has been changed"):
        store.update(replace(read, labels={"a": "1", "c": "3"}), expected=read)
    assert store.get("ship") == first
    again = store.update(replace(first, labels={**first.labels, "c": "3"}), expected=first)
    assert again.labels == {"a": "1", "b": "2", "c": "3"}


def test_conflict_is_no_matter_of_the_clock(store):
    read = store.create(image(a="1"))
    store.update(image(a="2"), "labels.a")
    with pytest.raises(ConflictError):
        store.update(image(a="3"), "labels.a", expected=read)
    assert store.get("ship").labels == {"a": "2"}


def test_what_is_gone_is_no_conflict(store):
    read = store.create(image())
    store.delete("ship")
    with pytest.raises(NotFoundError):
        store.update(read, expected=read)


def test_documents_that_are_there_tell_more(store, database, content):
    target, config = put_image(content, b"first", b"second")
    store.create(image(target=target))
    found = row(database)
    assert found.manifest_digest == target.digest
    assert found.image_id == config.image_id
    assert found.chain_id == config.chain_ids[-1]
    assert found.platform == "linux/amd64"
    assert found.size == target.size + len(config.raw) + len(b"first") + len(b"second")
    with database.read() as tx:
        assert Chains(tx).layers(found.chain_id) == config.diff_ids


def test_one_image_of_an_index_counts(database, content):
    intel, _ = put_image(content, b"x")
    arm, config = put_image(content, b"y", architecture="arm64")
    index = Index(
        manifests=tuple(
            replace(each, platform=Platform(os="linux", architecture=architecture))
            for each, architecture in ((intel, "amd64"), (arm, "arm64"))
        )
    )
    put(content, index.raw)
    target = Descriptor.of(OCI_INDEX, index.raw)
    store = ImageStore(database, content, platform=Platform.parse("linux/arm64"))
    store.create(image(target=target))
    ImageStore(database, content).create(image("first", target=target))
    assert row(database).manifest_digest == arm.digest
    assert row(database).image_id == config.image_id
    assert row(database).platform == "linux/arm64"
    assert row(database).size == target.size + arm.size + len(config.raw) + 1
    assert row(database, "first").manifest_digest == intel.digest


@pytest.mark.parametrize("target", [TARGET, replace(TARGET, media_type="application/x")])
def test_documents_need_not_be_there(store, database, target):
    store.create(image(target=target))
    found = row(database)
    assert (found.image_id, found.size) == (TARGET.digest, TARGET.size)
    assert (found.manifest_digest, found.chain_id, found.platform) == (None, None, "")


def test_documents_may_be_broken(store, database, content):
    put(content, b"{")
    store.create(image(target=Descriptor.of(OCI_MANIFEST, b"{")))
    assert row(database).image_id == Digest.of(b"{")


def test_documents_may_lie_about_sizes(store, database, content):
    """More bytes than a 64-bit number counts are as many as it does."""
    huge = replace(Descriptor.of("application/vnd.oci.image.layer.v1.tar", b"x"), size=2**63 - 1)
    manifest = Manifest(config=TARGET, layers=(huge,))
    put(content, manifest.raw)
    store.create(image(target=Descriptor.of(OCI_MANIFEST, manifest.raw)))
    assert row(database).size == 2**63 - 1


def test_config_need_not_be_there(store, database, content):
    target, config = put_image(content, b"x")
    content.delete(config.image_id)
    store.create(image(target=target))
    found = row(database)
    assert (found.manifest_digest, found.image_id) == (target.digest, config.image_id)
    assert (found.chain_id, found.platform) == (None, "")


def test_what_is_known_of_a_target_moves_with_it(store, database, content):
    target, config = put_image(content, b"x")
    store.create(image())
    store.update(image(a="1", target=target), "labels")
    assert row(database).image_id == TARGET.digest
    store.update(image(target=target), "target")
    assert row(database).image_id == config.image_id
    store.update(image(), "target")
    assert row(database).image_id == TARGET.digest
    assert row(database).chain_id is None


def test_what_is_known_of_a_target_stays_with_it(store, database, content):
    target, config = put_image(content, b"x")
    store.create(image(target=target))
    content.delete(target.digest)
    store.update(image(target=replace(target, annotations={"a": "b"})))
    assert row(database).image_id == config.image_id
    assert store.get("ship").target.annotations == {"a": "b"}


CREATE = """
import sys
from orlop.content import MemoryContent
from orlop.errors import AlreadyExistsError
from orlop.images.record import ImageRecord
from orlop.images.store import ImageStore
from orlop.metadata import Database
from orlop.spec.descriptor import Descriptor

target = Descriptor.of("application/vnd.oci.image.manifest.v1+json", sys.argv[2].encode())
with Database.open(sys.argv[1]) as database:
    store = ImageStore(database, MemoryContent())
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(20):
        try:
            store.create(ImageRecord(name=str(number), target=target))
        except AlreadyExistsError:
            print("lost", number)
        else:
            print("won", number)
"""


def test_of_processes_that_create_one_name_one_wins(tmp_path):
    path = tmp_path / "orlop.db"
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", CREATE, str(path), worker], stdin=pipe, stdout=pipe, text=True
        )
        for worker in "abc"
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = [worker.communicate()[0].splitlines() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    with Database.open(path) as database:
        stored = {each.name: each.target for each in ImageStore(database, MemoryContent()).list()}
    for number in range(20):
        (winner,) = (
            worker for worker, lines in zip("abc", told, strict=True) if f"won {number}" in lines
        )
        assert stored[str(number)] == Descriptor.of(OCI_MANIFEST, winner.encode())


UPDATE = """
import sys
from dataclasses import replace
from orlop.content import MemoryContent
from orlop.errors import ConflictError
from orlop.images.store import ImageStore
from orlop.metadata import Database

with Database.open(sys.argv[1]) as database:
    store = ImageStore(database, MemoryContent())
    done = 0
    while done < 20:
        read = store.get("ship")
        count = str(int(read.labels["count"]) + 1)
        try:
            store.update(replace(read, labels={"count": count}), "labels.count", expected=read)
        except ConflictError:
            continue
        done += 1
"""


def test_processes_that_update_what_they_expect_lose_nothing(tmp_path, store):
    store.create(image(count="0"))
    command = [sys.executable, "-c", UPDATE, str(tmp_path / "orlop.db")]
    workers = [subprocess.Popen(command) for _ in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert store.get("ship").labels == {"count": "60"}
