import threading
from dataclasses import replace

import pytest

from orlop.content import LocalContent, MemoryContent
from orlop.digest import Digest
from orlop.errors import (
    AlreadyExistsError,
    DigestMismatchError,
    NotFoundError,
    SizeMismatchError,
    UnsupportedError,
)
from orlop.images import (
    check,
    children_handler,
    dispatch,
    fetch,
    fetch_handler,
    filter_platforms,
    handlers,
)
from orlop.layout import open_source, parse_place
from orlop.mediatype import OCI_LAYER, OCI_MANIFEST
from orlop.parallel import Cancellation, CancelledError
from orlop.platform import Platform
from orlop.spec import EMPTY, Descriptor, Manifest
from support.images import ImageBuilder, file
from support.shelf import MemorySource, Shelf, store

BLOB = b"0123456789"
LAYER = Descriptor.of(OCI_LAYER, BLOB)


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture(params=["memory", "local"])
def target(request, tmp_path):
    return MemoryContent() if request.param == "memory" else LocalContent(tmp_path / "content")


def copier(source, target):
    return handlers(fetch_handler(source, target), children_handler(target))


def offsets(source):
    return [offset for _, offset in source.opened]


def test_a_whole_image(shelf, target):
    top = shelf.index(shelf.image("linux/amd64"), shelf.image("linux/arm64", b"far"))
    source = MemorySource(shelf.content)
    dispatch(copier(source, target), top)
    assert check(target, top).complete
    assert list(target.iter_digests()) == list(shelf.content.iter_digests())
    assert len(source.opened) == len(set(source.opened)) == 8
    assert list(target.statuses()) == []


def test_what_is_there_is_not_fetched_again(shelf, target):
    top = shelf.index(shelf.image())
    dispatch(copier(MemorySource(shelf.content), target), top)
    source = MemorySource(shelf.content)
    dispatch(copier(source, target), top)
    assert source.opened == []
    assert list(target.statuses()) == []


def test_one_platform_out_of_a_layout(tmp_path, target):
    for platform in ("amd64", "arm64"):
        builder = ImageBuilder(platform=("linux", platform))
        layout = builder.layer(file("name", platform.encode())).write(tmp_path / "layout", platform)
    with open_source(parse_place(layout.source)) as source:
        dispatch(copier(source, target), source.resolve())
        arm = source.resolve()
    assert check(target, arm).complete
    assert len(list(target.iter_digests())) == 3


def test_a_fetch_that_broke_in_the_middle_is_gone_on_with(shelf, target):
    image = shelf.image("linux/amd64", BLOB)
    source = MemorySource(shelf.content, breaks={LAYER.digest: 6})
    with pytest.raises(ConnectionResetError):
        dispatch(copier(source, target), image, jobs=1)
    assert [status.offset for status in target.statuses()] == [6]
    assert [each.digest for each in check(target, image).missing] == [LAYER.digest]
    source.opened.clear()
    dispatch(copier(source, target), image, jobs=1)
    assert source.opened == [(LAYER.digest, 6)]
    assert check(target, image).complete
    assert target.read(LAYER.digest, LAYER.size) == BLOB


def test_a_source_that_begins_at_the_beginning_again(shelf, target):
    shelf.put(BLOB)
    source = MemorySource(shelf.content, breaks={LAYER.digest: 6}, ranges=False)
    with pytest.raises(ConnectionResetError):
        fetch(source, target, LAYER)
    fetch(source, target, LAYER)
    assert offsets(source) == [0, 6]
    assert target.read(LAYER.digest, LAYER.size) == BLOB


def test_a_whole_blob_that_was_not_named_is_not_fetched(target):
    with target.ingest(str(LAYER.digest), digest=LAYER.digest, size=LAYER.size) as ingest:
        ingest.write(BLOB)
    source = MemorySource(MemoryContent())
    fetch(source, target, LAYER)
    assert source.opened == []
    assert target.stat(LAYER.digest).size == LAYER.size


def test_an_empty_blob_is_not_asked_for(target):
    empty = Descriptor.of(OCI_LAYER, b"")
    fetch(MemorySource(MemoryContent()), target, empty)
    assert target.read(empty.digest, 0) == b""


def test_embedded_content_is_not_asked_for(target):
    fetch(MemorySource(MemoryContent()), target, EMPTY)
    assert target.read(EMPTY.digest, 2) == b"{}"


def test_embedded_content_replaces_what_was_left(target):
    with target.ingest(str(EMPTY.digest), digest=EMPTY.digest, size=2) as ingest:
        ingest.write(b"{")
    fetch(MemorySource(MemoryContent()), target, EMPTY)
    assert target.read(EMPTY.digest, 2) == b"{}"


def test_embedded_content_that_is_something_else_is(shelf, target):
    shelf.put(BLOB)
    source = MemorySource(shelf.content)
    fetch(source, target, replace(LAYER, data=b"9876543210"))
    assert target.read(LAYER.digest, LAYER.size) == BLOB
    assert offsets(source) == [0]


