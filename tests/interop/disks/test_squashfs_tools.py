import itertools
import os
import stat
import subprocess
import time

import pytest

from orlop.disks import write_squashfs
from orlop.errors import ToolError
from orlop.testing.trees import Bytes, everything
from orlop.tree import directory, walk
from support.marks import needs_tools
from support.peers import run

pytestmark = needs_tools("tar2sqfs", "mksquashfs", "unsquashfs")
TOOLS = ["tar2sqfs", "mksquashfs"]
FORMS = [
    *itertools.product(TOOLS, ["gzip", "zstd", "xz", "lz4"]),
    ("mksquashfs", None),
]
TIME = 1234


@pytest.fixture
def tree():
    store = Bytes()
    root = everything(store)
    del root.children[b"hole"]  # The tools would be given a terabyte of zeros.
    noise = os.urandom(1 << 20)
    for number in range(10):
        root.children[b"large %d" % number] = store.file(noise[number:] * (1 + number % 3))
    for _, node in walk(root):  # Before 4.6, mksquashfs sets back what is later than the image.
        node.mtime_ns = min(node.mtime_ns, TIME * 10**9)
    root.uid, root.gid = os.getuid(), os.getgid()
    return root, store


@pytest.mark.parametrize(("tool", "compression"), FORMS)
def test_the_same_tree_gives_the_same_bytes(tmp_path, tree, tool, compression, monkeypatch):
    root, store = tree
    options = {"read": store.read, "compression": compression, "time_s": TIME, "tool": tool}
    size = write_squashfs(root, tmp_path / "one", **options)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "99")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.sleep(1.1)  # The time at which the tool runs must not be in the image.
    write_squashfs(root, tmp_path / "two", **options)
    one = (tmp_path / "one").read_bytes()
    assert (len(one), one) == (size, (tmp_path / "two").read_bytes())
    said = run("unsquashfs", "-s", tmp_path / "one", env={"TZ": "UTC", "PATH": os.environ["PATH"]})
    assert "Thu Jan  1 00:20:34 1970" in said
    assert f"Compression {compression or 'gzip'}" in said
    assert "Block size 131072" in said


@pytest.mark.parametrize("tool", TOOLS)
def test_the_number_of_processors_makes_no_difference(tmp_path, tree, tool):
    root, store = tree
    processors = os.sched_getaffinity(0)
    options = {"read": store.read, "time_s": TIME, "tool": tool}
    write_squashfs(root, tmp_path / "many", **options)
    os.sched_setaffinity(0, {min(processors)})
    try:
        write_squashfs(root, tmp_path / "one", **options)
    finally:
        os.sched_setaffinity(0, processors)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "many").read_bytes()


@pytest.mark.parametrize("tool", TOOLS)
def test_an_empty_tree_is_an_image(tmp_path, tool):
    write_squashfs(
        directory(uid=os.getuid(), gid=os.getgid()),
        tmp_path / "image",
        read=Bytes().read,
        time_s=TIME,
        tool=tool,
    )
    assert run("unsquashfs", "-lls", tmp_path / "image").count("squashfs-root") == 1


@pytest.mark.parametrize("tool", TOOLS)
def test_a_full_disk_is_said(tmp_path, tree, tool):
    """The tool is told that its file may not grow, as a full disk would."""
    root, store = tree
    script = tmp_path / "bin" / tool
    script.parent.mkdir()
    script.write_text(f'#!/bin/bash\nulimit -f 100\ntrap "" XFSZ\nexec /usr/bin/{tool} "$@"\n')
    script.chmod(0o755)
    with pytest.raises(ToolError, match=r"I/O error|File too large"):
        write_squashfs(root, tmp_path / "image", read=store.read, time_s=TIME, tool=str(script))
    assert os.listdir(tmp_path) == ["bin"]


@pytest.mark.parametrize("tool", TOOLS)
def test_the_file_has_the_mode_that_the_umask_allows(tmp_path, tool):
    write_squashfs(
        directory(uid=os.getuid(), gid=os.getgid()),
        tmp_path / "image",
        read=Bytes().read,
        time_s=TIME,
        tool=tool,
    )
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "image").stat().st_mode) == 0o666 & ~mask


def test_the_tools_are_those_that_tar_needs():
    """What `mksquashfs -version` says is what its version is read from."""
    done = subprocess.run(["mksquashfs", "-version"], capture_output=True, check=True)
    assert done.stdout.startswith(b"mksquashfs version ")
