"""Extended attributes, cloning and write-back on whatever filesystem the tests run on."""

import errno
import os

import pytest

from orlop._sys import reflink
from orlop._sys.reflink import clone_file, clone_range, copy_range
from orlop._sys.sync import start_writeback, sync_directory, syncfs
from orlop._sys.xattr import set_xattr_at, xattrs_at, xattrs_of

DATA = bytes(range(256)) * 5000


@pytest.fixture
def files(tmp_path):
    """A file with DATA and an empty one, both open."""
    (tmp_path / "source").write_bytes(DATA)
    source = os.open(tmp_path / "source", os.O_RDONLY)
    target = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield source, target
    os.close(source)
    os.close(target)


def everything(fd):
    return os.pread(fd, 1 << 30, 0)


@pytest.mark.parametrize("in_kernel", [True, False])
@pytest.mark.parametrize(
    ("offset", "size", "at"),
    [(0, len(DATA), 0), (1, 700_000, 3), (4096, 8192, 4096), (len(DATA) - 5, 5, 0), (7, 0, 0)],
)
def test_a_part_is_copied_to_its_place(files, monkeypatch, offset, size, at, in_kernel):
    source, target = files
    if not in_kernel:
        monkeypatch.setattr(reflink, "_copy_in_kernel", lambda *_: 0)
    assert copy_range(source, target, offset=offset, size=size, at=at) == size
    expected = bytes(at) + DATA[offset : offset + size] if size else b""
    assert everything(target) == expected
    assert os.lseek(source, 0, os.SEEK_CUR) == os.lseek(target, 0, os.SEEK_CUR) == 0


def test_a_source_that_ends_early_is_told(files):
    source, target = files
    assert copy_range(source, target, offset=len(DATA) - 10, size=100, at=0) == 10
    assert everything(target) == DATA[-10:]


def test_a_file_whose_size_is_a_lie_is_read(files):
    _, target = files
    with open("/proc/version", "rb") as version:
        count = copy_range(version.fileno(), target, offset=0, size=1 << 16, at=0)
        assert os.pread(version.fileno(), 1 << 16, 0) == everything(target)
    assert count > 0


def test_a_clone_is_whole_or_nothing(files):
    source, target = files
    assert everything(target) == (DATA if clone_file(source, target) else b"")
    os.ftruncate(target, 0)
    part = DATA[4096:12288]
    done = clone_range(source, target, offset=4096, size=8192, at=0)
    assert everything(target) == (part if done else b"")


def test_a_full_disk_is_not_taken_for_a_filesystem_that_cannot(monkeypatch, files):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(reflink.fcntl, "ioctl", full)
    with pytest.raises(OSError, match="no space"):
        clone_file(*files)


def test_writeback_begins_and_everything_is_synced(files, tmp_path):
    _, target = files
    os.write(target, DATA)
    start_writeback(target)
    start_writeback(target, 4096, 8192)
    syncfs(target)
    sync_directory(tmp_path)
    fd = os.open(tmp_path, os.O_RDONLY)
    sync_directory(fd)
    os.close(fd)
    assert everything(target) == DATA


def test_writeback_of_a_pipe_is_nothing_and_of_nothing_an_error():
    reader, writer = os.pipe()
    start_writeback(writer)
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError, match="sync_file_range"):
        start_writeback(-1)
    with pytest.raises(OSError, match="syncfs"):
        syncfs(-1)


def test_attributes_of_a_name_and_of_an_open_file(files, tmp_path):
    source, _ = files
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        try:
            set_xattr_at(fd, b"source", b"user.b", b"\0\xff")
        except OSError as error:
            pytest.skip(f"no user attributes on this filesystem: {error}")
        set_xattr_at(fd, b"source", b"user.a\xff", b"")
        expected = {b"user.a\xff": b"", b"user.b": b"\0\xff"}
        assert xattrs_at(fd, b"source") == expected == xattrs_of(source)
        assert list(xattrs_of(source)) == sorted(expected)
        assert xattrs_at(fd, b"target") == {}
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", [b"", b"..", b"a/b", b"/etc/passwd"])
def test_a_path_is_no_name(name):
    with pytest.raises(ValueError, match="no name of an entry"):
        xattrs_at(-1, name)


def test_a_filesystem_without_attributes_has_none():
    with open("/proc/version", "rb") as version:
        assert xattrs_of(version.fileno()) == {}
