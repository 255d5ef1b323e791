import os

import pytest

from orlop.rootfs import remove, remove_tree


@pytest.fixture
def parent(tmp_path):
    path = tmp_path / "parent"
    path.mkdir()
    return path


def remove_name(parent, name):
    fd = os.open(parent, os.O_RDONLY)
    before = len(os.listdir("/proc/self/fd"))
    try:
        remove_tree(fd, name)
    finally:
        assert len(os.listdir("/proc/self/fd")) == before
        os.close(fd)


def test_a_tree_goes_and_its_neighbours_stay(parent):
    (parent / "gone/a/b").mkdir(parents=True)
    (parent / "gone/a/file").write_text("x")
    (parent / "gone/c").mkdir()
    (parent / "stays").mkdir()
    remove_name(parent, b"gone")
    assert os.listdir(parent) == ["stays"]


@pytest.mark.parametrize("inside", [False, True], ids=["itself", "inside"])
def test_symbolic_links_are_removed_and_not_followed(parent, inside):
    (parent / "outside").mkdir()
    (parent / "outside/file").write_text("x")
    if inside:
        (parent / "gone").mkdir()
    (parent / ("gone/link" if inside else "gone")).symlink_to(parent / "outside")
    remove_name(parent, b"gone")
    assert os.listdir(parent) == ["outside"]
    assert (parent / "outside/file").exists()


def test_what_is_not_there_is_removed(parent):
    remove_name(parent, b"nothing")


def test_a_file_and_a_fifo(parent):
    (parent / "file").write_text("x")
    os.mkfifo(parent / "fifo")
    remove_name(parent, b"file")
    remove_name(parent, b"fifo")
    assert os.listdir(parent) == []


def test_directories_that_the_owner_may_not_enter(parent):
    (parent / "gone/closed/below").mkdir(parents=True)
    (parent / "gone/closed/below/file").write_text("x")
    for name in ("gone/closed/below", "gone/closed", "gone"):
        (parent / name).chmod(0)
    remove_name(parent, b"gone")
    assert os.listdir(parent) == []


def test_deeper_than_a_path_may_be(parent):
    fd = os.open(parent, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.close(fd)
        fd = below
    os.close(fd)
    remove_name(parent, b"d")
    assert os.listdir(parent) == ["file"]


def test_more_names_than_are_listed_at_once(parent, monkeypatch):
    monkeypatch.setattr(remove, "_BATCH", 7)
    for number in range(40):
        (parent / f"gone/d{number}/below").mkdir(parents=True)
        (parent / f"gone/f{number}").write_text("x")
    remove_name(parent, b"gone")
    assert os.listdir(parent) == []
