import os
import stat

import pytest

from orlop.errors import InvalidDocumentError, NotFoundError, UnsafePathError
from orlop.layout.files.directory import DirectoryFiles


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_bytes(b"0123456789")
    (tmp_path / "secret").write_bytes(b"secret")
    opened = DirectoryFiles(root)
    yield opened
    opened.close()


def test_a_file_is_read_at_offsets(files):
    with files.open("a/b/file") as extent:
        assert extent.size == 10
        assert extent.read_at(3, 4) == b"3456"
        assert extent.read_at(8, 100) == b"89"
        assert extent.read_at(10, 1) == b""
        assert extent.read_at(11, 1) == b""


def test_an_extent_outlives_its_directory(files):
    extent = files.open("a/b/file")
    files.close()
    files.close()
    with extent:
        assert extent.read_at(0, 10) == b"0123456789"
    extent.close()
    with pytest.raises(ValueError, match="closed"):
        extent.read_at(0, 1)
    with pytest.raises(ValueError, match="closed"):
        files.open("a/b/file")


def test_sizes_of_files_that_are_there_and_not_there(files):
    assert files.size("a/b/file") == 10
    assert files.size("a/c/file") is None
    assert files.size("a/b/file/more") is None


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/passwd", "a//b", ".", ""])
def test_a_name_that_leaves_the_directory_is_refused(files, name):
    with pytest.raises(UnsafePathError):
        files.open(name)


@pytest.mark.parametrize("target", ["../secret", "a/b/file", "link", "/etc/passwd"])
def test_a_file_that_is_a_symbolic_link_is_refused(files, tmp_path, target):
    (tmp_path / "root" / "link").symlink_to(target)
    with pytest.raises(UnsafePathError, match="symbolic link"):
        files.open("link")


def test_a_directory_that_is_a_symbolic_link_is_refused(files, tmp_path):
    (tmp_path / "root" / "c").symlink_to("a/b")
    with pytest.raises(UnsafePathError, match="symbolic link"):
        files.open("c/file")


def test_what_is_no_regular_file_is_refused(files, tmp_path):
    os.mkfifo(tmp_path / "root" / "fifo")
    os.mknod(tmp_path / "root" / "socket", stat.S_IFSOCK | 0o600)
    for name in ("fifo", "socket", "a"):
        with pytest.raises(UnsafePathError, match="no regular file"):
            files.open(name)


def test_missing_files_and_directories_are_not_found(files, tmp_path):
    with pytest.raises(NotFoundError, match="holds no a/c"):
        files.open("a/c")
    with pytest.raises(NotFoundError, match="no such directory"):
        DirectoryFiles(tmp_path / "nowhere")


def test_a_file_in_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidDocumentError, match="is no directory") as caught:
        DirectoryFiles(tmp_path / "file")
    assert "archive" in caught.value.hint


def test_a_name_longer_than_any_is_not_found(files):
    with pytest.raises(NotFoundError):
        files.open("a/" + "x" * 300)


def test_an_os_error_names_the_whole_path(files, tmp_path, unprivileged):
    path = tmp_path / "root" / "a" / "secret"
    path.touch(mode=0)
    with unprivileged(), pytest.raises(PermissionError) as caught:
        files.open("a/secret")
    assert caught.value.filename == str(path)


def test_no_descriptor_leaks_when_opening_fails(files):
    before = len(os.listdir("/proc/self/fd"))
    for name in ("a/b/none", "a/none/x", "a/b"):
        with pytest.raises((NotFoundError, UnsafePathError)):
            files.open(name)
    assert len(os.listdir("/proc/self/fd")) == before
