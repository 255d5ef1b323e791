"""Copies and changed owners, against `cp`, and against what the kernel's id-mapped mounts show."""

import os
import shutil
import stat
import struct
import subprocess
from contextlib import contextmanager

import pytest

from orlop.drivers import mount_idmapped
from orlop.errors import NotFoundError
from orlop.idmap import IdMapping
from orlop.rootfs import copy_tree, read_tree, shift_owners, write_tree
from orlop.tree import Node, directory, iter_differences
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK
from support import disks
from support.marks import needs_root
from support.nobody import NOBODY, as_nobody, unprivileged_place

pytestmark = needs_root

MAPPING = IdMapping.parse(["0:100000:65536"], ["0:500000:1000", "1000:300000:9000"])
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
CAPABILITY_OF_5 = struct.pack("<6I", 0x03000001, 1 << 10, 0, 1, 0, 5)


def acl(*entries):
    whole = [(1, 7, -1), (4, 5, -1), (16, 7, -1), (32, 0, -1), *entries]
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, bits, number % 2**32) for tag, bits, number in sorted(whole)
    )


ACL = acl((2, 4, 7), (2, 6, 1000), (8, 4, 3), (8, 5, 1200))


def everything():
    root = directory(0o751, 1, 2, 3)
    below = Node(S_IFDIR | 0o3770, 7, 8, 9, xattrs={b"system.posix_acl_default": ACL})
    linked = Node(S_IFREG | 0o6755, 1000, 1001, 10**18)
    below.children[b"suid"] = linked
    below.children[b"link to nowhere"] = Node(S_IFLNK | 0o777, 3, 4, 5, target=b"/etc/passwd")
    root.children = {
        b"acl": Node(S_IFREG | 0o770, 5, 6, 7, xattrs={b"system.posix_acl_access": ACL}),
        b"block": Node(S_IFBLK | 0o660, 0, 6, 7, rdev=os.makedev(8, 1)),
        b"cap": Node(S_IFREG | 0o755, 5, 6, 7, xattrs={b"security.capability": CAPABILITY}),
        b"cap5": Node(S_IFREG | 0o4755, 5, 6, xattrs={b"security.capability": CAPABILITY_OF_5}),
        b"char": Node(S_IFCHR | 0o666, 0, 5, 6, rdev=os.makedev(1, 3)),
        b"d": below,
        b"other name": linked,
        b"pipe": Node(S_IFIFO | 0o622, 11, 12, 13),
        b"socket": Node(S_IFSOCK | 0o777, 11, 12, 13),
        b"trusted": Node(S_IFLNK | 0o777, 3, 4, 5, target=b"x", xattrs={b"trusted.a": b"\0"}),
    }
    return root


