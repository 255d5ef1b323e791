import os
import socket
import stat
import subprocess

import pytest

from orlop.errors import ConflictError, LimitExceededError
from orlop.rootfs import copy_tree, read_tree, remove_tree
from orlop.tree import iter_differences

ROOT = os.geteuid() == 0
PAGE = 4096


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.mkdir()
    yield path
    parent = os.open(tmp_path, os.O_RDONLY)
    remove_tree(parent, b"source")
    os.close(parent)


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target"
    path.mkdir()
    yield path
    parent = os.open(tmp_path, os.O_RDONLY)
    remove_tree(parent, b"target")
    os.close(parent)


@pytest.fixture
def copy(source, target):
    def copy(**options):
        fds = [os.open(path, os.O_RDONLY) for path in (source, target)]
        before = len(os.listdir("/proc/self/fd"))
        try:
            return copy_tree(*fds, **{"ownership": ROOT, **options})
        finally:
            assert len(os.listdir("/proc/self/fd")) == before
            for fd in fds:
                os.close(fd)

    return copy


def differences(source, target):
    trees = []
    for path in (source, target):
        fd = os.open(path, os.O_RDONLY)
        trees.append(read_tree(fd, digest_files=True))
        os.close(fd)
    return list(iter_differences(*trees))


def test_content_of_all_sizes(source, target, copy):
    sizes = [0, 1, 4095, 65_535, 65_536, 65_537, 1_000_001, 5 << 20]
    for size in sizes:
        (source / str(size)).write_bytes(os.urandom(size))
    report = copy()
    assert report.inodes == len(sizes)
    for size in sizes:
        assert (target / str(size)).read_bytes() == (source / str(size)).read_bytes()
    assert differences(source, target) == []


@pytest.mark.parametrize(
    ("segments", "size"),
    [
        ([], 10 << 20),
        ([(0, 10)], 10 << 20),
        ([(3 * PAGE, PAGE), (100 * PAGE, 5)], 200 * PAGE + 7),
        ([(200 * PAGE, 3 * PAGE)], 203 * PAGE),
        ([(40 * PAGE, 100 * PAGE)], 1000 * PAGE),
        ([(0, 3)], PAGE * 3),
    ],
)
def test_holes_stay_holes(source, target, copy, segments, size):
    with (source / "holes").open("wb") as file:
        for start, length in segments:
            file.seek(start)
            file.write(os.urandom(length))
        file.truncate(size)
        os.fsync(file.fileno())
    copy()
    assert (target / "holes").read_bytes() == (source / "holes").read_bytes()
    blocks = [(path / "holes").stat().st_blocks for path in (source, target)]
    assert blocks[1] <= blocks[0] + 16


def test_everything_that_has_a_name(source, target, copy, monkeypatch):
    (source / "sub").mkdir(mode=0o2750)
    (source / "sub" / "file").write_text("content")
    (source / "sub" / "file").chmod(0o4711)
    os.utime(source / "sub" / "file", ns=(5, 1_234_567_890_123_456_789))
    os.link(source / "sub" / "file", source / "link")
    os.symlink("/etc/passwd", source / "symlink")
    os.link(source / "symlink", source / "a second symlink", follow_symlinks=False)
    os.mkfifo(source / "fifo")
    monkeypatch.chdir(source)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    os.setxattr(source / "sub", "user.note", b"a note")
    os.utime(source / "sub", ns=(7, 7))
    (source / os.fsdecode(b"\xff\n")).write_text("")
    report = copy()
    assert differences(source, target) == []
    assert report.dropped == ()
    assert (target / "link").samefile(target / "sub" / "file")
    assert stat.S_ISLNK((target / "symlink").lstat().st_mode)


def test_gnu_diff_finds_no_difference(source, target, copy):
    for number in range(300):
        (source / f"d{number % 7}").mkdir(exist_ok=True)
        (source / f"d{number % 7}" / f"f{number}").write_bytes(os.urandom(number * 50))
    copy()
    command = ["diff", "-r", "--no-dereference", source, target]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert differences(source, target) == []


def test_more_directories_than_handles(source, target, copy):
    here = source
    for number in range(150):
        here /= "d"
        here.mkdir()
        (here / "file").write_text(str(number))
        (here / "z").write_text("after the directory below")
        (source / f"side{number}").mkdir()
        (source / f"side{number}" / "file").write_text(str(number))
    copy()
    assert differences(source, target) == []


def test_links_into_directories_that_are_closed(source, target, copy):
    (source / "a").mkdir()
    (source / "a" / "x").write_text("x")
    os.link(source / "a" / "x", source / "b")
    (source / "a").chmod(0o500)
    copy()
    assert differences(source, target) == []


def test_the_target_may_lie_in_the_source(source):
    inside = source / "copy"
    inside.mkdir()
    (source / "file").write_text("file")
    fds = [os.open(path, os.O_RDONLY) for path in (source, inside)]
    copy_tree(*fds, ownership=ROOT)
    for fd in fds:
        os.close(fd)
    assert sorted(os.listdir(inside)) == ["copy", "file"]
    assert os.listdir(inside / "copy") == []


@pytest.mark.parametrize(
    ("name", "disturb"),
    [
        ("shorter", lambda path: os.truncate(path, 5)),
        ("longer", lambda path: os.truncate(path, 5000)),
        ("other", lambda path: (path.unlink(), os.mkfifo(path))),
    ],
)
def test_a_file_that_changes_meanwhile_is_told(source, copy, name, disturb):
    path = source / "sub" / name
    path.parent.mkdir()
    path.write_bytes(bytes(1000))

    def change(uid, gid):
        if path.is_file() and path.stat().st_size == 1000:
            disturb(path)
        return uid, gid

    with pytest.raises(ConflictError, match=f"^sub/{name}: was changed while it was copied"):
        copy(change=change)


def test_a_file_that_vanishes_is_named(source, copy):
    (source / "gone").write_text("x")

    def change(uid, gid):
        (source / "gone").unlink(missing_ok=True)
        return uid, gid

    with pytest.raises(FileNotFoundError) as caught:
        copy(change=change)
    assert caught.value.filename == b"gone"


def test_the_number_of_names_is_limited(source, copy):
    for number in range(4):
        (source / str(number)).touch()
    copy(max_inodes=4)
    with pytest.raises(LimitExceededError, match="max_inodes = 3"):
        copy(max_inodes=3)


@pytest.mark.skipif(not ROOT, reason="only root may give files away")
def test_without_ownership_the_copy_is_ones_own(source, target, copy):
    (source / "file").touch()
    os.chown(source / "file", 5, 6)
    copy(ownership=False)
    assert (target / "file").stat().st_uid == 0
