"""Copies of files and directories: whole, and following no link."""

import os

import pytest

from orlop.errors import InvalidError, LimitExceededError
from orlop.storagecmd.trees import MAX_DEPTH, Owners, copy_directory, copy_file

NOBODYS = Owners(fixed=None, source=None, target=None)


@pytest.fixture
def places(tmp_path):
    """A directory to copy from and one to copy to, with their handles."""
    handles = []
    for name in ("from", "to"):
        (tmp_path / name).mkdir()
        handles.append(os.open(tmp_path / name, os.O_RDONLY | os.O_DIRECTORY))
    yield tmp_path / "from", tmp_path / "to", *handles
    for handle in handles:
        os.close(handle)


def test_all_that_belongs_to_files_comes_along(places):
    source, target, inner, outer = places
    (source / "sub").mkdir(mode=0o750)
    (source / "sub" / "file").write_bytes(b"content")
    (source / "sub" / "file").chmod(0o640)
    os.setxattr(source / "sub" / "file", "user.note", b"\0x")
    os.link(source / "sub" / "file", source / "other")
    (source / "link").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    os.utime(source / "sub", ns=(1, 2))
    (target / "sub").mkdir()
    (target / "sub" / "kept").write_bytes(b"")
    (target / "link").write_bytes(b"in the way")
    copy_directory(inner, outer, NOBODYS)
    assert (target / "sub" / "file").read_bytes() == b"content"
    assert (target / "other").samefile(target / "sub" / "file")
    assert os.getxattr(target / "other", "user.note") == b"\0x"
    assert (target / "link").readlink().name == "nowhere"
    assert (target / "sub" / "kept").exists()
    for path in ("sub", "sub/file", "pipe"):
        old, new = (source / path).lstat(), (target / path).lstat()
        assert (new.st_mode, new.st_uid, new.st_mtime_ns) == (
            old.st_mode,
            old.st_uid,
            old.st_mtime_ns,
        )


def test_holes_stay(places):
    source, target, inner, outer = places
    with (source / "holey").open("wb") as file:
        file.seek(1 << 24)
        file.write(b"end")
    copy_directory(inner, outer, NOBODYS)
    assert (target / "holey").read_bytes() == (source / "holey").read_bytes()
    assert (target / "holey").stat().st_blocks < 1000


def test_a_directory_is_not_overwritten_with_a_file(places):
    source, target, inner, outer = places
    (source / "name").write_bytes(b"")
    (target / "name").mkdir()
    with pytest.raises(InvalidError, match="name"):
        copy_directory(inner, outer, NOBODYS)
    with (source / "name").open("rb") as file, pytest.raises(InvalidError, match="name"):
        copy_file(file.fileno(), outer, b"name", NOBODYS)


def test_no_link_of_the_target_is_followed(places, tmp_path):
    source, target, inner, outer = places
    (tmp_path / "outside").mkdir()
    (source / "sub").mkdir()
    (source / "sub" / "file").write_bytes(b"x")
    (target / "sub").symlink_to(tmp_path / "outside")
    copy_directory(inner, outer, NOBODYS)
    assert not list((tmp_path / "outside").iterdir())
    assert (target / "sub" / "file").read_bytes() == b"x"


def test_directories_are_only_so_deep(places):
    source, _, inner, outer = places
    at = os.open(source, os.O_RDONLY)
    for _ in range(MAX_DEPTH + 1):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    with pytest.raises(LimitExceededError, match="MAX_DEPTH"):
        copy_directory(inner, outer, NOBODYS)
