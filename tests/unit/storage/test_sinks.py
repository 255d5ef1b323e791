import os

import pytest

from orlop.storage.sinks import DirectorySink, NoSink, TarSink
from orlop.tar import TarScanner
from support.images import directory, file, tar


def pour(sink, data, step):
    scanner = TarScanner(None)
    with sink:
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            sink.write(piece, start, scanner.feed(piece))
        sink.finish(scanner.close())


@pytest.mark.parametrize("step", [1000, 1 << 20])
def test_a_tar_is_kept_as_it_is(tmp_path, step):
    data = tar(file("big", os.urandom(100_000)))
    pour(TarSink(tmp_path / "tar"), data, step)
    assert (tmp_path / "tar").read_bytes() == data
    assert (tmp_path / "tar").stat().st_mode & 0o777 == 0o600


def test_a_tar_longer_than_a_step_of_writeback(tmp_path):
    piece = os.urandom(1 << 20)
    with TarSink(tmp_path / "tar") as sink:
        for number in range(35):
            sink.write(piece, number << 20, [])
        sink.finish([])
    assert (tmp_path / "tar").read_bytes() == piece * 35


def test_no_file_is_written_over(tmp_path):
    (tmp_path / "tar").write_text("mine")
    with pytest.raises(FileExistsError):
        TarSink(tmp_path / "tar")
    assert (tmp_path / "tar").read_text() == "mine"


def test_a_full_disk(tmp_path):
    (tmp_path / "limited").mkdir()
    sink = TarSink(tmp_path / "limited/tar")
    os.close(sink._fd)
    sink._fd = os.open("/dev/full", os.O_WRONLY)
    with sink, pytest.raises(OSError, match="No space left on device"):
        sink.write(b"x", 0, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="overlay's form needs root")
@pytest.mark.parametrize("step", [100, 512, 1 << 20])
def test_a_directory_is_written_as_bytes_pass(tmp_path, step):
    sink = DirectorySink(tmp_path / "diff", lowest=False)
    pour(sink, tar(directory("etc", mode=0o750), file("etc/hostname", b"box\n")), step)
    assert sink.anywhere
    assert (tmp_path / "diff/etc/hostname").read_bytes() == b"box\n"
    assert (tmp_path / "diff/etc").stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="overlay's form needs root")
def test_a_directory_that_depends_on_being_lowest(tmp_path):
    sink = DirectorySink(tmp_path / "diff", lowest=True)
    pour(sink, tar(file("etc/hostname", b"box\n")), 512)
    assert not sink.anywhere


def test_sinks_close_what_they_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    pour(TarSink(tmp_path / "tar"), tar(file("a", b"a")), 512)
    pour(NoSink(), tar(file("a", b"a")), 512)
    with DirectorySink(tmp_path / "diff", lowest=True):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
