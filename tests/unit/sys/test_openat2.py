import errno
import os

import pytest

from orlop._sys import openat2 as module
from orlop._sys.openat2 import (
    MAX_DEPTH,
    MAX_LINKS,
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    open_beneath,
    open_in_root,
    walk,
)

READ = os.O_RDONLY | os.O_CLOEXEC


def in_root_by_steps(dir_fd, path, flags, mode=0, *, follow=True):
    return walk(dir_fd, path, flags, mode, RESOLVE_IN_ROOT, follow=follow)


def beneath_by_steps(dir_fd, path, flags, mode=0, *, follow=False):
    return walk(dir_fd, path, flags, mode, RESOLVE_BENEATH, follow=follow)


in_root = pytest.mark.parametrize("open_", [open_in_root, in_root_by_steps])
beneath = pytest.mark.parametrize("open_", [open_beneath, beneath_by_steps])


@pytest.fixture
def root(tmp_path):
    """A directory with links of all kinds, beside a secret that none of them may reach."""
    (tmp_path / "secret").write_bytes(b"secret")
    top = tmp_path / "root"
    (top / "a" / "b").mkdir(parents=True)
    (top / "secret").write_bytes(b"decoy")
    (top / "a" / "file").write_bytes(b"file")
    os.symlink("/secret", top / "absolute")
    os.symlink("../secret", top / "climbing")
    os.symlink("../../../../secret", top / "a" / "b" / "far")
    os.symlink("../file", top / "a" / "b" / "inside")
    os.symlink("b", top / "a" / "to-b")
    os.symlink("b/", top / "a" / "slash")
    os.symlink("b/.", top / "a" / "dot")
    os.symlink("loop", top / "loop")
    os.symlink("new", top / "dangling")
    os.symlink("/proc/self/root", top / "magic")
    fd = os.open(top, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def content(fd):
    with os.fdopen(fd, "rb") as file:
        return file.read()


def error_of(open_, *arguments, **options):
    with pytest.raises(OSError) as caught:
        os.close(open_(*arguments, **options))
    assert caught.value.filename == arguments[1]
    return errno.errorcode[caught.value.errno]


@in_root
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"a/file", b"file"),
        (b"/a/file", b"file"),
        (b"a/./b//../file", b"file"),
        (b"a/b/inside", b"file"),
        (b"a/to-b/inside", b"file"),
        (b"a/slash/../file", b"file"),
        (b"a/dot/../file", b"file"),
        (b"a/slash/inside", b"file"),
        (b"../secret", b"decoy"),
        (b"../../../secret", b"decoy"),
        (b"absolute", b"decoy"),
        (b"climbing", b"decoy"),
        (b"a/b/far", b"decoy"),
    ],
)
def test_in_root_stays_inside(root, open_, path, expected):
    assert content(open_(root, path, READ)) == expected


@beneath
@pytest.mark.parametrize(
    "path",
    [b"/secret", b"../secret", b"a/../../root/secret", b"absolute", b"climbing", b"a/b/far"],
)
def test_beneath_refuses_to_leave(root, open_, path):
    assert error_of(open_, root, path, READ, follow=True) == "EXDEV"


@beneath
def test_beneath_follows_what_stays_inside(root, open_):
    assert content(open_(root, b"a/to-b/inside", READ, follow=True)) == b"file"
    assert content(open_(root, b"a/b/../file", READ, follow=True)) == b"file"


@beneath
@pytest.mark.parametrize("path", [b"a/to-b/inside", b"a/b/inside", b"a/to-b/", b"loop"])
def test_no_link_at_all_unless_asked(root, open_, path):
    assert error_of(open_, root, path, READ) == "ELOOP"


@in_root
def test_links_in_a_circle_end(root, open_):
    assert error_of(open_, root, b"loop", READ) == "ELOOP"


