"""Layers that no image should have: the tar, and what the refusal must say."""

from __future__ import annotations

import os
import tarfile

from support.images import device, digest, directory, file, hardlink, opaque, symlink, tar


def with_size(data, size):
    """The tar with another size in its first header."""
    head = bytearray(data[:512])
    head[124:136] = b"\x80" + size.to_bytes(11, "big")
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + data[512:]


BROKEN = {
    "name leads out": (tar(file("../etc/passwd", b"x")), "'..'"),
    "name leads out from below": (tar(file("etc/../../x", b"x")), "'..'"),
    "name leads up and stays inside": (tar(directory("a"), file("a/../b", b"x")), "'..'"),
    "hard link to nothing": (tar(hardlink("a", "nothing")), "/nothing"),
    "hard link leads out": (tar(hardlink("a", "../../etc/passwd")), "'..'"),
    "hard link to directory": (tar(directory("d"), hardlink("a", "d")), "directory /d"),
    "hard link to itself": (tar(hardlink("a", "a")), "itself"),
    "hard link to root": (tar(hardlink("a", "/")), "root"),
    "hard link through a link to nothing": (
        tar(symlink("d", "/proc/self"), hardlink("a", "d/exe")),
        "/d/exe",
    ),
    "whiteout of nothing": (tar(file(".wh.")), "names no file"),
    "whiteout of .": (tar(file("etc/.wh..")), "names no file"),
    "whiteout of ..": (tar(file("etc/.wh...")), "names no file"),
    "loop of links": (tar(symlink("a", "b"), symlink("b", "a"), file("a/x", b"x")), "too many"),
    "link to itself": (tar(symlink("a", "a"), file("a/x", b"x")), "too many"),
    "link without target": (tar(symlink("a", "")), "no target"),
    "long name": (tar(file("a" * 256)), "max_name_size"),
    "long path": (tar(file("/".join(["a" * 200] * 25))), "max_path_size"),
    "long target": (tar(symlink("a", "b" * 5000)), "max_path_size"),
    "no name": (tar(file("", b"x")), "name is empty"),
    "root is a link": (tar(symlink("./", "/tmp")), "root"),
    "root is a device": (tar(device("/", 1, 3)), "root"),
    "size of a tebibyte": (with_size(tar(file("a", b"x")), 1 << 40), "cut short"),
    "size over 63 bits": (with_size(tar(file("a", b"x")), (1 << 63) + 5), "out of range"),
    "cut in data": (tar(file("a", b"x" * 6000))[:3000], "cut short"),
    "cut in header": (tar(file("a"))[:300], "cut short"),
    "checksum": (b"b" + tar(file("a", b"x"))[1:], "checksum"),
    "noise": (os.urandom(5000), "offset 0"),
    "text": (b"hello world\n" * 200, "offset 0"),
}
"""Layers that are refused."""

HARMLESS = {
    "absolute name": (tar(file("/etc/x", b"x")), "/etc/x"),
    "link out of the root": (
        tar(symlink("out", "/../../../../../orlop-test-escape"), file("out/x", b"x")),
        "/orlop-test-escape/x",
    ),
    "parent is a file": (tar(file("a", b"1"), file("a/x", b"x")), "/a/x"),
    "opaque root": (tar(file(".wh..wh..opq"), file("x", b"x")), "/x"),
    "opaque through a link": (tar(symlink("e", "/etc"), opaque("e"), file("x", b"x")), "/x"),
    "cut name": (tar(file("a\0b", b"x"), format=tarfile.GNU_FORMAT), "/a"),
}
"""Layers that look hostile and are none: a file with `x` in it, inside the image."""


def stored_as(builder, data, uncompressed=None):
    """Let the image have a layer that is stored as these bytes.

    Args:
        builder: Of an image without compression.
        data: The stored bytes.
        uncompressed: What the config says that they are uncompressed; themselves by default.
    """
    ids = [digest(each) for each in builder.tars]
    ids.append(digest(data if uncompressed is None else uncompressed))
    builder.raw_layer(data)
    builder.config = {"rootfs": {"type": "layers", "diff_ids": ids}}
    return builder
