import os
import shutil
import subprocess

import pytest

from orlop.digest import Digest
from orlop.tar import TarScanner
from orlop.tree import Link
from orlop.tree.node import S_IFLNK, S_IFREG

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("tar") is None, reason="tar is not installed"),
]

SOURCE = Digest("sha256:" + "00" * 32)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    (root / "dir").mkdir(mode=0o711)
    (root / "empty").touch()
    for size in (1, 511, 512, 513, 100_000):
        (root / "dir" / f"file{size}").write_bytes(os.urandom(size))
    (root / "suid").write_bytes(b"#!")
    (root / "suid").chmod(0o4755)
    (root / "link").symlink_to("../over/there")
    os.link(root / "dir" / "file1", root / "second-name")
    os.utime(root / "suid", ns=(0, 1_234_567_890_123_456_789))
    return root


@pytest.fixture(scope="module")
def rich_tree(tree):
    deep = tree / "/".join(["component" * 5] * 8)
    deep.mkdir(parents=True)
    (deep / ("n" * 255)).write_bytes(b"long")
    (tree / "long-link").symlink_to("t" * 300)
    os.link(deep / ("n" * 255), tree / "name-of-long")
    with open(os.fsencode(tree) + b"/caf\xe9 \xff", "wb") as file:
        file.write(b"bytes")
    os.mkfifo(tree / "fifo")
    os.utime(tree / "empty", ns=(0, -1_500_000_000))
    for number in (1, 3, 40, 300):
        with open(tree / f"sparse{number}", "wb") as file:
            for piece in range(number):
                file.seek((2 * piece + 1) * 8192)
                file.write(b"x" * 4096)
            file.truncate((2 * number + 9) * 8192)
    with open(tree / "hole", "wb") as file:
        file.truncate(1 << 20)
    return tree


def archive(root, *options):
    command = ["tar", "--create", "--sort=name", *options, "--directory", root, "."]
    return subprocess.run(command, check=True, capture_output=True).stdout


def content(stream, node):
    if node.segments is None:
        return stream[node.offset : node.offset + node.size] if node.source else b""
    data = bytearray(node.size)
    position = node.offset
    for start, length in node.segments:
        data[start : start + length] = stream[position : position + length]
        position += length
    return bytes(data)


def scan(stream):
    scanner = TarScanner(SOURCE)
    entries = scanner.feed(stream) + scanner.close()
    nodes = {entry.path: entry.node for entry in entries if not isinstance(entry, Link)}
    for entry in entries:
        if isinstance(entry, Link):
            nodes[entry.path] = nodes[entry.target]
    return nodes


def paths_below(root):
    top = os.fsencode(root)
    yield top
    for directory, directories, files in os.walk(top):
        yield from (os.path.join(directory, name) for name in directories + files)


def check(stream, root, *, exact_times=False):
    nodes = scan(stream)
    paths = list(paths_below(root))
    assert len(nodes) == len(paths)
    for path in paths:
        node = nodes[os.path.relpath(path, os.fsencode(root)) if path != paths[0] else b""]
        status = os.lstat(path)
        assert (node.mode, node.uid, node.gid) == (status.st_mode, status.st_uid, status.st_gid)
        if exact_times:
            assert node.mtime_ns == status.st_mtime_ns
        else:
            assert node.mtime_ns == status.st_mtime_ns // 10**9 * 10**9
        if node.type == S_IFREG:
            with open(path, "rb") as file:
                assert content(stream, node) == file.read()
        if node.type == S_IFLNK:
            assert node.target == os.readlink(path)


@pytest.mark.parametrize("form", ["v7", "ustar", "oldgnu", "gnu", "posix"])
def test_every_format_of_gnu_tar(tmp_path, form):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "dir").mkdir(mode=0o711)
    (root / "dir" / "file").write_bytes(b"x" * 1000)
    (root / "dir" / "empty").touch()
    (root / "link").symlink_to("../over/there")
    os.link(root / "dir" / "file", root / "second-name")
    if form != "v7":
        os.mkfifo(root / "fifo")
        (root / ("d" * 90)).mkdir()
        (root / ("d" * 90) / ("n" * 90)).touch()
    check(archive(root, f"--format={form}"), root, exact_times=form == "posix")


@pytest.mark.parametrize("form", ["oldgnu", "gnu", "posix"])
def test_long_names_times_before_1970_and_bytes(rich_tree, form):
    check(archive(rich_tree, f"--format={form}"), rich_tree, exact_times=form == "posix")


@pytest.mark.parametrize(
    "options",
    [
        ["--format=oldgnu"],
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
    ids=" ".join,
)
def test_sparse_files_of_every_version(rich_tree, options):
    stream = archive(rich_tree, "--sparse", *options)
    nodes = scan(stream)
    assert len(nodes[b"sparse300"].segments) == 300
    assert nodes[b"hole"].segments == ()
    check(stream, rich_tree, exact_times="--format=posix" in options)


def test_extended_attributes(tmp_path):
    values = {"user.text": b"value", "user.bytes": bytes(range(256)), "user.empty": b""}
    file = tmp_path / "file"
    file.touch()
    try:
        for name, value in values.items():
            os.setxattr(file, name, value)
    except OSError:
        pytest.skip("the filesystem has no user attributes")
    node = scan(archive(tmp_path, "--format=posix", "--xattrs", "--xattrs-include=user.*"))[b"file"]
    assert node.xattrs == {name.encode(): value for name, value in values.items()}


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes devices")
def test_devices(tmp_path):
    for name, kind, rdev in (
        ("c", 0o020600, os.makedev(1, 3)),
        ("b", 0o060640, os.makedev(259, 99999)),
    ):
        try:
            os.mknod(tmp_path / name, kind, rdev)
        except PermissionError:
            pytest.skip("making devices is not permitted here")
    for form in ("ustar", "gnu", "posix"):
        stream = archive(tmp_path, f"--format={form}")
        nodes = scan(stream)
        assert nodes[b"c"].rdev == os.makedev(1, 3)
        assert nodes[b"b"].rdev == os.makedev(259, 99999)
        check(stream, tmp_path, exact_times=form == "posix")


@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_a_volume_label(tree, form):
    check(archive(tree, f"--format={form}", "--label=volume"), tree, exact_times=form == "posix")


def test_a_global_header(tree):
    stream = archive(tree, "--format=posix", "--pax-option=globexthdr.name=g,comment=hello,uid=77")
    assert scan(stream)[b"suid"].uid == 77
