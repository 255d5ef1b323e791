import threading

import pytest

from orlop.compression import DecompressionLimits
from orlop.digest import Digest
from orlop.errors import (
    DigestMismatchError,
    InvalidLayerError,
    LimitExceededError,
    UnsafePathError,
)
from orlop.storage.unpack import QUEUE_PIECES, LayerUnpacker
from orlop.tar import TarLimits
from orlop.tree import EncodedChangeset
from support.images import compress, directory, file, tar

LAYER = tar(directory("etc"), file("etc/hostname", b"box\n"), file("big", b"x" * 3_000_000))


class Sink:
    """Keeps what it is given; fails when told to."""

    def __init__(self, failure=None, at=0):
        self.data = bytearray()
        self.finished = False
        self.threads = set()
        self._failure, self._at = failure, at

    def write(self, piece, offset, entries):
        self.threads.add(threading.current_thread().name)
        assert offset == len(self.data)
        if self._failure and offset >= self._at:
            raise self._failure
        self.data += piece

    def finish(self, entries):
        if self._failure:
            raise self._failure
        self.finished = True


def unpacker(sink, data=LAYER, diff_id=None, *, decompression=None, limits=None):
    return LayerUnpacker(
        diff_id or Digest.of(data),
        sink,
        decompression=decompression or DecompressionLimits(),
        tar=limits or TarLimits(),
    )


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "orlop-unpack"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert workers() == []


@pytest.mark.parametrize("how", ["none", "gzip", "zstd"])
def test_a_layer_becomes_a_tar_and_a_changeset(how):
    sink, stored = Sink(), compress(LAYER, how)
    with unpacker(sink) as work:
        for start in range(0, len(stored), 70_000):
            work.feed(stored[start : start + 70_000])
        layer = work.finish()
    assert bytes(sink.data) == LAYER
    assert sink.finished
    assert (layer.diff_id, layer.size, layer.entries) == (Digest.of(LAYER), len(LAYER), 3)
    changeset = EncodedChangeset(layer.changeset, layer.diff_id)
    assert [entry.path for entry in changeset.additions()] == [b"etc", b"etc/hostname", b"big"]


def test_writing_is_another_threads_work():
    sink = Sink()
    with unpacker(sink) as work:
        work.feed(LAYER)
        work.finish()
    assert sink.threads == {"orlop-unpack"}


def test_an_empty_layer():
    data = tar()
    with unpacker(Sink(), data) as work:
        work.feed(data)
        assert work.finish().entries == 0


def test_another_diff_id():
    with unpacker(Sink(), diff_id=Digest.of(b"another")) as work:
        work.feed(LAYER)
        with pytest.raises(DigestMismatchError, match="not what the image's config names") as error:
            work.finish()
    assert error.value.actual == Digest.of(LAYER)


def test_a_layer_that_is_cut_short():
    cut = LAYER[:-2_000_000]
    with unpacker(Sink(), cut) as work:
        work.feed(cut)
        with pytest.raises(InvalidLayerError):
            work.finish()


def test_compressed_bytes_that_are_cut_short():
    with unpacker(Sink()) as work:
        work.feed(compress(LAYER, "gzip")[:-20])
        with pytest.raises(InvalidLayerError):
            work.finish()


def feed_until_it_fails(work, data):
    for start in range(0, len(data), 1000):
        work.feed(data[start : start + 1000])
    work.finish()


@pytest.mark.parametrize("at", [0, 1_000_000])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), RuntimeError("bug")])
def test_what_the_sink_raises_is_raised_to_the_caller(failure, at):
    with unpacker(Sink(failure, at)) as work, pytest.raises(type(failure)) as raised:
        feed_until_it_fails(work, LAYER)
    assert raised.value is failure


def test_after_an_error_nothing_more_is_written():
    sink = Sink(OSError(28, "No space left on device"), 1)
    with unpacker(sink) as work, pytest.raises(OSError, match="No space"):
        feed_until_it_fails(work, LAYER)
    assert len(sink.data) < len(LAYER)
    assert not sink.finished


def test_a_hostile_entry_is_found_by_the_worker():
    hostile = tar(file("../outside", b"x"), file("filler", b"x" * 3_000_000))
    with unpacker(Sink(), hostile) as work, pytest.raises(UnsafePathError):
        feed_until_it_fails(work, hostile)


def test_limits_of_the_archive_are_obeyed():
    with (
        unpacker(Sink(), limits=TarLimits(max_entries=2)) as work,
        pytest.raises(LimitExceededError, match="max_entries"),
    ):
        feed_until_it_fails(work, LAYER)


def test_limits_of_the_compression_are_obeyed():
    limits = DecompressionLimits(max_size=1_000_000)
    with (
        unpacker(Sink(), decompression=limits) as work,
        pytest.raises(LimitExceededError, match="max_size"),
    ):
        feed_until_it_fails(work, compress(LAYER, "gzip"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_worker_ends_when_the_caller_fails(error):
    def fail():
        with unpacker(Sink()) as work:
            work.feed(LAYER)
            raise error

    with pytest.raises(error):
        fail()
    assert workers() == []


def test_the_worker_ends_when_nothing_was_fed():
    with unpacker(Sink()):
        assert len(workers()) == 1


def test_what_waits_between_the_threads_is_bounded():
    """A sink that does not go on keeps the caller waiting, not the memory growing."""
    gate = threading.Event()
    sink = Sink()
    write = sink.write

    def wait_and_write(*arguments):
        gate.wait()
        write(*arguments)

    sink.write = wait_and_write
    data = tar(*(file(f"file-{number}", bytes(1 << 20)) for number in range(12)))
    fed = []
    with unpacker(sink, data) as work:

        def feed():
            for start in range(0, len(data), 1 << 20):
                work.feed(data[start : start + (1 << 20)])
                fed.append(start)

        feeder = threading.Thread(target=feed)
        feeder.start()
        while not work._pieces.full():
            gate.wait(0.01)
        assert len(fed) <= QUEUE_PIECES + 2
        gate.set()
        feeder.join()
        work.finish()
    assert bytes(sink.data) == data
