"""Images unpacked: into which directories, one layer or all, and what failures leave."""

import errno
import json
import os
import shutil
import stat
import threading
import time
from itertools import pairwise

import pytest

from orlop.errors import AlreadyExistsError, InvalidDocumentError, NotFoundError, UnsupportedError
from orlop.unpack import unpacker
from support.bundles import Bundle, listing, open_store
from support.hostile import HARMLESS
from support.images import (
    ImageBuilder,
    directory,
    fifo,
    file,
    hardlink,
    opaque,
    symlink,
    whiteout,
)
from support.views import differences, view


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as store:
        yield store


@pytest.fixture
def image(store, tmp_path):
    builder = ImageBuilder()
    builder.layer(
        directory("etc", mode=0o751, mtime=1000), file("etc/motd", b"hi\n", mtime=5),
        file("etc/old", b"o"), directory("opt"), file("opt/a", b"a"), file("opt/b", b"b"),
        file("one", b"1"), fifo("pipe", mode=0o620), directory("tmp", mode=0o1777),
    )  # fmt: skip
    builder.layer(
        whiteout("etc/old"), file("etc/new", b"n" * 70_000), directory("opt"), opaque("opt"),
        file("opt/c", b"c"), hardlink("two", "one"), symlink("link", "/etc/passwd"),
    )  # fmt: skip
    return store.pull(builder.write(tmp_path / "layout").source, tag="base")


@pytest.mark.parametrize(
    ("way", "directories"), [({}, 1), ({"stacked": True}, 2), ({"layer": 1}, 1)]
)
def test_progress_tells_of_all_inodes(image, tmp_path, way, directories):
    steps = []
    unpacked = image.unpack(tmp_path / "b", **way, progress=steps.append)
    assert {each.directories for each in steps} == {directories}
    last = {each.directory: each for each in steps}
    assert [*last] == [*range(directories)]
    assert sum(each.done for each in last.values()) == unpacked.inodes
    assert all(each.done == each.total for each in last.values())
    assert all(a.done <= b.done for a, b in pairwise(steps) if a.directory == b.directory)


def test_what_progress_raises_stops_the_work_and_leaves_nothing(image, tmp_path):
    def stop(_):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        image.unpack(tmp_path / "b", progress=stop)
    assert not (tmp_path / "b").exists()


def test_the_merged_tree(image, tmp_path):
    unpacked = image.unpack(tmp_path / "b")
    rootfs = tmp_path / "b/rootfs"
    assert unpacked.directories == (rootfs,)
    assert (unpacked.inodes, unpacked.links) == (9, 1)
    assert sorted(os.listdir(rootfs / "etc")) == ["motd", "new"]
    assert os.listdir(rootfs / "opt") == ["c"]
    assert (rootfs / "etc").stat().st_mtime_ns == 1000 * 10**9
    assert stat.S_IMODE((rootfs / "etc").stat().st_mode) == 0o751
    assert stat.S_IMODE((rootfs / "tmp").stat().st_mode) == 0o1777
    assert (rootfs / "one").samefile(rootfs / "two")
    assert os.readlink(rootfs / "link") == "/etc/passwd"
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o700
    assert sorted(os.listdir(tmp_path / "b")) == ["orlop.json", "orlop.tree", "rootfs"]


def test_twice_the_same(image, tmp_path):
    for name in ("first", "second"):
        image.unpack(tmp_path / name)
    assert not differences(view(tmp_path / "first/rootfs"), view(tmp_path / "second/rootfs"))


@pytest.mark.parametrize("which", [0, "0", "diff_id", "digest"])
def test_one_layer(image, tmp_path, which):
    named = {"diff_id": image.config.diff_ids[0], "digest": image.manifest.layers[0].digest}
    unpacked = image.unpack(tmp_path / "b", layer=named.get(which, which))
    assert unpacked.form == "layer"
    assert sorted(os.listdir(tmp_path / "b/rootfs/etc")) == ["motd", "old"]


def test_a_layer_has_its_whiteouts_as_files(image, tmp_path):
    """A link to what only the layers below have is a copy of it."""
    image.unpack(tmp_path / "b", layer=1)
    rootfs = tmp_path / "b/rootfs"
    assert sorted(os.listdir(rootfs)) == ["etc", "link", "opt", "two"]
    assert sorted(os.listdir(rootfs / "etc")) == [".wh.old", "new"]
    assert sorted(os.listdir(rootfs / "opt")) == [".wh..wh..opq", "c"]
    assert (rootfs / "etc/.wh.old").stat().st_size == 0
    assert (rootfs / "two").read_bytes() == b"1"


@pytest.mark.parametrize("which", [2, -1, "7", "sha256:" + "0" * 64, "nonsense", ""])
def test_no_such_layer(image, tmp_path, which):
    with pytest.raises(NotFoundError, match="no layer"):
        image.unpack(tmp_path / "b", layer=which)
    assert not (tmp_path / "b").exists()


