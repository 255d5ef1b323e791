import os
import socket
import stat
import struct

import pytest

from orlop.errors import LimitExceededError, NotFoundError, UnsafePathError, UnsupportedError
from orlop.rootfs import open_upper, read_upper
from orlop.rootfs.handles import MAX_HANDLES
from orlop.rootfs.owners import change_xattrs
from orlop.tree import Opaque, Put, Whiteout


@pytest.fixture
def upper(tmp_path):
    """An upper directory, of an overlay that is mounted with `userxattr`."""
    return Upper(tmp_path)


class Upper:
    def __init__(self, path):
        self.path = path

    def whiteout(self, name):
        os.mknod(self.path / name, stat.S_IFCHR, os.makedev(0, 0))

    def directory(self, name, **marks):
        (self.path / name).mkdir()
        self.mark(name, **marks)

    def file(self, name, content=b"", **marks):
        (self.path / name).write_bytes(content)
        self.mark(name, **marks)

    def mark(self, name, **marks):
        for mark, value in marks.items():
            os.setxattr(self.path / name, f"user.overlay.{mark}", value)

    def read(self, **options):
        before = len(os.listdir("/proc/self/fd"))
        fd = os.open(self.path, os.O_RDONLY)
        try:
            return list(read_upper(fd, **{"namespace": "user", **options}))
        finally:
            os.close(fd)
            assert len(os.listdir("/proc/self/fd")) == before

    def told(self, **options):
        return [told(entry) for entry in self.read(**options)]


def told(entry):
    kind = type(entry).__name__.lower()
    target = f" = {entry.target.decode()}" if hasattr(entry, "target") else ""
    return f"{kind} /{entry.path.decode()}{target}"


def test_removals_come_first_in_each_directory_and_names_in_byte_order(upper):
    upper.directory("d", opaque=b"y")
    upper.directory("d/b")
    upper.whiteout("d/b/x")
    upper.file("d/b/a")
    upper.file("d/z")
    upper.whiteout("z")
    upper.whiteout("Z")
    upper.file("d-")
    upper.file("a")
    assert upper.told() == [
        "put /", "whiteout /Z", "whiteout /z", "put /a", "put /d", "opaque /d", "put /d/b",
        "whiteout /d/b/x", "put /d/b/a", "put /d/z", "put /d-",
    ]  # fmt: skip


def test_whiteouts_as_files_count_only_where_the_directory_says_so(upper):
    """Documentation/filesystems/overlayfs.rst: an empty file with the xattr is a whiteout when
    its directory has the opaque xattr with the value "x"."""
    for name, marks in (("x", {"opaque": b"x"}), ("plain", {})):
        upper.directory(name, **marks)
        upper.file(f"{name}/gone", whiteout=b"")
        upper.file(f"{name}/full", b"!", whiteout=b"")
        upper.file(f"{name}/empty")
    assert upper.told() == [
        "put /", "put /plain", "put /plain/empty", "put /plain/full", "put /plain/gone",
        "put /x", "whiteout /x/gone", "put /x/empty", "put /x/full",
    ]  # fmt: skip


def test_the_root_may_have_whiteouts_as_files_and_is_never_opaque(upper):
    upper.mark(".", opaque=b"x")
    upper.file("gone", whiteout=b"")
    assert upper.told() == ["put /", "whiteout /gone"]
    upper.mark(".", opaque=b"y")
    assert upper.told() == ["put /", "put /gone"]


def test_notes_of_overlay_are_left_out_and_escaped_names_are_what_they_were(upper):
    notes = dict.fromkeys(["origin", "impure", "nlink", "uuid", "protattr", "upper"], b"\0x")
    upper.directory("d", opaque=b"y", **notes, **{"overlay.opaque": b"n"})
    upper.file("f", **{"overlay.overlay.a": b"1", "origin": b""})
    for name, value in (("user.note", b"\0\xff"), ("user.overlays", b"2")):
        os.setxattr(upper.path / "f", name, value)
    found = {entry.path: entry.node.xattrs for entry in upper.read() if isinstance(entry, Put)}
    assert found[b"d"] == {b"user.overlay.opaque": b"n"}
    assert found[b"f"] == {
        b"user.overlay.overlay.a": b"1", b"user.note": b"\0\xff", b"user.overlays": b"2"
    }  # fmt: skip


@pytest.mark.parametrize("mark", ["metacopy", "redirect", "of.tomorrow"])
def test_what_lies_elsewhere_is_refused(upper, mark):
    upper.directory("d")
    upper.file("d/f", **{mark: b""})
    with pytest.raises(UnsupportedError, match=rf"/d/f has the xattr user\.overlay\.{mark}"):
        upper.read()


def test_further_names_are_links_to_the_first(upper):
    upper.directory("d")
    upper.file("d/a", b"x")
    os.link(upper.path / "d/a", upper.path / "d/b")
    os.link(upper.path / "d/a", upper.path / "z")
    os.symlink("d", upper.path / "l")
    os.link(upper.path / "l", upper.path / "m", follow_symlinks=False)
    upper.whiteout("w")
    os.link(upper.path / "w", upper.path / "w2")
    assert upper.told() == [
        "put /", "whiteout /w", "whiteout /w2", "put /d", "put /d/a", "link /d/b = d/a",
        "put /l", "link /m = l", "link /z = d/a",
    ]  # fmt: skip


