"""What the directory driver does beyond the contract: durably, among processes, and when killed."""

import errno
import os
import resource
import stat
import subprocess
import sys
import threading

import pytest

from orlop.digest import Digest
from orlop.errors import AlreadyExistsError, NotFoundError, UnsafePathError
from orlop.layout import (
    DirectoryDriver,
    InitOptions,
    delete_blob,
    init,
    new_blob_writer,
    put_manifest_descriptor_to_index,
    read_blob,
    read_image_layout,
    read_index,
    sharing,
    stat_blob,
    update_index,
    write_blob,
)
from orlop.layout.driver import blob_path
from orlop.spec import REF_NAME
from orlop.testing.layout import DIGEST, HELLO, manifest


@pytest.fixture
def driver(tmp_path):
    found = DirectoryDriver(tmp_path / "layout")
    init(found)
    return found


@pytest.fixture
def root(tmp_path):
    return tmp_path / "layout"


def tree(root):
    return {
        str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode) for path in root.rglob("*")
    }


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_tree_and_its_modes_whatever_the_umask(tmp_path, umask):
    driver = DirectoryDriver(tmp_path / "a" / "layout")
    before = os.umask(umask)
    try:
        init(driver)
        digest = write_blob(driver, HELLO, "sha512")
    finally:
        os.umask(before)
    assert tree(tmp_path / "a" / "layout") == {
        "oci-layout": 0o444,
        "index.json": 0o644,
        "blobs": 0o755,
        "blobs/sha256": 0o755,
        "blobs/sha512": 0o755,
        blob_path(digest): 0o444,
    }


def test_init_in_an_empty_directory(tmp_path):
    init(DirectoryDriver(str(tmp_path)))
    assert read_index(DirectoryDriver(tmp_path)).manifests == ()