@in_root
@pytest.mark.parametrize(("count", "ends"), [(MAX_LINKS, True), (MAX_LINKS + 1, False)])
def test_links_are_limited_as_in_the_kernel(root, open_, count, ends):
    os.symlink("a/file", "link0", dir_fd=root)
    for number in range(1, count):
        os.symlink(f"link{number - 1}", f"link{number}", dir_fd=root)
    path = b"link%d" % (count - 1)
    if ends:
        assert content(open_(root, path, READ)) == b"file"
    else:
        assert error_of(open_, root, path, READ) == "ELOOP"


@in_root
def test_a_magic_link_leads_nowhere_outside(open_):
    proc = os.open("/proc/self", os.O_PATH)
    try:
        assert error_of(open_, proc, b"root/etc", READ) in {"ELOOP", "ENOENT"}
    finally:
        os.close(proc)


@in_root
def test_a_link_to_a_magic_link_is_read_inside(root, open_):
    assert error_of(open_, root, b"magic/etc", READ) == "ENOENT"


@in_root
@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"", "ENOENT"),
        (b"none", "ENOENT"),
        (b"a/none/x", "ENOENT"),
        (b"a/file/", "ENOTDIR"),
        (b"a/file/.", "ENOTDIR"),
        (b"a/file/x", "ENOTDIR"),
        (b"dangling", "ENOENT"),
        (b"x" * 256, "ENAMETOOLONG"),
    ],
)
def test_what_cannot_be_opened(root, open_, path, name):
    assert error_of(open_, root, path, READ) == name


@in_root
def test_a_link_itself_can_be_had_as_a_path(root, open_):
    fd = open_(root, b"climbing", os.O_PATH | os.O_NOFOLLOW)
    try:
        assert os.readlink("", dir_fd=fd) == "../secret"
    finally:
        os.close(fd)


@in_root
def test_the_root_itself(root, open_):
    for path in (b"/", b".", b"..", b"a/.."):
        fd = open_(root, path, os.O_PATH)
        assert os.path.samestat(os.fstat(fd), os.fstat(root))
        assert not os.get_inheritable(fd)
        os.close(fd)


@in_root
def test_making_a_file(root, open_):
    flags = os.O_WRONLY | os.O_CREAT
    os.close(open_(root, b"/a/b/../made", flags, 0o600))
    os.close(open_(root, b"dangling", flags, 0o600))
    assert os.stat("a/made", dir_fd=root).st_mode & 0o7777 == 0o600
    assert os.stat("new", dir_fd=root).st_size == 0
    assert error_of(open_, root, b"climbing", flags | os.O_EXCL, 0o600) == "EEXIST"


def test_a_null_byte_is_the_callers_mistake(root):
    with pytest.raises(ValueError, match="null"):
        open_in_root(root, b"a\0b", READ)


def test_the_walk_has_a_limit_of_depth(root):
    deep = b"a/" + b"d/" * MAX_DEPTH
    here = os.open("a", os.O_RDONLY, dir_fd=root)
    for _ in range(MAX_DEPTH):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert error_of(in_root_by_steps, root, deep, READ) == "ENAMETOOLONG"
    os.close(in_root_by_steps(root, b"a/" + b"d/" * (MAX_DEPTH - 3), READ))


def test_a_kernel_without_the_call_is_walked(root, monkeypatch):
    monkeypatch.setattr(module, "_has_openat2", lambda: False)
    assert content(open_in_root(root, b"climbing", READ)) == b"decoy"
    assert error_of(open_beneath, root, b"climbing", READ, follow=True) == "EXDEV"


def test_no_descriptor_is_left_open(root):
    before = len(os.listdir("/proc/self/fd"))
    for open_ in (open_in_root, in_root_by_steps):
        os.close(open_(root, b"a/to-b/inside", READ))
        error_of(open_, root, b"a/b/none", READ)
        error_of(open_, root, b"loop", READ)
    assert len(os.listdir("/proc/self/fd")) == before
