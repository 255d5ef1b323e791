"""GNU tar as the judge: it unpacks the same archive to the same tree."""

import os
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.rootfs import StreamWriter, read_tree, remove_tree, write_tree
from orlop.tar import TarScanner
from orlop.tree import dump, merge

ROOT = os.geteuid() == 0
SOURCE = Digest.of(b"a tar")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("tar") is None, reason="GNU tar is not installed"),
]

names = st.sampled_from([b"a", b"b", b"c", b"\xc3\xa4", b"x" * 120])
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)
modes = st.sampled_from([0o755, 0o644, 0o700, 0o4755, 0o1777, 0o500])
items = st.tuples(
    paths, st.sampled_from(["file", "dir", "link", "hardlink", "sparse", "fifo"]), modes,
    st.integers(0, 300_000), st.integers(0, 2**31 - 1),
)  # fmt: skip


def build(base, made):
    """Make files; what does not fit, because of what is there already, is left out."""
    first = None
    for path, kind, mode, number, mtime in made:
        full = os.path.join(os.fsencode(base), path)
        try:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            if kind == "dir":
                os.mkdir(full)
            elif kind == "link":
                os.symlink(b"../%d" % number, full)
                continue
            elif kind == "hardlink":
                os.link(first or full, full, follow_symlinks=False)
                continue
            elif kind == "fifo":
                os.mkfifo(full)
            else:
                with open(full, "xb") as file:
                    file.seek(5_000_000 if kind == "sparse" else 0)
                    file.write(b"%d" % number * (number // 8))
                first = full
            os.chmod(full, mode)
            os.utime(full, (mtime, mtime))
        except (FileExistsError, NotADirectoryError, FileNotFoundError):
            continue


def read_at(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return dump(read_tree(fd, digest_files=True), data=True)
    finally:
        os.close(fd)


def write_at(path, write):
    path.mkdir()
    fd = os.open(path, os.O_RDONLY)
    try:
        write(fd)
    finally:
        os.close(fd)
    return read_at(path)


@pytest.fixture
def scratch(tmp_path):
    yield tmp_path
    clear(tmp_path)


def clear(base):
    fd = os.open(base, os.O_RDONLY)
    for name in os.listdir(base):
        remove_tree(fd, os.fsencode(name))
    os.close(fd)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(items, max_size=15), st.sampled_from(["gnu", "posix"]))
def test_tar_unpacks_to_the_same_tree(scratch, made, form):
    clear(scratch)
    (scratch / "made").mkdir()
    build(scratch / "made", made)
    archive = scratch / "archive"
    pack = ["tar", "-C", scratch / "made", "-S", f"--format={form}", "-cf", archive, "."]
    subprocess.run(pack, check=True)
    (scratch / "tar").mkdir()
    subprocess.run(["tar", "-C", scratch / "tar", "-xpf", archive], check=True)
    expected = read_at(scratch / "tar")
    data = archive.read_bytes()
    tar_fd = os.open(archive, os.O_RDONLY)

    def write_merged(fd):
        entries = TarScanner(SOURCE).feed(data)
        write_tree(merge(entries), fd, lambda _: tar_fd, ownership=ROOT)

    def write_stream(fd):
        with StreamWriter(fd, ownership=ROOT, userxattr=not ROOT) as writer:
            writer.feed(data, 0, TarScanner(SOURCE).feed(data))
            assert writer.close().anywhere

    try:
        assert write_at(scratch / "written", write_merged) == expected
        assert write_at(scratch / "streamed", write_stream) == expected
    finally:
        os.close(tar_fd)
