import gzip
import io
import os
import tarfile
import threading

import pytest

from orlop.errors import InvalidArchiveError, LimitExceededError, NotFoundError, UnsupportedError
from orlop.layout import Place, list_images, open_source
from orlop.layout.files.spool import open_seekable

try:
    from compression import zstd
except ImportError:
    from backports import zstd


def read(fd):
    with open(fd, "rb") as file:
        return os.pread(file.fileno(), 1 << 20, 0)


@pytest.fixture
def tar(kit):
    return kit.make_tar([("file", b"content" * 1000)])


def test_a_plain_file_is_read_where_it_lies(tmp_path, tar):
    path = tmp_path / "a.tar"
    path.write_bytes(tar)
    fd = open_seekable(path, tmp_path / "no spool is needed")
    assert os.fstat(fd).st_ino == path.stat().st_ino
    assert read(fd) == tar


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_compressed_file_is_spooled_without_a_name(tmp_path, tar, compress):
    (tmp_path / "a.tar").write_bytes(compress(tar))
    spool = tmp_path / "spool"
    spool.mkdir()
    fd = open_seekable(tmp_path / "a.tar", spool)
    assert os.fstat(fd).st_dev == spool.stat().st_dev
    assert list(spool.iterdir()) == []
    assert read(fd) == tar


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_fifo_is_spooled(tmp_path, tar, compress):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(compress(tar),))
    writer.start()
    fd = open_seekable(path, tmp_path)
    writer.join()
    assert read(fd) == tar


def test_an_image_of_a_compressed_archive_is_read(tmp_path, kit, image):
    files = kit.layout_files([image.described()], image.blobs)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(kit.make_tar(list(files.items()))))
    place = Place(transport="oci-archive", path=path)
    assert len(list_images(place, spool=tmp_path)) == 1
    with open_source(place, spool=tmp_path) as source:
        assert source.read(source.resolve()) == image.manifest


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_spool_over_its_limit_is_refused(tmp_path, tar, compress):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=write_quietly, args=(path, compress(tar)))
    writer.start()
    with pytest.raises(LimitExceededError, match="fifo"):
        open_seekable(path, tmp_path, limit=len(tar) - 1)
    writer.join()


def write_quietly(path, data):
    try:
        path.write_bytes(data)
    except BrokenPipeError:
        pass


@pytest.mark.parametrize("change", [lambda data: data[:-20], lambda data: data + b"more"])
def test_broken_compression_is_refused(tmp_path, tar, change):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(change(gzip.compress(tar)))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InvalidArchiveError, match=r"a\.tar\.gz"):
        open_seekable(path, tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_unknown_compression_is_unsupported(tmp_path):
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:xz"):
        pass
    (tmp_path / "a.tar.xz").write_bytes(output.getvalue())
    with pytest.raises(UnsupportedError, match="xz"):
        open_seekable(tmp_path / "a.tar.xz")


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match="nowhere"):
        open_seekable(tmp_path / "nowhere")


def test_a_directory_in_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(InvalidArchiveError, match="is a directory") as caught:
        open_seekable(tmp_path)
    assert caught.value.hint.startswith(f"write oci:{tmp_path}")


def test_an_os_error_passes_with_its_path(tmp_path, unprivileged, tar):
    path = tmp_path / "a.tar"
    path.write_bytes(gzip.compress(tar))
    path.chmod(0)
    with unprivileged(), pytest.raises(PermissionError) as caught:
        open_seekable(path)
    assert os.fspath(caught.value.filename) == str(path)
    path.chmod(0o600)
    with pytest.raises(FileNotFoundError, match="no spool"):
        open_seekable(path, tmp_path / "no spool")
