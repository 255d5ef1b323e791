"""Files of equal content share blocks: nobody sees that, and the disk has more room."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import orlop
from orlop._sys.reflink import CannotShareError, share_range
from orlop.errors import UnsupportedError
from orlop.storage import dedup
from orlop.storage.places import Places
from orlop.storage.storage import Storage
from orlop.testing.storage.base import member, put
from support import disks
from support.marks import needs_root, needs_tools
from support.nobody import unprivileged_place
from support.unprivileged import run_as_nobody

pytestmark = [*needs_root, *needs_tools("mkfs.xfs")]

LARGE = os.urandom(20 << 20)


@pytest.fixture(scope="module")
def xfs(tmp_path_factory):
    with disks.xfs(tmp_path_factory.mktemp("disk")) as path:
        yield path


@pytest.fixture(params=["erofs", "overlay", "vfs"])
def storage(request, xfs, tmp_path):
    places = Places(xfs / request.node.name, tmp_path / "run")
    with Storage.open(places, driver=request.param) as storage:
        yield storage


def written(storage, **files):
    """A layer with these files that is a directory."""
    layer = storage.layers.create()
    with storage.layers.mount(layer.id) as path:
        for name, content in files.items():
            (path / name).write_bytes(content)
    return layer.id


def contents(storage, layer):
    with storage.layers.mount(layer, read_only=True) as path:
        return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in path.iterdir()}


def free(path):
    os.sync()
    found = os.statvfs(path)
    return found.f_bfree * found.f_frsize


def test_equal_files_share_their_blocks_and_stay_what_they_are(storage, xfs):
    other = LARGE[:-1] + bytes([LARGE[-1] ^ 1])
    first = written(storage, a=LARGE, small=b"x" * 5000, empty=b"")
    second = written(storage, b=LARGE, c=other, small=b"x" * 5000, empty=b"")
    before = contents(storage, first), contents(storage, second)
    room = free(xfs)
    shared = storage.dedup()
    assert shared == len(LARGE) + 5000
    assert free(xfs) - room > len(LARGE) - (1 << 20)
    assert (contents(storage, first), contents(storage, second)) == before
    assert storage.dedup() == shared, "what is shared counts each time"
    assert not storage.check().findings


def test_writing_to_one_leaves_the_other(storage):
    first, second = written(storage, a=LARGE), written(storage, a=LARGE)
    assert storage.dedup() == len(LARGE)
    with storage.layers.mount(first) as path, (path / "a").open("r+b") as file:
        file.write(b"changed")
    assert contents(storage, first)["a"][0][:7] == b"changed"
    assert contents(storage, second)["a"][0] == LARGE


def test_names_of_one_file_are_not_shared_with_each_other(storage):
    layer = storage.layers.create()
    with storage.layers.mount(layer.id) as path:
        (path / "a").write_bytes(b"x" * 9000)
        os.link(path / "a", path / "b")
        os.symlink("a", path / "c")
        os.mkfifo(path / "pipe")
    assert storage.dedup() == 0
    written(storage, d=b"x" * 9000)
    assert storage.dedup() == 9000


def test_while_a_layer_is_mounted(storage):
    first = storage.layers.create()
    second = written(storage, b=b"x" * 9000)
    with storage.layers.mount(first.id) as path, (path / "a").open("w+b") as file:
        file.write(b"x" * 9000)
        file.flush()
        assert storage.dedup() == 9000
        file.seek(0)
        file.write(b"y")
    assert contents(storage, first.id)["a"][0] == b"y" + b"x" * 8999
    assert contents(storage, second)["b"][0] == b"x" * 9000


def test_whole_copies_of_layers_that_were_put(xfs, tmp_path):
    """Without reflinks when they were made: two tars of one content, unpacked."""
    with Storage.open(Places(xfs / "put", tmp_path / "run"), driver="vfs") as storage:
        for prefix in ("one", "two"):
            layer = put(storage, member(prefix, b"x" * 9000))
            with storage.layers.mount(storage.layers.create(layer.id).id):
                pass
        assert storage.dedup() == 9000


def test_a_file_that_goes_meanwhile_is_left_out(storage, monkeypatch):
    for name in ("a", "b", "c"):
        written(storage, **{name: b"x" * 9000})
    opened = dedup.open_upper
    gone = []

    def open_upper(directory, path, **options):
        if path == b"b" and not gone:
            gone.append(os.unlink(path, dir_fd=directory))
        return opened(directory, path, **options)

    monkeypatch.setattr(dedup, "open_upper", open_upper)
    assert storage.dedup() == 9000
    assert gone


def test_the_first_of_equal_files_goes(storage, monkeypatch):
    """The others share their blocks with the next one."""
    layers = [written(storage, **{name: b"x" * 9000}) for name in "abcd"]
    opened, tries = dedup.open_upper, []

    def open_upper(directory, path, **options):
        tries.append(path)
        if tries.count(path) == 2 and len(tries) == 3:
            os.unlink(path, dir_fd=directory)
        return opened(directory, path, **options)

    monkeypatch.setattr(dedup, "open_upper", open_upper)
    assert storage.dedup() == 2 * 9000
    assert sorted(map(len, (contents(storage, layer) for layer in layers))) == [0, 1, 1, 1]


def test_a_file_that_becomes_shorter_meanwhile(storage, monkeypatch):
    """The kernel refuses it with EINVAL, as it refuses what no filesystem can: others go on."""
    for name in ("a", "b", "c"):
        written(storage, **{name: b"x" * 90_000})
    share, cut = dedup.share_range, []

    def share_range(source, target, **options):
        if not cut:
            cut.append(os.truncate(f"/proc/self/fd/{target}", 100))
        return share(source, target, **options)

    monkeypatch.setattr(dedup, "share_range", share_range)
    assert storage.dedup() == 90_000


def test_times_of_access_stay(storage):
    layers = [written(storage, **{name: b"x" * 9000}) for name in ("a", "b")]
    long_ago = (10**18, 10**18)
    for layer, name in zip(layers, ("a", "b"), strict=True):
        with storage.layers.mount(layer) as path:
            os.utime(path / name, ns=long_ago)
    assert storage.dedup() == 9000
    for directory in storage.places.root.glob("layers/*/*"):
        for each in directory.glob("[ab]"):
            assert each.stat().st_atime_ns == 10**18


def test_holes_are_neither_read_nor_counted(storage):
    """Two files of 8 EiB would be read until the end of days."""
    for name in ("a", "b"):
        layer = storage.layers.create()
        with storage.layers.mount(layer.id) as path:
            with (path / name).open("wb") as file:
                file.write(b"x" * 9000)
                file.truncate(2**62)
            with (path / "hole").open("wb") as file:
                file.truncate(2**61)
    assert storage.dedup() <= 1 << 16


def test_what_is_mounted_in_a_layer_is_left_alone(xfs, tmp_path):
    """Not even where it is the same filesystem: it is not the store's."""
    outside = xfs / "outside"
    outside.mkdir()
    for name in ("a", "b"):
        (outside / name).write_bytes(b"x" * 9000)
    with Storage.open(Places(xfs / "over", tmp_path / "run"), driver="vfs") as storage:
        layer = storage.layers.create()
        with storage.layers.mount(layer.id) as path:
            for name in ("proc", "bind"):
                (path / name).mkdir()
            (path / "c").write_bytes(b"x" * 9000)
            subprocess.run(["mount", "-t", "proc", "proc", path / "proc"], check=True)
            subprocess.run(["mount", "--bind", outside, path / "bind"], check=True)
            try:
                assert storage.dedup() == 0
            finally:
                subprocess.run(["umount", path / "proc", path / "bind"], check=True)