def test_a_layer_and_all_of_them(image, tmp_path):
    with pytest.raises(ValueError, match="exclude"):
        image.unpack(tmp_path / "b", layer=0, stacked=True)


@pytest.mark.parametrize("options", [{"layer": 0}, {"stacked": True}])
def test_layers_are_not_repacked(image, store, tmp_path, options):
    image.unpack(tmp_path / "b", **options)
    with pytest.raises(UnsupportedError, match="one by one"):
        store.repack(tmp_path / "b", "x")


def test_an_image_without_layers(store, tmp_path):
    bundle = Bundle(store, ImageBuilder().write(tmp_path / "layout").source, tmp_path / "b")
    assert os.listdir(bundle.rootfs) == []
    assert bundle.repack().layer is None
    (bundle.rootfs / "new").write_bytes(b"n")
    assert ("Put", "new") in bundle.layer(bundle.repack())


def test_an_empty_directory_will_do(image, tmp_path):
    (tmp_path / "b").mkdir()
    image.unpack(tmp_path / "b")
    assert (tmp_path / "b/rootfs/etc/motd").exists()


@pytest.mark.parametrize("name", ["rootfs", ".hidden", "orlop.json"])
def test_a_directory_that_is_not_empty(image, tmp_path, name):
    (tmp_path / "b").mkdir(mode=0o755)
    (tmp_path / "b" / name).write_text("mine")
    before = listing(tmp_path / "b")
    with pytest.raises(AlreadyExistsError, match="is not empty"):
        image.unpack(tmp_path / "b")
    assert listing(tmp_path / "b") == before
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o755


