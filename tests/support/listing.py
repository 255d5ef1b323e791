"""What a machine shows of its root, as text out of busybox; and the same of a directory here."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path

LIST = """
mount -o bind / /mnt && cd /mnt || exit 1
echo inodes
find . -xdev -exec stat -c '%f %u %g %s %t:%T %y %h %D:%i %N' {} + || exit 1
echo contents
find . -xdev -type f -exec sha256sum {} + || exit 1
echo done
cd / && umount /mnt || exit 1
"""
"""For the shell of the machine: each inode below `/`, without what is mounted there."""


def parse_listing(lines):
    """The inodes by path, and the digests of the files by path, that `LIST` printed.

    An inode is its mode, owner, group, size, device, time of modification in nanoseconds as text,
    target, and the paths of all its hard links. Sizes of directories are left out: they are what
    each filesystem makes of them.
    """
    at = lines.index(b"contents")
    assert lines[0] == b"inodes"
    assert lines[-1] == b"done"
    found, links = {}, {}
    for line in lines[1:at]:
        mode, uid, gid, size, device, day, clock, _zone, count, inode, name = line.split(b" ", 10)
        mode, count = int(mode, 16), int(count)
        target = b""
        if stat.S_ISLNK(mode):
            name, _, target = name[1:-1].partition(b"' -> '")
        if stat.S_ISDIR(mode):
            size, count, inode = b"0", 1, name
        device = device if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else b""
        links.setdefault(inode, []).append(name)
        found[name] = [
            f"{mode:o}", int(uid), int(gid), int(size), device, day + b" " + clock, count, target,
            links[inode],
        ]  # fmt: skip
    for each in found.values():
        each[-1] = sorted(each[-1])
        assert each[6] == len(each[-1]), f"{each[-1]} have {each[6]} links"
    digests = {}
    for line in lines[at + 1 : -1]:
        digest, name = line.split(b"  ", 1)
        digests[name] = digest
    return {path: tuple(each) for path, each in found.items()}, digests


def expected_listing(root, *, whole_seconds=False):
    """The same of a directory of this machine.

    Args:
        root: The directory.
        whole_seconds: Whether the filesystem that is looked at keeps no more of a time.
    """
    found, links, digests = {}, {}, {}
    top = os.fsencode(root)
    names = [b"."]
    for folder, folders, files in os.walk(top):
        below = b"." + folder[len(top) :]
        names += [below + b"/" + name for name in [*folders, *files]]
    for name in names:
        path = os.path.join(top, name)
        status = os.lstat(path)
        is_folder = stat.S_ISDIR(status.st_mode)
        group = links.setdefault(name if is_folder else status.st_ino, [])
        group.append(name)
        found[name] = [
            f"{status.st_mode:o}", status.st_uid, status.st_gid,
            0 if is_folder else status.st_size,
            _device(status), _time(status.st_mtime_ns, whole_seconds),
            1 if is_folder else status.st_nlink,
            os.readlink(path) if stat.S_ISLNK(status.st_mode) else b"",
            group,
        ]  # fmt: skip
        if stat.S_ISREG(status.st_mode):
            data = Path(os.fsdecode(path)).read_bytes()
            digests[name] = hashlib.sha256(data).hexdigest().encode()
    for each in found.values():
        each[-1] = sorted(each[-1])
    return {path: tuple(each) for path, each in found.items()}, digests


def _device(status):
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        return b"%x:%x" % (os.major(status.st_rdev), os.minor(status.st_rdev))
    return b""


def _time(mtime_ns, whole_seconds):
    seconds, rest = divmod(mtime_ns, 10**9)
    text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
    return f"{text}.{0 if whole_seconds else rest:09}".encode()
