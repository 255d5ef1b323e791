import os

import pytest

from orlop.errors import UnsafePathError
from orlop.rootfs.handles import Handles, Place


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a/b/c/d").mkdir(parents=True)
    fd = os.open(tmp_path, os.O_RDONLY)
    yield Place(None, b"", fd)
    os.close(fd)


def chain(root):
    places = [root]
    for name in (b"a", b"b", b"c", b"d"):
        places.append(Place(places[-1], name))
    return places


def same(fd, path):
    return os.path.samestat(os.fstat(fd), os.stat(path))


def test_few_handles_serve_many_places(root, tmp_path):
    places = chain(root)
    before = len(os.listdir("/proc/self/fd"))
    with Handles(root, limit=2) as handles:
        assert same(handles.get(places[4]), tmp_path / "a/b/c/d")
        assert len(os.listdir("/proc/self/fd")) == before + 2
        assert same(handles.leave(places[4]), tmp_path / "a/b/c")
        assert same(handles.leave(places[3]), tmp_path / "a/b")
        assert same(handles.leave(places[2]), tmp_path / "a")
        assert handles.leave(places[1]) == root.fd
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_path_is_told_from_the_root(root):
    place = chain(root)[4]
    assert place.path() == b"a/b/c/d"
    assert place.path(b"name") == b"a/b/c/d/name"
    assert root.path() == b""


def test_a_directory_that_was_moved_is_noticed(root, tmp_path):
    places = chain(root)
    with Handles(root, limit=2) as handles:
        handles.get(places[4])
        handles.leave(places[4])
        (tmp_path / "a/b").rename(tmp_path / "moved")
        (tmp_path / "moved/c").rename(tmp_path / "c")
        with pytest.raises(UnsafePathError, match="exchanged"):
            handles.leave(places[3])


def test_a_symbolic_link_is_never_entered(root, tmp_path):
    (tmp_path / "link").symlink_to("a")
    with Handles(root) as handles, pytest.raises(NotADirectoryError):
        handles.get(Place(root, b"link"))


def test_one_handle_is_too_few(root):
    with pytest.raises(ValueError, match="at least 2"):
        Handles(root, limit=1)
