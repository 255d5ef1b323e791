"""Archives read where they lie, and edited by one at a time."""

import errno
import gzip
import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import threading

import pytest

from orlop.errors import (
    AlreadyExistsError,
    InUseError,
    InvalidArchiveError,
    NotFoundError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.layout import (
    ArchiveDriver,
    ArchiveReader,
    delete_blob,
    init,
    new_blob_writer,
    put_manifest_descriptor_to_index,
    read_blob,
    read_index,
    write_blob,
)
from orlop.layout.driver import blob_path
from orlop.layout.driver.access import open_file
from orlop.spec import REF_NAME
from orlop.testing.layout import DIGEST, HELLO, LARGE, manifest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.tar"


@pytest.fixture
def archive(path):
    """An archive with a layout of one blob and one name."""
    with ArchiveDriver(path) as driver:
        init(driver)
        write_blob(driver, HELLO)
        put_manifest_descriptor_to_index(driver, manifest(1, "one"))
    return path


def rewrite(path, change, mode="w"):
    """Write an archive again, in any order and with any members, as others do."""
    with tarfile.open(path) as old:
        members = [(member, old.extractfile(member)) for member in old.getmembers()]
        members = [(member, file and file.read()) for member, file in members]
    change(members)
    with tarfile.open(path, mode) as new:
        for member, data in members:
            new.addfile(member, io.BytesIO(data or b""))


def extra(name, kind=tarfile.REGTYPE, data=b"", **attributes):
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, len(data)
    for key, value in attributes.items():
        setattr(member, key, value)
    return member, data


def tags(path):
    with ArchiveReader(path) as reader:
        return [found.annotations[REF_NAME] for found in read_index(reader).manifests]


def test_the_same_edits_make_the_same_bytes(tmp_path):
    for name, order in (("a.tar", (HELLO, b"x", LARGE)), ("b.tar", (LARGE, HELLO, b"x"))):
        with ArchiveDriver(tmp_path / name) as driver:
            init(driver)
        for data in order:
            with ArchiveDriver(tmp_path / name) as driver:
                write_blob(driver, data)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        names = [f"{member.name}/" if member.isdir() else member.name for member in tar]
        assert names == sorted(names)
        assert {member.mtime for member in tar} == {0}
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "b.tar"]


def test_time_is_the_callers(path):
    with ArchiveDriver(path, mtime=12345) as driver:
        init(driver)
    with tarfile.open(path) as tar:
        assert {member.mtime for member in tar} == {12345}


def test_what_is_no_part_of_a_layout_stays(archive):
    long = "x" * 200 + "/" + "ü" * 100
    rewrite(
        archive,
        lambda members: members.extend(
            [
                extra("manifest.json", data=b"[]", mode=0o600),
                extra(long, data=b"long"),
                extra("link", tarfile.SYMTYPE, linkname="manifest.json"),
                extra("hard", tarfile.LNKTYPE, linkname="manifest.json"),
                extra("empty", tarfile.DIRTYPE),
            ]
        ),
    )
    with ArchiveDriver(archive) as driver:
        put_manifest_descriptor_to_index(driver, manifest(2, "two"))
        assert driver.has_directory("empty")
        for name in ("link", "hard", "manifest.json"):
            with open_file(driver, name) as reader:
                assert reader.read() == b"[]"
    with tarfile.open(archive) as tar:
        assert tar.extractfile(long).read() == b"long"
        assert tar.getmember("link").linkname == "manifest.json"
        assert tar.extractfile("hard").read() == b"[]"
        assert tar.getmember("manifest.json").mode == 0o600
        assert tar.getmember("empty").isdir()
        assert tar.extractfile(blob_path(DIGEST)).read() == HELLO
    assert tags(archive) == ["one", "two"]


def test_an_exception_gives_all_up(archive):
    before = archive.read_bytes()

    def edit():
        with ArchiveDriver(archive) as driver:
            delete_blob(driver, DIGEST)
            write_blob(driver, LARGE)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        edit()
    assert archive.read_bytes() == before
    assert os.listdir(archive.parent) == [archive.name]


def test_nothing_is_written_where_nothing_changes(archive):
    before = archive.stat()
    with ArchiveDriver(archive) as driver:
        assert read_blob(driver, DIGEST) == HELLO
    assert archive.stat().st_ino == before.st_ino


