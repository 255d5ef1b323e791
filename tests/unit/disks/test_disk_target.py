"""Where a disk goes: a file that is there whole or not at all."""

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from orlop.disks import disk_paths
from orlop.disks.target import DiskTarget
from orlop.errors import NotFoundError, UnsafePathError


def fill(target, data=b"new"):
    target.write(data)
    target.skip(5000)
    target.write_at(0, b"N")


def test_a_file_has_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"old")
    with DiskTarget(path) as target:
        fill(target)
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"New" + bytes(5000)
    assert os.listdir(tmp_path) == ["disk"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, b"old"])
def test_after_an_error_all_is_as_it_was(tmp_path, error, old):
    path = tmp_path / "disk"
    if old is not None:
        path.write_bytes(old)
    target = DiskTarget(path)

    def fail():
        with target:
            fill(target)
            raise error

    with pytest.raises(error):
        fail()
    assert [each.read_bytes() for each in tmp_path.iterdir()] == ([old] if old else [])
    with pytest.raises(OSError) as closed:
        os.fstat(target.fd)
    assert closed.value.errno == errno.EBADF


@pytest.mark.parametrize("old", [None, b"old"])
def test_an_error_after_it_was_named_takes_the_name_back(tmp_path, old):
    """Of several disks all are there or none, whenever that is known."""
    paths = [tmp_path / "one", tmp_path / "two"]
    if old is not None:
        for path in paths:
            path.write_bytes(old)

    def fail():
        with DiskTarget(paths[0]) as one, DiskTarget(paths[1]) as two:
            fill(one)
            fill(two)
            one.name(keep=True)
            assert paths[0].read_bytes()[:3] == b"New"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [each.read_bytes() for each in tmp_path.iterdir()] == ([old] * 2 if old else [])


def test_a_disk_that_cannot_be_named_leaves_those_before_it_as_they_were(tmp_path):
    (tmp_path / "one").write_bytes(b"old")

    def fail():
        with DiskTarget(tmp_path / "one") as one, DiskTarget(tmp_path / "two") as two:
            fill(one)
            fill(two)
            (tmp_path / "two").mkdir()
            one.name(keep=True)
            two.name()

    with pytest.raises(IsADirectoryError):
        fail()
    assert (tmp_path / "one").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]


def test_no_directory(tmp_path):
    with pytest.raises(NotFoundError, match=f"no such directory: {tmp_path}/none"):
        DiskTarget(tmp_path / "none" / "disk").open()


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        DiskTarget(tmp_path / "file" / "disk").open()


@pytest.mark.parametrize("kind", ["directory", "fifo", "socket", "link to a directory"])
def test_what_is_neither_file_nor_device_is_refused(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path.symlink_to(tmp_path)
    with pytest.raises(UnsafePathError, match=f"{path}: is neither a file nor a block device"):
        DiskTarget(path).open()
    assert os.listdir(tmp_path) == ["x"]


def test_a_character_device_is_refused():
    with pytest.raises(UnsafePathError, match="neither a file nor a block device"):
        DiskTarget("/dev/null").open()


@pytest.mark.parametrize("dangling", [False, True])
def test_a_symbolic_link_is_replaced_and_not_followed(tmp_path, dangling):
    other = tmp_path / "other"
    if not dangling:
        other.write_bytes(b"old")
    (tmp_path / "link").symlink_to(other)
    with DiskTarget(tmp_path / "link") as target:
        fill(target)
    assert not (tmp_path / "link").is_symlink()
    assert other.exists() is not dangling
    if not dangling:
        assert other.read_bytes() == b"old"


def test_a_loop_of_links_is_an_error(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError) as caught:
        DiskTarget(tmp_path / "loop").open()
    assert caught.value.errno == errno.ELOOP


def test_the_file_is_a_new_one(tmp_path):
    """Whoever has the old one open has that, and its mode is the usual one of new files."""
    path = tmp_path / "disk"
    path.write_bytes(b"old")
    path.chmod(0o400)
    umask = os.umask(0o027)
    try:
        with path.open("rb") as before, DiskTarget(path) as target:
            fill(target)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert before.name


@pytest.mark.parametrize("name", ["n" * 255, "größe " + "日" * 82, "\U0001f40b" * 63, "a\nb", "-"])
def test_any_name_that_a_file_can_have(tmp_path, name):
    with DiskTarget(tmp_path / name) as target:
        fill(target)
    assert os.listdir(tmp_path) == [name]


def test_a_relative_path_means_where_one_was_when_it_began(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    with DiskTarget("disk") as target:
        fill(target)
        monkeypatch.chdir(tmp_path / "there")
    assert (tmp_path / "disk").exists()


def test_copy_of_a_file_that_is_too_short(tmp_path):
    (tmp_path / "short").write_bytes(b"abc")
    with (
        pytest.raises(OSError, match="a layer ends before it should"),
        open(tmp_path / "short", "rb") as source,
        DiskTarget(tmp_path / "disk") as target,
    ):
        target.copy(source.fileno(), 4)
    assert os.listdir(tmp_path) == ["short"]


def test_more_than_the_filesystem_has(tmp_path):
    with pytest.raises(OSError) as caught, DiskTarget(tmp_path / "disk") as target:
        target.require(1 << 62)
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("output", "count", "names"),
    [
        ("root.img", 1, ["root.img"]),
        ("root.img", 2, ["root.0.img", "root.1.img"]),
        ("root", 2, ["root.0", "root.1"]),
        ("a.tar.img", 2, ["a.tar.0.img", "a.tar.1.img"]),
        (".hidden", 2, [".hidden.0", ".hidden.1"]),
    ],
)
def test_several_disks_are_numbered(output, count, names):
    assert disk_paths(Path("there") / output, count) == [Path("there") / each for each in names]


@pytest.mark.parametrize("output", ["", "..", "/", "there/.."])
@pytest.mark.parametrize("count", [1, 2])
def test_an_output_without_a_name(output, count):
    with pytest.raises(UnsafePathError, match="is no name of a file"):
        disk_paths(Path(output), count)


def test_a_directory_is_no_place_for_several(tmp_path):
    with pytest.raises(UnsafePathError, match=f"{tmp_path}: is no place for 3 disks"):
        disk_paths(tmp_path, 3)