def test_what_is_no_directory(image, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"mine")
    start = time.monotonic()
    for name in ("fifo", "file", "/dev/null", "file/below"):
        with pytest.raises(NotADirectoryError):
            image.unpack(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        image.unpack(tmp_path / "nothing/below")
    assert time.monotonic() - start < 5
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_failure_leaves_nothing(image, tmp_path, monkeypatch):
    def fails(*arguments, **options):
        unpacker_write(*arguments, **options)
        raise OSError(errno.ENOSPC, "No space left on device", "etc/motd")

    unpacker_write = unpacker.write_tree
    monkeypatch.setattr(unpacker, "write_tree", fails)
    (tmp_path / "there").mkdir(mode=0o755)
    for name in ("there", "new"):
        with pytest.raises(OSError, match="No space left"):
            image.unpack(tmp_path / name)
    assert os.listdir(tmp_path / "there") == []
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == 0o755
    assert not (tmp_path / "new").exists()


def test_what_was_not_finished_is_told(image, store, tmp_path, monkeypatch):
    """As after a process that was killed: it removes nothing."""
    monkeypatch.setattr(unpacker.Target, "_remove", lambda _: None)
    monkeypatch.setattr(unpacker, "read_stats", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        image.unpack(tmp_path / "b")
    with pytest.raises(AlreadyExistsError, match="never finished"):
        image.unpack(tmp_path / "b")
    with pytest.raises(InvalidDocumentError, match="not unpacked to the end"):
        store.repack(tmp_path / "b", "x")


def test_a_process_that_is_killed(store, tmp_path):
    from support.stores import StoreUnderTest

    many = [file(f"{number}", b"x" * 5000) for number in range(5000)]
    store.pull(ImageBuilder().layer(*many).write(tmp_path / "many").source, tag="many")
    box = StoreUnderTest(tmp_path)
    process = box.start("unpack", "many", tmp_path / "b")
    mark = tmp_path / "b/orlop.unfinished"
    while not mark.exists():
        assert process.poll() is None
    process.kill()
    process.communicate()
    box.orlop("unpack", "many", tmp_path / "b").check_failure(1, "never finished")
    box.orlop("repack", tmp_path / "b", "--tag", "x").check_failure(1, "not unpacked to the end")
    shutil.rmtree(tmp_path / "b")
    assert box.orlop("unpack", "many", tmp_path / "b").code == 0


def test_two_at_once(image, tmp_path):
    """One of them writes; the others say that somebody does."""
    outcomes = []

    def unpack():
        try:
            image.unpack(tmp_path / "b")
        except (AlreadyExistsError, FileNotFoundError) as error:
            outcomes.append(error)
        else:
            outcomes.append(None)

    threads = [threading.Thread(target=unpack) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(None) == 1
    assert (tmp_path / "b/rootfs/one").read_bytes() == b"1"
    assert not (tmp_path / "b/orlop.unfinished").exists()


def test_an_attribute_of_another_system_is_no_change(store, tmp_path):
    """It can be set nowhere; the image has it still when the rest of the file was changed."""
    apple = {"SCHILY.xattr.com.apple.quarantine": "q"}
    builder = ImageBuilder().layer(file("a", b"a", mtime=9, pax_headers=apple))
    bundle = Bundle(store, builder.write(tmp_path / "l").source, tmp_path / "b")
    assert [each.what for each in bundle.unpacked.dropped] == ["xattr com.apple.quarantine"]
    assert bundle.repack(hash=True).layer is None
    (bundle.rootfs / "a").chmod(0o600)
    bundle.repack()
    tree = store.storage.chains.tree(store.image("changed")._stack)
    assert dict(tree.children[b"a"].xattrs) == {b"com.apple.quarantine": b"q"}


def test_the_directory_is_removed_meanwhile(image, tmp_path, monkeypatch):
    made = unpacker.Target.make

    def late(self, name):
        (tmp_path / "b/orlop.unfinished").unlink()
        (tmp_path / "b").rmdir()
        return made(self, name)

    monkeypatch.setattr(unpacker.Target, "make", late)
    with pytest.raises(FileNotFoundError):
        image.unpack(tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("options", [{}, {"layer": 1}, {"stacked": True}])
def test_nothing_outside_is_touched(store, tmp_path, name, options):
    """Whatever a layer names: the machine around the directory stays as it is, to the inode."""
    data, inside = HARMLESS[name]
    builder = ImageBuilder()
    builder.layer(directory("d"), file("d/x", b"x")).raw_layer(data)
    image = store.pull(builder.write(tmp_path / "layout").source, tag="hostile")
    around = tmp_path / "around"
    (around / "etc").mkdir(parents=True)
    (around / "etc/x").write_bytes(b"mine")
    (around / "b").mkdir(mode=0o700)
    before = listing(around)
    image.unpack(around / "b", **options)
    after = listing(around)
    new = {path for path in after if before.get(path) != after[path]}
    assert new
    assert all(path == "b" or path.startswith("b/") for path in new)
    assert before.keys() <= after.keys()
    for outside in ("/orlop-test-escape", "/etc/x", "/etc/.wh..wh..opq"):
        assert not os.path.lexists(outside)
    if not options:
        assert (around / "b/rootfs" / inside[1:]).is_file()


def test_the_command(store, image, tmp_path):
    from support.stores import StoreUnderTest

    box = StoreUnderTest(tmp_path)
    done = box.orlop("unpack", "base", tmp_path / "b")
    assert (done.code, done.out) == (0, f"{tmp_path}/b/rootfs\n"), done
    done = box.orlop("repack", tmp_path / "b", "--tag", "same")
    assert (done.code, done.out) == (0, f"{image.id.encoded}\n")
    assert "nothing was changed" in done.err
    (tmp_path / "b/rootfs/new").write_bytes(b"n")
    done = box.orlop(
        "repack", tmp_path / "b", "-t", "a", "--tag", "b:2", "--compress", "zstd", "--message",
        "why", "--author", "me", "--created", "2026-01-31T12:00:00Z", "--format", "json",
    )  # fmt: skip
    found = json.loads(done.out)
    assert found["names"] == ["docker.io/library/a:latest", "docker.io/library/b:2"]
    assert found["entries"] == 2
    assert store.image("a").config.created == "2026-01-31T12:00:00Z"
    done = box.orlop("unpack", "a", tmp_path / "b")
    done.check_failure(1, "is not empty")
    done = box.orlop("unpack", "nothing", tmp_path / "c", "--pull", "never")
    done.check_failure(3, "nothing")
    never = ("--pull", "never", "--platform")
    done = box.orlop("unpack", "a", tmp_path / "c", *never, "linux/s390x")
    done.check_failure(3, "and not for linux/s390x")
    assert not (tmp_path / "c").exists()
    done = box.orlop("unpack", "a", tmp_path / "c", "--layer", "9")
    done.check_failure(3, "no layer 9")
    done = box.orlop("repack", tmp_path / "b", "--tag", "a", "--created", "yesterday")
    done.check_failure(2, "is no time")
    done = box.orlop("unpack", "a", tmp_path / "s", "--stacked", "--format", "json")
    assert json.loads(done.out)["directories"] == [f"{tmp_path}/s/{at}" for at in range(3)]
    done = box.orlop("unpack", "a", tmp_path / "c", "--stacked", "--layer", "1")
    done.check_failure(2, "--stacked")


def test_the_command_pulls(tmp_path):
    from support.stores import StoreUnderTest

    layout = ImageBuilder().layer(file("a", b"a")).write(tmp_path / "layout")
    box = StoreUnderTest(tmp_path)
    done = box.orlop("unpack", layout.source, tmp_path / "b", "-q")
    assert (done.code, done.err) == (0, ""), done
    assert (tmp_path / "b/rootfs/a").read_bytes() == b"a"