def test_durable_before_named_and_the_name_after(archive, monkeypatch):
    done = []

    def record(name):
        real = getattr(os, name)

        def call(first, *rest):
            path = os.readlink(f"/proc/self/fd/{first}") if isinstance(first, int) else first
            done.append((name, os.path.basename(path)))
            return real(first, *rest)

        monkeypatch.setattr(os, name, call)

    with ArchiveDriver(archive) as driver:
        write_blob(driver, b"x")
        record("fsync")
        record("rename")
    new, place = f".{archive.name}.orlop-new", archive.parent.name
    assert done == [("fsync", new), ("rename", new), ("fsync", place)]


def test_a_failed_sync_leaves_the_archive(archive, monkeypatch):
    before = archive.read_bytes()

    def fail(fd):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"), ArchiveDriver(archive) as driver:
        write_blob(driver, b"x")
    assert archive.read_bytes() == before
    assert os.listdir(archive.parent) == [archive.name]


def test_a_replaced_archive_keeps_its_mode(archive):
    archive.chmod(0o640)
    with ArchiveDriver(archive) as driver:
        write_blob(driver, b"x")
    assert stat.S_IMODE(archive.stat().st_mode) == 0o640


def test_a_link_to_an_archive_stays_one(archive, tmp_path):
    link = tmp_path / "link.tar"
    link.symlink_to(archive.name)
    with ArchiveDriver(link) as driver:
        write_blob(driver, b"x")
    assert link.is_symlink()
    assert tags(archive) == ["one"]


def test_after_its_end_an_editor_takes_nothing(archive):
    driver = ArchiveDriver(archive)
    writer = new_blob_writer(driver)
    driver.commit()
    with pytest.raises(ValueError, match="closed"):
        driver.commit()
    with pytest.raises(ValueError, match="closed"):
        new_blob_writer(driver)
    with writer, pytest.raises(ValueError, match="closed"):
        writer.commit()


def test_a_reader_goes_on_with_the_archive_that_it_opened(archive):
    with ArchiveReader(archive) as reader:
        with ArchiveDriver(archive) as driver:
            delete_blob(driver, DIGEST)
        assert read_blob(reader, DIGEST) == HELLO
    with ArchiveReader(archive) as reader, pytest.raises(NotFoundError):
        read_blob(reader, DIGEST)


def test_one_edits_and_the_other_waits(archive):
    with ArchiveDriver(archive) as driver:
        for timeout in (0, 0.01):
            with pytest.raises(InUseError, match="edited"):
                ArchiveDriver(archive, timeout=timeout)
        put_manifest_descriptor_to_index(driver, manifest(2, "two"))
        driver.commit()
    ArchiveDriver(archive, timeout=0).close()


@pytest.mark.parametrize("exists", [True, False])
def test_editors_lose_nothing_of_each_other(path, exists):
    if exists:
        with ArchiveDriver(path) as driver:
            init(driver)

    def edit(number):
        with ArchiveDriver(path) as driver:
            try:
                init(driver)
            except AlreadyExistsError:
                pass
            put_manifest_descriptor_to_index(driver, manifest(number, str(number)))

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tags(path), key=int) == [str(number) for number in range(12)]
    assert os.listdir(path.parent) == [path.name]


