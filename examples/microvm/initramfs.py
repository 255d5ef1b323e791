"""The initramfs of the machine: busybox, the modules that it needs, and `init`; the same each time.

A cpio of the format newc is its members one after the other, each padded to a multiple of 4 bytes:

| offset | size | type | meaning |
| --- | --- | --- | --- |
| 0 | 6 | text | `070701` |
| 6 | 13 * 8 | hexadecimal | inode, mode, uid, gid, links, mtime, size, device of the file (2), device it is (2), size of the name with its NUL, 0 |
| 110 | | | name, NUL, padding to 4 |
| | | | content, padding to 4 |

The last member is an empty one called `TRAILER!!!`.

Spec: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""  # noqa: E501

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from linux import read_module

import orlop

HERE = Path(__file__).parent
BUSYBOX_IMAGE = f"oci-archive:{HERE.parent / 'busybox/busybox.tar'}"
MODULES = ("virtio_mmio", "virtio_pci", "virtio_blk", "ext4", "erofs", "squashfs", "overlay")


def build(linux):
    """The initramfs for a kernel."""
    files = linux.module_files(MODULES)
    names = [file.name.partition(".ko")[0] + ".ko" for file in files]
    directories = ["bin", "dev", "lib", "lib/modules", "lower", "proc", "root"]
    return b"".join(
        [
            *(_member(name, stat.S_IFDIR | 0o755) for name in directories),
            _member("dev/console", stat.S_IFCHR | 0o600, device=os.makedev(5, 1)),
            _member("init", stat.S_IFREG | 0o755, (HERE / "init").read_bytes()),
            _member("bin/busybox", stat.S_IFREG | 0o755, busybox()),
            _member("bin/sh", stat.S_IFLNK | 0o777, b"busybox"),
            _member(
                "lib/modules/order",
                stat.S_IFREG | 0o644,
                "".join(f"{name}\n" for name in names).encode(),
            ),
            *(
                _member(f"lib/modules/{name}", stat.S_IFREG | 0o644, read_module(file))
                for name, file in zip(names, files, strict=True)
            ),
            _member("TRAILER!!!", 0),
        ]
    )


def busybox():
    """The static busybox of the image that lies in the repository."""
    with (
        tempfile.TemporaryDirectory() as place,
        orlop.open_store(f"{place}/root", f"{place}/run") as store,
    ):
        return store.pull(BUSYBOX_IMAGE).read("/bin/busybox")


def _member(name, mode, data=b"", device=0):
    path = name.encode() + b"\0"
    numbers = (
        0, mode, 0, 0, 1, 0, len(data), 0, 0, os.major(device), os.minor(device), len(path), 0,
    )  # fmt: skip
    header = b"070701" + b"".join(b"%08x" % number for number in numbers) + path
    return _padded(header) + _padded(data)


def _padded(data):
    return data + bytes(-len(data) % 4)
