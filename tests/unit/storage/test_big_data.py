"""Big data: whole before and after each change, as a stream, within limits."""

import io

import pytest

from orlop.digest import Digest
from orlop.errors import InvalidError, LimitExceededError, NotFoundError, UnsupportedError
from orlop.metadata import BigData, BigDatum
from orlop.storage.big_data import MAX_ITEMS, MAX_NAME_LENGTH
from orlop.storage.places import Places
from orlop.storage.storage import Storage

LARGE = bytes(range(256)) * 20_000


@pytest.fixture(params=["layer", "image", "container"])
def data(request, storage):
    """The data of something called `it`."""
    things = {
        "layer": storage.layers, "image": storage.images, "container": storage.containers,
    }[request.param]  # fmt: skip
    things.create(id="it-is-here", names=["it"])
    return things.data


def files(storage):
    return list(storage.places.root.glob("*/it-is-here/data/*"))


def test_items(data, storage):
    assert data.list("it") == ()
    made = data.put("it", "b", b"bytes")
    data.put("it-is", "a", io.BytesIO(LARGE))
    assert (made.size, made.digest) == (5, Digest.of(b"bytes"))
    assert [(each.name, each.size) for each in data.list("it")] == [("a", len(LARGE)), ("b", 5)]
    assert data.get("it", "a") == LARGE
    assert data.stat("it", "a").digest == Digest.of(LARGE)
    data.put("it", "empty", b"")
    assert data.get("it", "empty") == b""
    assert len(files(storage)) == 3
    data.delete("it", "a")
    assert len(files(storage)) == 2
    for call in (data.get, data.stat, data.delete, data.open):
        with pytest.raises(NotFoundError, match="has no data called 'a'"):
            call("it", "a")
    with pytest.raises(NotFoundError, match="is called 'other'"):
        data.put("other", "a", b"")


def test_an_item_is_replaced_at_once(data, storage):
    data.put("it", "item", b"old")
    with data.open("it", "item") as stream:
        data.put("it", "item", b"new")
        assert stream.read() == b"old"  # who has begun to read is not disturbed
    assert data.get("it", "item") == b"new"
    assert len(files(storage)) == 1


class Broken(io.RawIOBase):
    """A stream that fails after some bytes."""

    def __init__(self):
        self.left = [b"some", b"more"]

    def read(self, size=-1):
        if self.left:
            return self.left.pop()
        raise OSError(5, "it is broken")


def test_what_cannot_be_read_changes_nothing(data, storage):
    data.put("it", "item", b"old")
    for name in ("item", "other"):
        with pytest.raises(OSError, match="it is broken"):
            data.put("it", name, Broken())
    assert [(each.name, each.size) for each in data.list("it")] == [("item", 3)]
    assert data.get("it", "item") == b"old"
    assert len(files(storage)) == 1


def test_names_of_items(data):
    data.put("it", "../../x /:\\", b"safe")
    assert data.get("it", "../../x /:\\") == b"safe"
    data.put("it", "x" * MAX_NAME_LENGTH, b"")
    with pytest.raises(LimitExceededError, match="MAX_NAME_LENGTH"):
        data.put("it", "x" * (MAX_NAME_LENGTH + 1), b"")
    for name in ("", "a\n", "\x1b"):
        with pytest.raises(InvalidError, match="cannot be the name"):
            data.put("it", name, b"")


def test_there_are_no_more_items_than_the_limit(storage):
    storage.layers.create(id="it-is-here", names=["it"])
    data = storage.layers.data
    with storage.database.write() as tx:
        for number in range(MAX_ITEMS - 1):
            item = BigDatum(name=f"{number}", file="x", size=0, digest=Digest.of(b""))
            BigData(tx).put("layer", "it-is-here", item)
    data.put("it", "last", b"one")
    with pytest.raises(LimitExceededError) as caught:
        data.put("it", "one more", b"two")
    assert (caught.value.limit, caught.value.value) == ("MAX_ITEMS", MAX_ITEMS)
    assert len(files(storage)) == 1  # nothing is left of what was refused
    data.put("it", "last", b"three")  # there was one of that name
    assert data.get("it", "last") == b"three"


def test_files_that_no_record_names_are_told(data, storage):
    data.put("it", "item", b"x")
    left = files(storage)[0].parent / "left"
    left.write_bytes(b"by a killed process")
    assert list(data.unrecorded(storage, "it-is-here")) == [left]
    assert list(data.unrecorded(storage, "missing")) == []


def test_nothing_is_written_to_additional_stores(storage, tmp_path):
    storage.layers.create(id="there")
    storage.layers.data.put("there", "item", b"read")
    places = Places(tmp_path / "other", tmp_path / "run")
    with Storage.open(places, additional=[storage.places]) as both:
        data = both.layers.data
        assert data.get("there", "item") == b"read"
        for change in (
            lambda: data.put("there", "item", b""),
            lambda: data.delete("there", "item"),
        ):
            with pytest.raises(UnsupportedError, match="additional store"):
                change()


def test_a_store_that_is_only_read_gets_nothing(storage):
    container = storage.containers.create(names=["box"])
    before = sorted(storage.places.root.rglob("*"))
    with Storage.open(storage.places, read_only=True) as reading:
        for call in (
            lambda: reading.containers.data.put("box", "item", b""),
            lambda: reading.containers.directory("box"),
            lambda: reading.containers.run_directory("box"),
            lambda: reading.containers.mount("box"),
        ):
            with pytest.raises(OSError, match="Read-only"):
                call()
    assert sorted(storage.places.root.rglob("*")) == before
    assert not storage.places.run_directory("container", container.id).exists()


def test_data_goes_with_its_owner(data, storage):
    data.put("it", "item", b"x")
    for things in (storage.layers, storage.images, storage.containers):
        try:
            things.delete("it")
        except NotFoundError:
            continue
    assert files(storage) == []
    with storage.database.read() as tx:
        assert not list(tx.rows("SELECT * FROM big_data"))
