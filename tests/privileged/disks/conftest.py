import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.images import (
    ImageBuilder,
    Layout,
    device,
    directory,
    fifo,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)  # fmt: skip
from support.machine import busybox
from support.peers import umoci_unpack

CAP_DAC_READ_SEARCH = 1 << 2
CAPABILITY = struct.pack("<IIIII", 0x02000001, CAP_DAC_READ_SEARCH, 0, 0, 0).decode()
APPLETS = (
    *("cat", "cp", "df", "dmesg", "find", "id", "ln", "ls", "mkdir", "mount", "mv", "rm", "sh"),
    *("sha256sum", "stat", "su", "sync", "umount"),
)
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"


def xattrs(**named):
    """PAX records of xattrs; `user_note` is `user.note`."""
    return {"SCHILY.xattr." + name.replace("_", ".", 1): value for name, value in named.items()}


def folders(*names, **attributes):
    return [directory(name, mtime=1_000_000_000 + len(name), **attributes) for name in names]


def base(program):
    """A system that can list itself, with every type of file."""
    return [
        *folders(".", "bin", "dev", "etc", "mnt", "proc", "root", "sys", "usr", "usr/bin", "caps"),
        *folders("srv", "opt", "odd", "going", "going/away", "hidden", "hidden/deep", "kept"),
        directory("tmp", mode=0o1777, mtime=5),
        file("bin/busybox", program, mode=0o755, mtime=1_700_000_000),
        *[symlink(f"bin/{name}", "busybox", mtime=7) for name in APPLETS],
        file("etc/passwd", PASSWD, mtime=8),
        file("etc/group", b"root:x:0:\nnogroup:x:65534:\n", mtime=8),
        file("etc/secret", b"for root alone\n", mode=0o600, mtime=9),
        file("srv/log", b"first\n", mtime=10),
        file("srv/old", b"old\n", mtime=10),
        device("odd/null", 1, 3, mode=0o666, mtime=11),
        device("odd/loop200", 7, 200, tarfile.BLKTYPE, mode=0o660, gid=6, mtime=12),
        device("odd/large", 300, 70_000, mode=0o600, mtime=12),
        fifo("odd/fifo", mode=0o640, uid=1000, mtime=13),
        file("going/file", b"whited out later", mtime=14),
        file("going/away/file", b"with its directory", mtime=14),
        file("hidden/file", b"behind an opaque directory", mtime=14),
        file("hidden/deep/file", b"deep behind it", mtime=14),
        file("kept/below", b"from the base", mtime=14),
        file("kept/replaced", b"by a directory", mtime=14),
    ]


def entries():
    """Odd entries, and what removes some of the base."""
    return [
        *folders(".", "odd", "going", "hidden", "kept", "caps", "opt"),
        whiteout("going/file"),
        whiteout("going/away"),
        opaque("hidden"),
        file("hidden/new", b"in front of it", mtime=15),
        file("odd/setuid", b"#!/bin/sh\n", mode=0o4755, uid=1, gid=2, mtime=16),
        file("odd/setgid", b"#!/bin/sh\n", mode=0o2755, uid=70_000, gid=80_000, mtime=16),
        file("odd/no one's", b"secret", mode=0, mtime=16),
        file("odd/linked", b"one inode", mtime=17),
        hardlink("odd/same", "odd/linked"),
        hardlink("opt/same", "odd/linked"),
        file("opt/gone", b"in the layer between", mtime=17),
        file("odd/" + "n" * 254, b"long", mtime=18),  # mkfs.erofs 1.5 takes no 255
        file("odd/größe 日本", b"wide", mtime=18),
        symlink("odd/link to größe", "größe 日本", mtime=19),
        symlink("odd/dangling", "/no/" + "where/" * 150, mtime=19),
        file("odd/empty", mtime=20),
        file("odd/fraction", b"of a second", mtime=21.25),
        file("odd/before 1970", b"old", mtime=-86_400),
        file("odd/noted", b"x", mtime=22, pax_headers=xattrs(user_note="kept")),
        file(
            "caps/cat", busybox(), mode=0o755, mtime=23,
            pax_headers=xattrs(security_capability=CAPABILITY),
        ),
    ]  # fmt: skip


def large():
    """Large files, and what changes and removes things of both layers below."""
    return [
        *folders(".", "odd", "hidden", "kept", "kept/replaced", "opt", "opt/large"),
        whiteout("hidden/new"),
        whiteout("opt/gone"),
        file("hidden/newest", b"of the top", mtime=24),
        file("kept/replaced/file", b"in the directory", mtime=24),
        file("opt/large/noise", bytes(n * n % 251 for n in range(5_000_000)), mtime=25),
        file("opt/large/holes", bytes(4 << 20) + b"middle" + bytes(4 << 20), mtime=26),
        *[file(f"opt/large/{n:04}", b"%d\n" % n, mtime=n) for n in range(300)],
    ]


@dataclass(frozen=True)
class Image:
    """An image, and what it looks like unpacked.

    Attributes:
        layout: Its layout.
        layers: The files of its layers' tars, the base first.
        root: What umoci makes of it.
    """

    layout: Layout
    layers: list
    root: Path


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """An image of three layers, small and odd, that can list itself."""
    place = tmp_path_factory.mktemp("image")
    builder = ImageBuilder(config={"config": {"Cmd": ["/bin/sh"]}})
    for members in (base(busybox()), entries(), large()):
        builder.layer(*members)
    layout = builder.write(place / "layout")
    layers = []
    for number, data in enumerate(builder.tars):
        layers.append(place / f"layer{number}.tar")
        layers[-1].write_bytes(data)
    return Image(layout, layers, umoci_unpack(layout.path, layout.tag, place / "root"))
