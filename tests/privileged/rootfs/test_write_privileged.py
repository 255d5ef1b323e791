import os
import stat
import struct
import subprocess

import pytest

from orlop.errors import UnsupportedError
from orlop.rootfs import read_tree, remove_tree, write_tree
from orlop.tree import Node, directory, dump

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(os.geteuid() != 0, reason="owners, devices and mounts need root"),
]

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in [
        (1, 6, 0xFFFFFFFF), (2, 4, 1000), (4, 4, 0xFFFFFFFF), (16, 5, 0xFFFFFFFF),
        (32, 0, 0xFFFFFFFF),
    ]
)  # fmt: skip


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target"
    path.mkdir()
    return path


def write(root, target, **options):
    fd = os.open(target, os.O_RDONLY)
    try:
        return write_tree(root, fd, None, **options)
    finally:
        os.close(fd)


def read(target):
    fd = os.open(target, os.O_RDONLY)
    try:
        return read_tree(fd)
    finally:
        os.close(fd)


def everything():
    root = directory(0o751, 1, 2, 3)
    below = Node(stat.S_IFDIR | 0o3770, 7, 8, 9, xattrs={b"system.posix_acl_default": ACL})
    below.children[b"suid"] = Node(stat.S_IFREG | 0o6755, 1000, 1001, 10**18)
    root.children = {
        b"d": below,
        b"cap": Node(stat.S_IFREG | 0o755, 5, 6, 7, xattrs={b"security.capability": CAPABILITY}),
        b"acl": Node(stat.S_IFREG | 0o650, 5, 6, 7, xattrs={b"system.posix_acl_access": ACL}),
        b"trusted": Node(stat.S_IFLNK | 0o777, 3, 4, 5, target=b"x", xattrs={b"trusted.a": b"\0"}),
        b"char": Node(stat.S_IFCHR | 0o666, 0, 5, 6, rdev=os.makedev(300, 70000)),
        b"block": Node(stat.S_IFBLK | 0o660, 0, 6, 7, rdev=os.makedev(8, 1)),
        b"pipe": Node(stat.S_IFIFO | 0o622, 11, 12, 13, xattrs={b"trusted.p": b"1"}),
        b"socket": Node(stat.S_IFSOCK | 0o777, 11, 12, 13),
        b"mine": Node(stat.S_IFREG | 0o777, 1 << 31, (1 << 32) - 2, 1),
    }
    return root


def test_all_metadata_comes_back(target):
    report = write(everything(), target)
    assert report.dropped == ()
    assert dump(read(target)) == dump(everything())


def test_what_the_directory_would_hand_down_is_taken_from_it(target):
    os.chown(target, 5, 77)
    target.chmod(0o2777)
    os.setxattr(target, "system.posix_acl_default", ACL)
    root = directory()
    root.children[b"d"] = directory()
    root.children[b"f"] = Node(stat.S_IFREG | 0o666)
    write(root, target)
    assert dump(read(target)) == dump(root)


def test_a_filesystem_without_xattrs(tmp_path, target):
    root = directory()
    root.children[b"f"] = Node(stat.S_IFREG | 0o644, xattrs={b"user.a": b"1"})
    subprocess.run(["mount", "-t", "ramfs", "none", str(target)], check=True)
    try:
        with pytest.raises(UnsupportedError, match=r"^f: xattr user\.a"):
            write(root, target)
        (target / "f").unlink()
        report = write(root, target, xattrs="drop")
        assert [(drop.path, drop.what) for drop in report.dropped] == [(b"f", "xattr user.a")]
    finally:
        subprocess.run(["umount", str(target)], check=True)


def test_a_full_filesystem_names_the_entry(target):
    root = directory()
    for number in range(100):
        root.children[b"d%d" % number] = directory()
    options = "size=1m,nr_inodes=20"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(target)], check=True)
    try:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="No space left") as caught:
            write(root, target)
        assert caught.value.filename.startswith(b"d")
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        subprocess.run(["umount", str(target)], check=True)


def test_a_mount_point_is_neither_removed_nor_entered(tmp_path, target):
    mounted = target / "d"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(mounted)], check=True)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        (mounted / "precious").touch()
        with pytest.raises(OSError, match="mounted"):
            remove_tree(fd, b"target")
        assert (mounted / "precious").exists()
        inside = os.open(target, os.O_RDONLY)
        assert read_tree(inside, one_device=True).children[b"d"].children == {}
        assert read_tree(inside).children[b"d"].children.keys() == {b"precious"}
        os.close(inside)
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
        os.close(fd)


def run_as_nobody(work):
    """Run `work` in a child that is nobody; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_without_privilege_devices_and_owners_are_dropped(target):
    os.chown(target, 65534, 65534)
    fd = os.open(target, os.O_RDONLY)

    def work():
        report = write_tree(everything(), fd, None, ownership=False)
        found = {(drop.path, drop.what) for drop in report.dropped}
        assert found == {
            (b"cap", "xattr security.capability"),
            (b"trusted", "xattr trusted.a"),
            (b"char", "device 300:70000"),
            (b"block", "device 8:1"),
            (b"pipe", "xattr trusted.p"),
        }
        assert {node.uid for node in read_tree(fd).children.values()} == {65534}

    assert run_as_nobody(work) == 0
    os.close(fd)
    assert stat.S_IMODE((target / "d/suid").stat().st_mode) == 0o6755


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_without_privilege_closed_directories_are_filled_linked_and_removed(tmp_path, target):
    for path in (tmp_path, target):
        os.chown(path, 65534, 65534)
    parent = os.open(tmp_path, os.O_RDONLY)
    fd = os.open(target, os.O_RDONLY)
    shared = Node(stat.S_IFREG | 0o000, xattrs={b"user.a": b"1"})
    closed = directory(0o000)
    closed.children = {b"shared": shared, b"below": directory(0o500)}
    closed.children[b"below"].children[b"f"] = Node(stat.S_IFREG | 0o400)
    root = directory(0o500, mtime_ns=5)
    root.children = {b"closed": closed, b"link": shared}

    def work():
        report = write_tree(root, fd, None, ownership=False)
        assert (report.links, report.dropped) == (1, ())
        assert os.fstat(fd).st_mtime_ns == 5
        assert stat.S_IMODE(os.stat("closed", dir_fd=fd).st_mode) == 0
        assert os.stat("link", dir_fd=fd).st_nlink == 2
        remove_tree(parent, b"target")

    assert run_as_nobody(work) == 0
    os.close(fd)
    os.close(parent)
    assert not target.exists()
