import os
import signal
import threading
import time

import pytest

from orlop.disks import write_squashfs
from orlop.errors import InvalidLayerError, ToolError, UnsupportedError
from orlop.tar import TarScanner
from orlop.testing.trees import Bytes
from orlop.tree import Node, directory, merge

COPY = """
for last; do :; done
exec cat > "$last"
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A directory that is first on the PATH, and what makes a script in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def make(name, script):
        (folder / name).write_text(f"#!/bin/sh\n{script}")
        (folder / name).chmod(0o755)

    return make


@pytest.fixture
def image(tmp_path):
    """Where the image goes: a directory with nothing else in it."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "image.sqfs"


@pytest.fixture
def tree():
    store = Bytes()
    root = directory(mtime_ns=5)
    root.children[b".wh.name"] = store.file(b"x" * 3_000_000)
    root.children[b"socket"] = Node(0o140644)
    root.children[b"old"] = Node(0o100644, mtime_ns=-1)
    root.children[b"new"] = Node(0o100644, mtime_ns=2**40 * 10**9)
    root.children[b"acl"] = Node(
        0o100644, xattrs={b"system.posix_acl_access": b"a", b"com.x": b"b", b"user.c": b"d"}
    )
    return root, store


def write(tree, image, **options):
    root, store = tree
    options = {"read": store.read, "time_s": 7, "tool": "tar2sqfs", **options}
    return write_squashfs(root, image, **options)


def test_the_tool_is_given_what_squashfs_can_show(tools, tree, image):
    tools("tar2sqfs", COPY)
    assert write(tree, image) == image.stat().st_size
    scanner = TarScanner(None, whiteouts=False)
    found = merge([*scanner.feed(image.read_bytes()), *scanner.close()])
    assert sorted(found.children) == [b".wh.name", b"acl", b"new", b"old"]
    assert found.children[b"acl"].xattrs == {b"user.c": b"d"}
    assert (found.mtime_ns, found.children[b"old"].mtime_ns) == (0, 0)
    assert found.children[b"new"].mtime_ns == (2**32 - 1) * 10**9
    assert os.listdir(image.parent) == [image.name]