KILLED = """
import os, signal, sys
from orlop.layout import ArchiveDriver, write_blob
driver = ArchiveDriver(sys.argv[1])
write_blob(driver, b"x" * 3_000_000)
driver._new.write(driver._members.in_order())
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_editor_that_is_killed_leaves_the_archive(archive):
    before = archive.read_bytes()
    command = [sys.executable, "-c", KILLED, archive]
    found = subprocess.run(command, check=False, timeout=60)
    assert found.returncode == -signal.SIGKILL
    assert archive.read_bytes() == before
    assert len(os.listdir(archive.parent)) == 2
    with ArchiveDriver(archive, timeout=0) as driver:
        put_manifest_descriptor_to_index(driver, manifest(2, "two"))
    assert os.listdir(archive.parent) == [archive.name]
    assert tags(archive) == ["one", "two"]


def test_an_empty_file_is_a_new_archive(path):
    path.touch()
    with ArchiveDriver(path) as driver:
        init(driver)
    with ArchiveReader(path) as reader:
        assert read_index(reader).manifests == ()


def test_init_where_an_archive_is(archive):
    with ArchiveDriver(archive) as driver, pytest.raises(AlreadyExistsError):
        init(driver)
    with ArchiveReader(archive) as reader, pytest.raises(AlreadyExistsError):
        init(reader)


def test_what_cannot_be_edited(archive, tmp_path):
    compressed = tmp_path / "image.tgz"
    compressed.write_bytes(gzip.compress(archive.read_bytes()))
    with pytest.raises(UnsupportedError, match="compressed") as caught:
        ArchiveDriver(compressed)
    assert caught.value.hint
    with pytest.raises(NotFoundError, match="no such directory"):
        ArchiveDriver(tmp_path / "nowhere" / "image.tar")
    (tmp_path / "text.tar").write_text("no tar at all" * 100)
    with pytest.raises(InvalidArchiveError):
        ArchiveDriver(tmp_path / "text.tar")
    rewrite(archive, lambda members: members.append(extra("pipe", tarfile.FIFOTYPE)))
    with pytest.raises(UnsupportedError, match="pipe"):
        ArchiveDriver(archive)
    assert sorted(os.listdir(tmp_path)) == ["image.tar", "image.tgz", "text.tar"]


def test_hostile_archives(archive):
    before = archive.read_bytes()
    for bad, error in (
        (extra("../evil", data=b"x"), UnsafePathError),
        (extra("blobs/../../evil", data=b"x"), UnsafePathError),
        (extra("index.json", data=b"{}"), InvalidArchiveError),
        (extra("dangling", tarfile.LNKTYPE, linkname="nothing"), NotFoundError),
    ):
        archive.write_bytes(before)
        rewrite(archive, lambda members, bad=bad: members.append(bad))
        with pytest.raises(error):
            ArchiveDriver(archive)
    assert os.listdir(archive.parent) == [archive.name]


def test_a_file_in_the_place_of_a_directory(archive):
    rewrite(
        archive,
        lambda members: members.append(extra("blobs/sha512", tarfile.SYMTYPE, linkname="sha256")),
    )
    with ArchiveDriver(archive) as driver, pytest.raises(UnsafePathError, match="no directory"):
        write_blob(driver, HELLO, "sha512")


def test_an_archive_that_is_cut_while_it_is_edited(archive):
    with ArchiveDriver(archive) as driver:
        write_blob(driver, LARGE)
    with ArchiveDriver(archive) as driver:
        write_blob(driver, b"x")
        os.truncate(archive, 4096)
        with pytest.raises(InvalidArchiveError, match="cut"):
            driver.commit()
    assert archive.stat().st_size == 4096
    assert os.listdir(archive.parent) == [archive.name]


def test_a_compressed_archive_is_read(archive, tmp_path):
    compressed = tmp_path / "image.tgz"
    compressed.write_bytes(gzip.compress(archive.read_bytes()))
    with ArchiveReader(compressed, spool=tmp_path) as reader:
        assert read_blob(reader, DIGEST) == HELLO
        assert list(reader.paths()) == [blob_path(DIGEST), "index.json", "oci-layout"]
        assert list(reader.paths("blobs/")) == [blob_path(DIGEST)]
        assert reader.has_directory("blobs/sha256")
        assert not reader.has_directory("blobs/sha512")
        assert not reader.has_directory("index.json")
        for use in (
            lambda: write_blob(reader, HELLO),
            lambda: delete_blob(reader, DIGEST),
            lambda: reader.writer("x", 0o644),
        ):
            with pytest.raises(UnsupportedError, match="only read"):
                use()


def test_many_small_blobs_take_no_descriptor_each(path):
    with ArchiveDriver(path) as driver:
        init(driver)
        before = len(os.listdir("/proc/self/fd"))
        for number in range(50):
            write_blob(driver, b"%d" % number)
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: os.link(path.parent / "precious", path)])
def test_what_somebody_has_put_where_the_new_archive_is_written(put, tmp_path):
    (tmp_path / "precious").write_bytes(b"kept")
    put(tmp_path / ".image.tar.orlop-new")
    with pytest.raises(UnsafePathError, match=r"image\.tar\.orlop-new: is no file of its own"):
        ArchiveDriver(tmp_path / "image.tar")
    assert (tmp_path / "precious").read_bytes() == b"kept"
    assert not (tmp_path / "image.tar").exists()


def test_a_fifo_in_the_place_of_an_archive_stays(path):
    os.mkfifo(path)
    with pytest.raises(UnsafePathError, match="cannot be edited"):
        ArchiveDriver(path)
    assert os.listdir(path.parent) == [path.name]
    assert stat.S_ISFIFO(path.stat().st_mode)