def test_everything_that_a_node_says(upper, tmp_path):
    upper.file("f", b"12345")
    os.chmod(tmp_path / "f", 0o4750)
    os.utime(tmp_path / "f", ns=(1, 1_000_000_002))
    os.symlink("../../etc", tmp_path / "l")
    os.mkfifo(tmp_path / "p")
    with socket.socket(socket.AF_UNIX) as server:
        fd = os.open(tmp_path, os.O_PATH)
        server.bind(f"/proc/self/fd/{fd}/s")
        os.close(fd)
    found = {entry.path: entry.node for entry in upper.read()}
    file = found[b"f"]
    assert (file.mode, file.size, file.mtime_ns) == (stat.S_IFREG | 0o4750, 5, 1_000_000_002)
    assert (file.uid, file.gid, file.source) == (os.getuid(), os.getgid(), None)
    assert (found[b"l"].target, found[b"l"].size) == (b"../../etc", 0)
    assert (found[b"p"].type, found[b"s"].type) == (stat.S_IFIFO, stat.S_IFSOCK)
    assert found[b""].type == stat.S_IFDIR


def test_owners_are_mapped(upper):
    upper.file("f")
    found = upper.read(map_ids=lambda uid, gid: (uid + 100, gid + 1000))
    for entry in found:
        assert (entry.node.uid, entry.node.gid) == (os.getuid() + 100, os.getgid() + 1000)


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_ids_in_attributes_are_mapped():
    def map_ids(uid, gid):
        if not 1000 <= uid < 2000 <= gid < 3000:
            raise NotFoundError("not mapped")
        return 2999 - uid - 1000, gid - 2000

    nobody = 0xFFFFFFFF
    before = {
        b"system.posix_acl_access": acl(
            (1, 7, nobody), (2, 5, 1001), (2, 4, 1002), (4, 5, nobody), (8, 1, 2009),
            (16, 7, nobody), (32, 0, nobody),
        ),
        b"system.posix_acl_default": b"no list",
        b"security.capability": struct.pack("<IIIIII", 0x03000001, 1, 2, 3, 4, 1999),
        b"user.note": b"\0",
    }  # fmt: skip
    found = change_xattrs(before, map_ids, 1000, 2000)
    assert found == {
        **before,
        b"system.posix_acl_access": acl(
            (1, 7, nobody), (2, 5, 998), (2, 4, 997), (4, 5, nobody), (8, 1, 9),
            (16, 7, nobody), (32, 0, nobody),
        ),
        b"security.capability": struct.pack("<IIIII", 0x02000001, 1, 2, 3, 4),
    }  # fmt: skip
    other = {b"security.capability": struct.pack("<IIIIII", 0x03000000, 1, 2, 3, 4, 1990)}
    assert change_xattrs(other, map_ids, 1000, 2000) == {
        b"security.capability": struct.pack("<IIIIII", 0x03000000, 1, 2, 3, 4, 9)
    }
    plain = {b"security.capability": struct.pack("<IIIII", 0x02000001, 1, 2, 3, 4)}
    assert change_xattrs(plain, map_ids, 1000, 2000) == plain


def test_the_number_of_names_is_limited(upper):
    for number in range(3):
        upper.directory(str(number))
    upper.whiteout("w")
    assert len(upper.read(max_inodes=4)) == 5
    with pytest.raises(LimitExceededError, match="max_inodes = 3"):
        upper.read(max_inodes=3)


def test_deep_directories_need_few_handles(upper, tmp_path):
    depth = 3 * MAX_HANDLES
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.mknod("w", stat.S_IFCHR, dir_fd=fd)
    os.close(fd)
    (tmp_path / "z").touch()
    found = upper.read()
    assert len(found) == depth + 3
    assert isinstance(found[-2], Whiteout)
    assert found[-2].path == b"d/" * depth + b"w"
    assert found[-1].path == b"z"


def test_entries_are_read_as_they_are_asked_for(upper, tmp_path):
    for name in "abc":
        upper.directory(name, opaque=b"y")
        upper.file(f"{name}/f")
    before = len(os.listdir("/proc/self/fd"))
    fd = os.open(tmp_path, os.O_RDONLY)
    entries = read_upper(fd, namespace="user")
    assert [type(next(entries)) for _ in range(3)] == [Put, Put, Opaque]
    entries.close()
    os.close(fd)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_error_says_where(upper):
    upper.directory("d")
    upper.file("d/f")

    def broken(uid, gid):
        nonlocal left
        left -= 1
        if not left:
            raise OSError(5, "broken")
        return uid, gid

    left = 3
    with pytest.raises(OSError, match="broken") as caught:
        upper.read(map_ids=broken)
    assert caught.value.filename == b"d/f"


class TestOpenUpper:
    @pytest.fixture
    def opened(self, tmp_path):
        def opened(path):
            dir_fd = os.open(tmp_path, os.O_RDONLY)
            before = len(os.listdir("/proc/self/fd"))
            try:
                fd = open_upper(dir_fd, path)
                try:
                    return os.read(fd, 100)
                finally:
                    os.close(fd)
            finally:
                assert len(os.listdir("/proc/self/fd")) == before
                os.close(dir_fd)

        return opened

    def test_a_regular_file(self, upper, opened):
        upper.directory("d")
        upper.file("d/f\n", b"content")
        assert opened(b"d/f\n") == b"content"

    @pytest.mark.parametrize("name", [b"d", b"p", b"l", b"w"])
    def test_anything_else(self, upper, opened, name):
        upper.directory("d")
        upper.file("f")
        os.mkfifo(upper.path / "p")
        os.symlink("f", upper.path / "l")
        upper.whiteout("w")
        with pytest.raises((UnsafePathError, OSError), match=r"no regular file|symbolic links"):
            opened(name)

    def test_a_link_on_the_way(self, upper, opened):
        upper.directory("d")
        upper.file("d/f")
        os.symlink("d", upper.path / "l")
        with pytest.raises(OSError, match="symbolic links"):
            opened(b"l/f")

    def test_a_way_out(self, upper, opened):
        with pytest.raises(OSError, match="cross-device"):
            opened(b"../" + os.fsencode(upper.path.name) + b"/f")