@pytest.mark.parametrize("name", ["file", ".hidden", "index.json", "blobs/sha256/x", "empty/"])
def test_init_leaves_a_directory_alone_that_is_not_empty(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if name.endswith("/") else path.write_text("mine")
    with pytest.raises(AlreadyExistsError, match="not empty") as caught:
        init(DirectoryDriver(tmp_path))
    assert caught.value.hint
    assert sorted(tree(tmp_path)) == sorted({name.split("/")[0], *_parents(name)})


def _parents(name):
    parts = name.rstrip("/").split("/")
    return {"/".join(parts[: count + 1]) for count in range(len(parts))}


@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_init_where_something_else_is(tmp_path, kind):
    path = tmp_path / "layout"
    path.write_text("mine") if kind == "file" else path.symlink_to("nowhere")
    with pytest.raises(AlreadyExistsError, match="no directory"):
        init(DirectoryDriver(path))
    assert path.is_symlink() or path.read_text() == "mine"


def test_init_where_nothing_can_be_made():
    with pytest.raises(OSError, match="proc") as caught:
        init(DirectoryDriver("/proc/nothing/layout"))
    assert caught.value.errno == errno.ENOENT


def test_init_goes_on_where_one_was_killed(tmp_path):
    (tmp_path / "blobs" / "sha256").mkdir(parents=True)
    (tmp_path / "oci-layout").write_text("{")
    (tmp_path / ".orlop-0123").write_text("{")
    driver = DirectoryDriver(tmp_path)
    init(driver)
    assert read_image_layout(driver).version == "1.0.0"


def test_one_of_many_makes_the_layout(tmp_path):
    results = []

    def make():
        driver = DirectoryDriver(tmp_path / "layout")
        try:
            init(driver)
            put_manifest_descriptor_to_index(driver, manifest(1, "made"))
            results.append("made")
        except AlreadyExistsError:
            results.append("exists")

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["exists"] * 7 + ["made"]
    assert len(read_index(DirectoryDriver(tmp_path / "layout")).manifests) == 1


def test_no_such_directory(tmp_path):
    driver = DirectoryDriver(tmp_path / "layout")
    for use in (
        lambda: write_blob(driver, HELLO),
        lambda: read_blob(driver, DIGEST),
        lambda: delete_blob(driver, DIGEST) or driver.remove("x"),
        lambda: list(driver.paths()),
        driver.unfinished,
        lambda: driver.lock().__enter__(),
        lambda: driver.sharing().__enter__(),
    ):
        with pytest.raises(NotFoundError, match="layout"):
            use()


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256", blob_path(DIGEST)])
def test_links_are_not_followed(driver, root, tmp_path, name):
    write_blob(driver, HELLO)
    (root / name).rename(tmp_path / "elsewhere")
    (root / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePathError, match="symbolic link"):
        read_blob(driver, DIGEST)
    if name == blob_path(DIGEST):
        write_blob(driver, HELLO)
        assert read_blob(driver, DIGEST) == HELLO
        assert (tmp_path / "elsewhere").read_bytes() == HELLO
    else:
        with pytest.raises(UnsafePathError, match=f"{name.rpartition('/')[2]} is no directory"):
            write_blob(driver, HELLO)
    assert driver.unfinished() == []


def test_a_directory_that_cannot_be_made(driver, root):
    (root / "blobs" / "sha512").write_text("in the way")
    with pytest.raises(UnsafePathError, match="sha512 is no directory"):
        write_blob(driver, HELLO, "sha512")
    assert driver.unfinished() == []


def test_a_full_disk_leaves_nothing(driver, root):
    """The limit of the process to the size of a file stands for a disk without room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="orlop-") as caught:
            write_blob(driver, bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename.startswith(str(root))
    assert sorted(os.listdir(root)) == ["blobs", "index.json", "oci-layout"]
    assert os.listdir(root / "blobs" / "sha256") == []


def test_a_failed_sync_condemns_the_file(driver, root, monkeypatch):
    put_manifest_descriptor_to_index(driver, manifest(1, "kept"))

    def fail(fd):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            write_blob(driver, HELLO)
        with pytest.raises(OSError, match="Input/output"):
            put_manifest_descriptor_to_index(driver, manifest(2, "lost"))
    assert stat_blob(driver, DIGEST) is None
    assert read_index(driver).manifests == (manifest(1, "kept"),)
    assert driver.unfinished() == []


def test_durable_before_named_and_the_name_after(driver, root, monkeypatch):
    done = []

    def record(name):
        real = getattr(os, name)

        def call(first, *rest, **more):
            path = os.readlink(f"/proc/self/fd/{first}") if isinstance(first, int) else first
            done.append((name, os.path.basename(path)[:7]))
            return real(first, *rest, **more)

        monkeypatch.setattr(os, name, call)

    record("fsync")
    record("rename")
    write_blob(driver, HELLO)
    assert done == [("fsync", ".orlop-"), ("rename", ".orlop-"), ("fsync", "sha256")]


def test_what_exists_is_replaced_and_so_healed(driver, root):
    path = root / blob_path(write_blob(driver, HELLO))
    os.truncate(path, 3)
    write_blob(driver, HELLO)
    assert read_blob(driver, DIGEST) == HELLO


def test_unfinished_files_are_told_from_those_being_written(driver, root):
    (root / ".orlop-dead").write_text("left by one that was killed")
    with new_blob_writer(driver) as writer:
        writer.write(HELLO)
        alive = set(driver.unfinished()) - {".orlop-dead"}
        assert len(alive) == 1
        assert [driver.discard(path) for path in (".orlop-dead", *alive)] == [True, False]
        assert driver.discard(".orlop-dead") is False
        writer.commit()
    assert driver.unfinished() == []
    for path in ("index.json", ".orlop-x/../index.json", "oci-layout"):
        with pytest.raises(ValueError, match="unfinished"):
            driver.discard(path)


def test_writing_while_a_collector_removes_what_is_unlocked(driver, root):
    """A collector may come between a file's making and its locking; the writer begins again."""
    stop = threading.Event()

    def collect():
        while not stop.is_set():
            for path in driver.unfinished():
                driver.discard(path)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        digests = [write_blob(driver, b"%d" % number) for number in range(200)]
    finally:
        stop.set()
        thread.join()
    assert all(stat_blob(driver, digest) for digest in digests)


def test_paths_are_bytewise_and_name_what_is_no_file(driver, root):
    (root / "blobs.txt").write_text("")
    (root / "blobs" / "link").symlink_to("nowhere")
    os.mkfifo(root / "blobs" / "sha256" / "fifo")
    assert list(driver.paths()) == [
        "blobs.txt", "blobs/link", "blobs/sha256/fifo", "index.json", "oci-layout",
    ]  # fmt: skip
    with pytest.raises(UnsafePathError, match="regular"):
        driver.reader("blobs/sha256/fifo")


def test_nothing_is_written_where_nothing_changes(driver, root):
    before = (root / "index.json").stat()
    update_index(driver, lambda index: index)
    assert (root / "index.json").stat().st_ino == before.st_ino


def test_sharing_works_on_a_layout_without_blobs(tmp_path):
    driver = DirectoryDriver(tmp_path / "layout")
    init(driver, InitOptions(skip_index=True))
    (tmp_path / "layout" / "blobs" / "sha256").rmdir()
    (tmp_path / "layout" / "blobs").rmdir()
    with sharing(driver):
        assert read_blob(driver, write_blob(driver, HELLO)) == HELLO


def run(script, *arguments):
    """Run a script that forks its workers, so that Python starts once."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    subprocess.run(command, check=True, timeout=60)


PUT_AT_ONCE = """
import os, sys
from orlop.layout import DirectoryDriver, put_manifest_descriptor_to_index
from orlop.testing.layout import manifest

gate, opener = os.pipe()
for number in range(50):
    if os.fork() == 0:
        os.close(opener)
        os.read(gate, 1)
        driver = DirectoryDriver(sys.argv[1])
        for at in range(20):
            put_manifest_descriptor_to_index(driver, manifest(number, f"{number}-{at}"))
        os._exit(0)
os.close(opener)
codes = [os.wait()[1] for _ in range(50)]
sys.exit(any(codes))
"""


def test_fifty_processes_lose_no_tag(driver):
    run(PUT_AT_ONCE, driver.path)
    names = [found.annotations[REF_NAME] for found in read_index(driver).manifests]
    assert len(names) == 1000
    assert set(names) == {f"{number}-{at}" for number in range(50) for at in range(20)}
    assert driver.unfinished() == []


KILL_WRITERS = """
import itertools, os, random, signal, sys, time
from dataclasses import replace
from orlop.layout import DirectoryDriver, init, put_manifest_descriptor_to_index, write_json_blob

driver = DirectoryDriver(sys.argv[1])
for round in range(40):
    child = os.fork()
    if child == 0:
        if round == 0:
            init(driver)
        for at in itertools.count():
            blob = write_json_blob(driver, {"at": at, "by": round, "x": "x" * 10000}, "a/b")
            name = {"org.opencontainers.image.ref.name": f"{round}-{at % 5}"}
            put_manifest_descriptor_to_index(driver, replace(blob, annotations=name))
    time.sleep(0.3 if round == 0 else random.uniform(0.001, 0.04))
    os.kill(child, signal.SIGKILL)
    os.wait()
    print(round, flush=True)
"""


def test_writers_that_are_killed_leave_a_valid_layout(tmp_path):
    driver = DirectoryDriver(tmp_path / "layout")
    run(KILL_WRITERS, driver.path)
    assert read_image_layout(driver).version == "1.0.0"
    manifests = read_index(driver).manifests
    assert len(manifests) >= 5
    for found in manifests:
        assert len(read_blob(driver, found.digest)) == found.size
    for path in driver.paths("blobs/"):
        digest = Digest(path.removeprefix("blobs/").replace("/", ":"))
        assert read_blob(driver, digest)
    assert all(driver.discard(path) for path in driver.unfinished())
    put_manifest_descriptor_to_index(driver, manifest(1, "after"))