def test_arguments_and_environment_are_those_asked_for(tools, tree, image, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    say = 'cat >/dev/null; for last; do :; done; echo "$SOURCE_DATE_EPOCH $*" > '
    tools("tar2sqfs", f'{say} "$last"')
    write(tree, image, compression="xz", block_size=4096)
    assert image.read_text().startswith(
        "7 --quiet --no-skip --force --compressor=xz --block-size=4096 "
    )
    tools("mksquashfs", VERSION % "4.6.1" + f'{say} "$2"')
    write(tree, image, compression=None, tool=None)
    said = image.read_text()
    assert said.startswith(" - ")
    assert "-root-mode 755 -mkfs-time 7 -root-time 0 -root-uid 0 -root-gid 0 -noI -noD" in said


def test_an_old_mksquashfs_is_told_the_time_in_the_environment(tools, tree, image):
    say = 'cat >/dev/null; echo "$SOURCE_DATE_EPOCH $*" > "$2"'
    tools("mksquashfs", VERSION % "4.5.1" + say)
    root, _ = tree
    del root.children[b"new"]
    root.uid, root.gid = os.getuid(), os.getgid()
    write(tree, image, tool="mksquashfs")
    assert image.read_text().startswith("7 - ")
    assert "-time" not in image.read_text()


VERSION = '[ "$1" = -version ] && { echo "mksquashfs version %s (2020/01/01)"; exit; }\n'


def test_progress_counts_the_bytes_of_files(tools, tree, image):
    tools("tar2sqfs", COPY)
    steps = []
    write(tree, image, progress=lambda done, total: steps.append((done, total)))
    assert steps == sorted(steps)
    assert steps[-1] == (3_000_000, 3_000_000)
    assert len(steps) >= 3


def test_without_a_tool_the_packages_are_named(tree, image, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    for options in ({"tool": None}, {"tool": "mksquashfs"}, {"tool": None, "compression": None}):
        with pytest.raises(UnsupportedError, match="there is none") as caught:
            write(tree, image, **options)
        assert "squashfs-tools-ng" in caught.value.hint
    assert not os.listdir(image.parent)


def test_a_mksquashfs_that_reads_no_tars_is_none(tools, tree, image):
    for version in ("4.4", "3.9"):
        tools("mksquashfs", VERSION % version)
        with pytest.raises(UnsupportedError, match="there is none"):
            write(tree, image, tool="mksquashfs")


def test_tar2sqfs_is_asked_first(tools, tree, image):
    tools("tar2sqfs", COPY)
    tools("mksquashfs", "exit 9")
    write(tree, image, tool=None)


def test_what_a_tool_cannot_do_is_not_asked_of_it(tools, tree, image):
    tools("tar2sqfs", COPY)
    tools("mksquashfs", VERSION % "4.6" + "cat >/dev/null")
    with pytest.raises(UnsupportedError, match="tar2sqfs compresses always"):
        write(tree, image, compression=None)
    tree[0].children[b"acl"].xattrs[b"user.a=b"] = b"c"
    with pytest.raises(UnsupportedError, match=r"/acl: this mksquashfs would spoil .*user.a=b"):
        write(tree, image, tool="mksquashfs")
    tree[0].children.clear()
    tree[0].xattrs = {b"user.root": b"c"}
    with pytest.raises(UnsupportedError, match=r"/: this mksquashfs would spoil"):
        write(tree, image, tool="mksquashfs")
    tree[0].xattrs = {b"system.posix_acl_access": b"c"}
    write(tree, image, tool="mksquashfs")


def test_what_an_old_mksquashfs_does_not_show_is_refused(tools, tree, image):
    tools("mksquashfs", VERSION % "4.5.1" + "cat >/dev/null")
    root, _ = tree
    root.uid, root.gid = os.getuid(), os.getgid()
    with pytest.raises(UnsupportedError, match="/new: this mksquashfs would set the time back"):
        write(tree, image, tool="mksquashfs")
    del root.children[b"new"]
    with pytest.raises(UnsupportedError, match="/: this mksquashfs would give it the time when"):
        write(tree, image, tool="mksquashfs", time_s=2**32 - 1)
    root.gid += 1
    with pytest.raises(UnsupportedError, match=f"would give it to {os.getuid()}:{os.getgid()}"):
        write(tree, image, tool="mksquashfs")


@pytest.mark.parametrize(
    "script",
    ["echo some words >&2; echo no space >&2; exit 3", "cat >/dev/null; echo no space >&2; exit 3"],
)
def test_what_a_failing_tool_says_is_in_the_error(tools, tree, image, script):
    tools("tar2sqfs", script)
    image.write_text("before")
    with pytest.raises(
        ToolError, match=r"tar2sqfs failed \(exit status 3\): .*no space$"
    ) as caught:
        write(tree, image)
    assert (caught.value.status, caught.value.said[-8:]) == (3, "no space")
    assert os.listdir(image.parent) == [image.name]
    assert image.read_text() == "before"


def test_only_the_end_of_much_is_kept(tools, tree, image):
    tools("tar2sqfs", "yes word | head -c 300000 >&2; echo the end >&2; exit 1")
    with pytest.raises(ToolError, match=r"the end$") as caught:
        write(tree, image)
    assert len(caught.value.said) < 10_000


def test_a_tool_that_reads_half_of_it_has_failed(tools, tree, image):
    tools("tar2sqfs", "exit 0")
    with pytest.raises(ToolError, match="did not read all"):
        write(tree, image)
    assert not os.listdir(image.parent)


def test_a_tool_that_is_killed_has_failed(tools, tree, image):
    tools("tar2sqfs", "kill -9 $$")
    with pytest.raises(ToolError, match="ended by signal 9"):
        write(tree, image)


def test_a_tool_that_cannot_be_started_leaves_nothing(tools, tree, image, tmp_path):
    (tmp_path / "bin/tar2sqfs").write_bytes(b"\x7fELF nothing")
    (tmp_path / "bin/tar2sqfs").chmod(0o755)
    with pytest.raises(OSError, match="format"):
        write(tree, image)
    assert not os.listdir(image.parent)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def has_group(pid):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_after_an_error_the_tool_is_gone(tools, tree, image, tmp_path):
    tools("tar2sqfs", f"echo $$ > {tmp_path}/pid; {COPY}")

    def fail(source, offset, size):
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        return b""

    with pytest.raises(InvalidLayerError):
        write(tree, image, read=fail)
    assert not alive(int((tmp_path / "pid").read_text()))
    assert not os.listdir(image.parent)


@pytest.mark.parametrize("script", ["sleep 60 & wait", "cat > /dev/null; sleep 60 & wait"])
def test_ctrl_c_ends_a_tool_that_hangs_and_its_children(tools, tree, image, tmp_path, script):
    tools("tar2sqfs", f"trap '' INT; echo $$ > {tmp_path}/pid; {script}")
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        write(tree, image)
    timer.join()
    assert time.monotonic() - began < 20
    pid = int((tmp_path / "pid").read_text())
    assert not alive(pid)
    deadline = time.monotonic() + 5
    while has_group(pid):  # Children die, and are buried by init, a little later.
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not os.listdir(image.parent)


def test_progress_that_raises_stops_the_work(tools, tree, image):
    tools("tar2sqfs", COPY)

    def stop(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        write(tree, image, progress=stop)
    assert not os.listdir(image.parent)


@pytest.mark.parametrize(
    "wrong",
    [
        {"compression": "lzo"}, {"time_s": -1}, {"time_s": 2**32}, {"block_size": 2048},
        {"block_size": 5000}, {"block_size": 2**21}, {"tool": "tar"},
    ],
)  # fmt: skip
def test_other_arguments_are_refused(tree, image, wrong):
    with pytest.raises(ValueError):
        write(tree, image, **wrong)
