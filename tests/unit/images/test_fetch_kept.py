"""What is fetched into a store with records is kept by its lease, and then by its labels."""

import pytest

from orlop.content import MemoryContent
from orlop.errors import LimitExceededError
from orlop.images import (
    MAX_DEPTH,
    ImageRecord,
    ImageStore,
    check,
    children_handler,
    dispatch,
    fetch_handler,
    handlers,
    key_without_layers,
    label_children,
)
from orlop.metadata import Database, ImageRow, Images, Lease
from orlop.metadata.content import LeasedContent
from orlop.metadata.gc import collect
from orlop.metadata.labels import Labels
from support.shelf import MemorySource, Shelf


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path / "orlop.db") as database:
        yield database


@pytest.fixture
def content():
    return MemoryContent()


class LabelsOfBlobs:
    def __init__(self, database):
        self.database = database

    def update(self, digest, labels, *fieldpaths):
        with self.database.write() as tx:
            for key, value in labels.items():
                Labels(tx).set("blob", digest, key, value)


def fetch_image(shelf, target, content, database, lease, key=None):
    store = LeasedContent(content, database, lease)
    below = label_children(LabelsOfBlobs(database), children_handler(store), key=key)
    dispatch(handlers(fetch_handler(MemorySource(shelf.content), store), below), target)


def name(database, target):
    with database.write() as tx:
        row = ImageRow(
            name="it",
            target=str(target.digest),
            target_digest=target.digest,
            image_id=target.digest,
            size=target.size,
            created_at_ns=1,
            updated_at_ns=1,
        )
        Images(tx).put(row)


def test_labels_keep_all_that_an_image_names(content, database):
    shelf = Shelf()
    target = shelf.index(shelf.index(shelf.image("linux/amd64"), shelf.image("linux/arm64", b"x")))
    with Lease(database) as lease:
        fetch_image(shelf, target, content, database, lease)
        collect(database, content)
        name(database, target)
    collect(database, content)
    assert check(content, target).complete
    assert list(content.iter_digests()) == list(shelf.content.iter_digests())


def test_layers_without_labels_go_and_the_rest_stays(content, database):
    shelf = Shelf()
    image = shelf.image("linux/amd64")
    with Lease(database) as lease:
        fetch_image(shelf, image, content, database, lease, key_without_layers)
        name(database, image)
    assert check(content, image).complete
    collect(database, content)
    assert check(content, image).missing == shelf.manifest(image).layers


def test_what_was_there_already_is_kept_by_the_lease_as_well(content, database):
    """A look alone would let the collector take it between the look and the name."""
    shelf = Shelf()
    image = shelf.image("linux/amd64")
    with Lease(database) as first:
        fetch_image(shelf, image, content, database, first, key=lambda child: None)
        with Lease(database) as second:
            fetch_image(shelf, image, content, database, second, key=lambda child: None)
            first.release()
            collect(database, content)
            assert check(content, image).complete
    collect(database, content)
    assert list(content.iter_digests()) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_record_keeps_all_that_its_documents_name(content, database, when):
    """Without labels too: whoever names an image wants its layers."""
    shelf = Shelf()
    target = shelf.index(shelf.index(shelf.image("linux/amd64"), shelf.image("linux/arm64", b"x")))
    images = ImageStore(database, content)
    record = ImageRecord(name="it", target=target)
    with Lease(database) as lease:
        if when == "after":
            images.create(record)
        store = LeasedContent(content, database, lease)
        fetching = fetch_handler(MemorySource(shelf.content), store)
        dispatch(handlers(fetching, children_handler(store)), target)
        if when == "before":
            images.create(record)
        else:
            images.update(record, "target")
    assert not collect(database, content).items
    assert check(content, target).complete
    images.delete("it")
    collect(database, content)
    assert list(content.iter_digests()) == []


def test_a_record_of_indexes_that_lie_too_deep(database):
    """It keeps what it can; that nobody reads so deep is for those to say who do."""
    shelf = Shelf()
    target = shelf.nest(MAX_DEPTH + 1)
    ImageStore(database, shelf.content).create(ImageRecord(name="deep", target=target))
    with pytest.raises(LimitExceededError, match="too deep"):
        check(shelf.content, target)


def test_labels_say_which_children_a_record_keeps(content, database):
    shelf = Shelf()
    image = shelf.image("linux/amd64")
    with Lease(database) as lease:
        fetch_image(shelf, image, content, database, lease, key_without_layers)
        note = LeasedContent(content, database, lease).put(b"a note")
        LabelsOfBlobs(database).update(image.digest, {"containerd.io/gc.ref.content.note": note})
        ImageStore(database, content).create(ImageRecord(name="it", target=image))
    collect(database, content)
    assert check(content, image).missing == shelf.manifest(image).layers
    assert content.stat(note)


def test_labels_for_other_content_say_nothing_of_children(content, database):
    shelf = Shelf()
    image = shelf.image("linux/amd64")
    with Lease(database) as lease:
        fetch_image(shelf, image, content, database, lease, key=lambda child: None)
        note = LeasedContent(content, database, lease).put(b"a note")
        LabelsOfBlobs(database).update(image.digest, {"containerd.io/gc.ref.content.note": note})
        ImageStore(database, content).create(ImageRecord(name="it", target=image))
    collect(database, content)
    assert check(content, image).complete