class Always:
    """A source of the same bytes, whatever is asked for."""

    def __init__(self, data):
        self.data = data

    def open(self, descriptor, offset=0):
        content = MemoryContent()
        store(content, self.data)
        return MemorySource(content).open(Descriptor.of(OCI_LAYER, self.data), offset)


def test_other_bytes_than_the_digest_says(target):
    with pytest.raises(DigestMismatchError):
        fetch(Always(b"9876543210"), target, LAYER)
    assert target.stat(LAYER.digest) is None
    assert list(target.statuses()) == []
    fetch(Always(BLOB), target, LAYER)


@pytest.mark.parametrize("data", [BLOB[:-1], BLOB + b"more"])
def test_another_length_than_the_descriptor_says(target, data):
    with pytest.raises(SizeMismatchError):
        fetch(Always(data), target, LAYER)
    assert target.stat(LAYER.digest) is None
    assert list(target.statuses()) == []


def test_stored_content_of_another_length_than_the_descriptor_says(target):
    store(target, BLOB)
    with pytest.raises(SizeMismatchError, match="in its descriptor: expected 10, found 11"):
        fetch(Always(BLOB), target, replace(LAYER, size=11))


def test_a_digest_that_cannot_be_computed(target):
    strange = replace(LAYER, digest=Digest("blake3:" + "0" * 64))
    with pytest.raises(UnsupportedError):
        fetch(Always(BLOB), target, strange)


def test_a_source_that_lacks_something(shelf, target):
    image = shelf.image("linux/amd64", BLOB)
    gone = shelf.drop(LAYER)
    with pytest.raises(NotFoundError, match=str(gone.digest)):
        dispatch(copier(MemorySource(shelf.content), target), image)


def test_a_manifest_that_lies_is_not_followed(shelf, target):
    other = shelf.image("linux/arm64")
    lie = Descriptor(media_type=OCI_MANIFEST, digest=Digest.of(b"lie"), size=other.size)
    raw = Manifest.decode(shelf.content.read(other.digest, other.size)).raw
    with pytest.raises(DigestMismatchError):
        dispatch(copier(Always(raw), target), lie)
    assert list(target.iter_digests()) == []


class Refusing:
    """A target that says of everything that it is there."""

    def stat(self, digest):
        return None

    def ingest(self, reference, **options):
        raise AlreadyExistsError(f"{reference} is stored")


def test_a_target_that_has_it_is_success():
    fetch(Always(BLOB), Refusing(), LAYER)


def test_waiting_for_another_writer_of_the_same_blob(shelf, target):
    shelf.put(BLOB)
    source = MemorySource(shelf.content)
    ingest = target.ingest(str(LAYER.digest), digest=LAYER.digest, size=LAYER.size)
    thread = threading.Thread(target=fetch, args=(source, target, LAYER))
    thread.start()
    ingest.write(BLOB)
    ingest.commit()
    thread.join(20)
    assert not thread.is_alive()
    assert source.opened == []


def test_waiting_ends_when_the_run_does(target):
    cancellation = Cancellation()
    timer = threading.Timer(0.02, cancellation.cancel)
    with target.ingest(str(LAYER.digest), digest=LAYER.digest, size=LAYER.size):
        timer.start()
        with pytest.raises(CancelledError):
            dispatch(copier(Always(BLOB), target), LAYER, cancellation=cancellation)
    timer.join()


def test_a_fetch_stops_between_two_pieces_when_another_one_fails(shelf, target):
    """What came until then is kept."""
    good, bad = shelf.put(BLOB), Descriptor.of(OCI_LAYER, b"not there")
    under_way, failed = threading.Event(), threading.Event()

    class Source(MemorySource):
        def open(self, descriptor, offset=0):
            if descriptor == bad:
                under_way.wait(20)
                failed.set()
                raise NotFoundError("not there")
            stream = super().open(descriptor, offset)
            read = stream.read

            def slowly(size):
                data = read(size)
                if stream._position > 4:
                    under_way.set()
                    failed.wait(20)
                    while not cancellation.cancelled:
                        failed.wait(0.001)
                return data

            stream.read = slowly
            return stream

    cancellation = Cancellation()
    with pytest.raises(NotFoundError, match="not there"):
        dispatch(copier(Source(shelf.content), target), good, bad, cancellation=cancellation)
    assert [status.offset for status in target.statuses()] == [4]


def test_filters_decide_what_is_fetched(shelf, target):
    mine, other = shelf.image("linux/amd64", b"a"), shelf.image("linux/arm64", b"b")
    top = shelf.index(mine, other)
    below = filter_platforms(children_handler(target), Platform.parse("linux/arm64"))
    dispatch(handlers(fetch_handler(MemorySource(shelf.content), target), below), top)
    assert target.stat(mine.digest) is None
    assert check(target, other).complete
