"""Large files written past the page cache, by a thread of their own."""

import errno
import os
import threading
import time

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from orlop.disks import direct
from orlop.disks.direct import DirectWriter
from orlop.disks.target import DiskTarget

BUFFER = 4 << 20
ENDS = st.sampled_from([0, 1, 511, 512, 4095, 4096, 4097, 100_000, BUFFER - 1, BUFFER, BUFFER + 1])


def ours():
    return [each.name for each in threading.enumerate() if each.name == "orlop-disk"]


@pytest.fixture
def file(tmp_path):
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


@given(st.lists(st.tuples(ENDS, ENDS), min_size=1, max_size=6), st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_was_taken_is_in_the_file(tmp_path_factory, pieces, without):
    """Whatever the lengths and the gaps, with and without a direct way to the device."""
    path = tmp_path_factory.mktemp("direct") / "disk"
    expected = bytearray()
    with pytest.MonkeyPatch.context() as patch, DiskTarget(path) as target:
        if without:
            patch.setattr(direct, "_open_direct", lambda fd: None)
        for number, (gap, size) in enumerate(pieces, 1):
            data = os.urandom(min(size, 4096)) * (size // 4096 + 1)
            target.skip(gap)
            target.write(memoryview(data)[:size])
            expected += bytes(gap) + data[:size]
            if number % 3 == 0:
                target.write_at(number, b"patched")
                expected[number : number + 7] = b"patched".ljust(7)
                target.size = max(target.size, number + 7)
        expected = expected.ljust(target.size, b"\0")
    assert path.read_bytes() == expected
    assert not ours()


def test_pieces_in_any_order(file):
    writer = DirectWriter(file)
    places = [0, BUFFER * 2 + 7, BUFFER, 6000]
    for place in places:
        writer.write(bytes([place % 251]) * 5000, place)
    writer.drain()
    for place in places:
        assert os.pread(file, 5000, place) == bytes([place % 251]) * 5000


def test_an_error_of_the_thread_is_raised_by_the_next_call():
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        writer = DirectWriter(fd)
        with pytest.raises(OSError) as caught:  # noqa: PT012 - whichever call hears of it first
            for at in range(0, 20 * BUFFER, BUFFER):
                writer.write(bytes(BUFFER), at)
            writer.drain()
        assert caught.value.errno == errno.ENOSPC
        with pytest.raises(OSError, match="No space left"):
            writer.drain()
    finally:
        os.close(fd)
    assert not ours()


def test_a_filesystem_that_takes_no_direct_write_after_all(file, monkeypatch):
    """Some let a file be opened for it, and refuse when it comes to writing."""
    real = os.pwrite
    seen = []

    def pwrite(fd, data, offset):
        if fd != file and os.readlink(f"/proc/self/fd/{fd}") and is_direct(fd):
            seen.append(offset)
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(fd, data, offset)

    monkeypatch.setattr(direct.os, "pwrite", pwrite)
    writer = DirectWriter(file)
    data = os.urandom(4096) * (BUFFER // 2048)
    writer.write(data, 0)
    writer.drain()
    assert len(seen) == 1
    assert os.pread(file, len(data) + 1, 0) == data


def is_direct(fd):
    import fcntl

    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)


def test_whole_blocks_go_the_direct_way(file):
    """Where the filesystem has one: this is what all of it is for."""
    if direct._open_direct(file) is None:
        pytest.skip("this filesystem has no direct way to its device")
    fds = []
    real = direct._Work.write

    def write(work, *arguments):
        fds.append(work._direct)
        real(work, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct._Work, "write", write)
        writer = DirectWriter(file)
        writer.write(bytes(3 * BUFFER), 0)
        writer.drain()
    assert len(fds) == 3
    assert None not in fds


def test_what_is_cancelled_is_not_written(file):
    writer = DirectWriter(file)
    writer.write(b"x" * 100, 0)
    writer.cancel()
    assert os.fstat(file).st_size == 0
    assert not ours()


def test_after_an_error_no_thread_writes_to_a_file_that_is_closed(tmp_path):
    def fail():
        with DiskTarget(tmp_path / "disk") as target:
            target.write(bytes(3 * BUFFER))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not ours()
    assert os.listdir(tmp_path) == []


def test_where_no_thread_is_to_be_had_it_is_written_all_the_same(tmp_path, monkeypatch):
    """As in a control group that may have no more processes."""

    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    data = os.urandom(4096) * (3 * BUFFER // 4096) + b"end"
    with DiskTarget(tmp_path / "disk") as target:
        target.write(data)
        target.write_at(0, b"head")
        target.write(b"more")
    assert (tmp_path / "disk").read_bytes() == b"head" + data[4:] + b"more"


def interrupt(*_):
    raise KeyboardInterrupt


def late(thread, run=threading.Thread.run):
    """A thread that gets no processor before the one that started it has gone on."""
    time.sleep(0.05)
    run(thread)


@pytest.mark.parametrize("moment", ["the thread starts", "the file was made"])
def test_whenever_it_is_interrupted_nothing_is_left(tmp_path, monkeypatch, moment):
    if moment == "the thread starts":
        monkeypatch.setattr(threading.Event, "wait", interrupt)
        monkeypatch.setattr(threading.Thread, "run", late)
    else:
        monkeypatch.setattr("orlop.disks.target.DirectWriter", interrupt)

    def write():
        with DiskTarget(tmp_path / "disk") as target:
            target.write(b"x")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert os.listdir(tmp_path) == []
    deadline = time.monotonic() + 30
    while ours() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not ours()