def test_what_nobody_but_root_reads_is_left_out():
    code = """
from pathlib import Path
from orlop.storage.places import Places
from orlop.storage.storage import Storage
here = Path.cwd()
with Storage.open(Places(here / "store", here / "run"), driver="vfs") as storage:
    for name in "abc":
        layer = storage.layers.create()
        with storage.layers.mount(layer.id) as path:
            (path / name).write_bytes(b"x" * 9000)
            if name == "b":
                (path / name).chmod(0)
    print(storage.dedup())
"""
    with unprivileged_place() as place, disks.xfs(place) as home:
        done = run_as_nobody(["-c", code], home, cwd=home)
    assert (done.stdout, done.returncode) == ("9000\n", 0), done.stderr


def test_a_store_that_is_only_read(xfs, tmp_path):
    places = Places(xfs / "read", tmp_path / "run")
    with Storage.open(places, driver="vfs") as storage:
        written(storage, a=b"x" * 9000)
        written(storage, b=b"x" * 9000)
    with (
        Storage.open(places, driver="vfs", read_only=True) as storage,
        pytest.raises(OSError, match="Read-only"),
    ):
        storage.dedup()


def test_the_commands(xfs, tmp_path):
    root, run = xfs / "commands", tmp_path / "run"
    with orlop.open_store(root, run) as store:
        for name in ("a", "b"):
            layer = store.layers.create()
            with store.layers.mount(layer.id) as path:
                (path / name).write_bytes(b"x" * (2 << 20))
        assert store.dedup() == 2 << 20

    def said(name, *words):
        command = [Path(sys.executable).with_name(name), *words]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    assert said("orlop", "--root", root, "--run", run, "dedup") == "2.0 MiB are shared\n"
    ours = ["orlop-storage", "-g", root, "-R", run, "dedup"]
    for method in ("size", "crc", "sha256"):
        assert said(*ours, "--hash-method", method) == f"Deduplicated {2 << 20} bytes\n"
    assert json.loads(said(*ours, "-j")) == {"Deduped": 2 << 20}


def test_a_filesystem_that_cannot(tmp_path):
    """ext4, tmpfs."""
    with disks.mounted(tmp_path, "tmpfs", "none") as memory:
        with Storage.open(Places(memory / "root", tmp_path / "run"), driver="vfs") as storage:
            written(storage, a=b"x" * 9000)
            assert storage.dedup() == 0
            written(storage, b=b"x" * 9000)
            with pytest.raises(UnsupportedError, match="cannot let files share blocks"):
                storage.dedup()
        first, second = memory / "1", memory / "2"
        for each in (first, second):
            each.write_bytes(b"x")
        with (
            first.open("rb") as source,
            second.open("rb") as target,
            pytest.raises(CannotShareError),
        ):
            share_range(source.fileno(), target.fileno(), offset=0, size=1)


def test_files_that_differ_stay_two(xfs):
    first, second = xfs / "1", xfs / "2"
    first.write_bytes(b"x" * 9000)
    second.write_bytes(b"x" * 8999 + b"y")
    with first.open("rb") as source, second.open("rb") as target:
        assert share_range(source.fileno(), target.fileno(), offset=0, size=9000) == 0
        assert share_range(source.fileno(), target.fileno(), offset=0, size=12000) == 0
    assert second.read_bytes() == b"x" * 8999 + b"y"