@contextmanager
def opened(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.mkdir()
    with opened(path) as fd:
        assert write_tree(everything(), fd, None).dropped == ()
    return path


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target"
    path.mkdir()
    return path


def read(path):
    with opened(path) as fd:
        return read_tree(fd, digest_files=True)


def copy(source, target, **options):
    with opened(source) as source_fd, opened(target) as target_fd:
        return copy_tree(source_fd, target_fd, **options)


def differences(left, right):
    return list(iter_differences(left, right))


def shown(source, mapping):
    """The tree as the kernel shows it through an id-mapped mount."""
    with mount_idmapped(source, mapping) as mount:
        return read(mount.path)


def test_all_metadata_is_copied(source, target):
    assert copy(source, target).dropped == ()
    assert differences(read(target), everything()) == []


def test_cp_makes_the_same(source, target):
    copy(source, target)
    subprocess.run(["cp", "-a", f"{source}/.", f"{target}-2"], check=True)
    found = differences(read(f"{target}-2"), read(target))
    # cp copies no trusted attributes.
    assert [line for line in found if "trusted" not in line] == []


def test_a_copy_with_other_owners_is_what_the_kernel_would_show(source, target):
    wanted = shown(source, MAPPING)
    copy(source, target, change=MAPPING.to_host)
    assert differences(read(target), wanted) == []
    assert wanted.children[b"cap"].xattrs[b"security.capability"][20:] == struct.pack("<I", 100_000)
    assert b"posix_acl_access" in b"".join(wanted.children[b"acl"].xattrs)


def test_shifted_owners_are_what_the_kernel_would_show(source):
    wanted = shown(source, MAPPING)
    with opened(source) as fd:
        assert shift_owners(fd, MAPPING.to_host) == 12
    assert differences(read(source), wanted) == []


def test_owners_that_are_shifted_back(source):
    with opened(source) as fd:
        shift_owners(fd, MAPPING.to_host)
        assert shift_owners(fd, MAPPING.to_container) == 12
        assert shift_owners(fd, lambda uid, gid: (uid, gid)) == 0
    assert differences(read(source), everything()) == []


def test_an_owner_that_is_not_mapped(source, target):
    os.chown(source / "pipe", 70_000, 0)
    with pytest.raises(NotFoundError, match="uid 70000 is not mapped"):
        copy(source, target, change=MAPPING.to_host)
    with opened(source) as fd, pytest.raises(NotFoundError, match="uid 70000 is not mapped"):
        shift_owners(fd, MAPPING.to_host)


def test_other_filesystems_keep_their_owners(source):
    subprocess.run(["mount", "-t", "tmpfs", "none", source / "d"], check=True)
    try:
        (source / "d" / "file").touch()
        with opened(source) as fd:
            shift_owners(fd, lambda uid, gid: (uid + 1, gid))
        assert (source / "d").stat().st_uid == 0
        assert (source / "d" / "file").stat().st_uid == 0
        assert (source / "acl").stat().st_uid == 6
    finally:
        subprocess.run(["umount", source / "d"], check=True)


def test_links_are_not_followed_out(source, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    os.symlink(outside, source / "way out")
    os.symlink(outside / "file", source / "file out")
    with opened(source) as fd:
        shift_owners(fd, lambda uid, gid: (uid + 5, gid + 5))
    assert os.lstat(source / "way out").st_uid == 5
    assert {os.lstat(path).st_uid for path in (outside, outside / "file")} == {0}


def test_a_deep_tree_is_shifted(tmp_path):
    top = here = directory()
    for _ in range(1500):
        below = directory()
        here.children[b"d" * 10] = below
        here = below
    path = tmp_path / "deep"
    path.mkdir()
    with opened(path) as fd:
        write_tree(top, fd, None)
        assert shift_owners(fd, lambda uid, gid: (uid + 1, gid)) == 1501
    subprocess.run(["rm", "-rf", path], check=True)


def test_a_failure_names_the_entry(source):
    subprocess.run(["chattr", "+i", source / "d" / "suid"], check=True)
    try:
        with opened(source) as fd, pytest.raises(PermissionError) as caught:
            shift_owners(fd, MAPPING.to_host)
        assert caught.value.filename in {b"d/suid", b"other name"}
    finally:
        subprocess.run(["chattr", "-i", source / "d" / "suid"], check=True)


def test_nobody_copies_what_it_may(source):
    with unprivileged_place() as place:
        subprocess.run(["cp", "-a", source, place / "source"], check=True)
        subprocess.run(["chmod", "-R", "a+rX", place / "source"], check=True)
        (place / "target").mkdir()
        os.chown(place / "target", NOBODY, NOBODY)
        dropped, owners = as_nobody(_copy_as_nobody, place)
    assert dropped == {
        (b"block", "device 8:1"),
        (b"char", "device 1:3"),
        (b"cap", "xattr security.capability"),
        (b"cap5", "xattr security.capability"),
    }
    assert owners == {NOBODY}


def _copy_as_nobody(place):
    report = copy(place / "source", place / "target", ownership=False)
    found = {os.lstat(path).st_uid for path in (place / "target").rglob("*")}
    assert stat.S_ISSOCK((place / "target/socket").lstat().st_mode)
    return {(drop.path, drop.what) for drop in report.dropped}, found


@pytest.fixture
def xfs(tmp_path):
    with disks.xfs(tmp_path) as place:
        yield place


@pytest.mark.skipif(not shutil.which("mkfs.xfs"), reason="not installed: mkfs.xfs")
def test_content_shares_its_blocks_where_the_filesystem_can(xfs):
    source, target = xfs / "source", xfs / "target"
    source.mkdir()
    target.mkdir()
    for number in range(4):
        (source / str(number)).write_bytes(os.urandom(30 << 20))
    for number in range(200):
        (source / f"small{number}").write_bytes(os.urandom(60_000))
    with (source / "holes").open("wb") as file:
        file.truncate(1 << 30)
    os.sync()
    before = os.statvfs(xfs).f_bfree
    copy(source, target)
    os.sync()
    used = (before - os.statvfs(xfs).f_bfree) * os.statvfs(xfs).f_frsize
    assert used < 1 << 20
    assert differences(read(source), read(target)) == []
    (source / "0").write_bytes(b"changed")
    assert (target / "0").stat().st_size == 30 << 20
