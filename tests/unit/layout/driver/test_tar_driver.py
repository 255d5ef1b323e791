"""What comes into the stream of a tar, and what never does."""

import os
import tarfile
import threading
import tracemalloc

import pytest

from orlop.digest import Digest
from orlop.errors import (
    AlreadyExistsError,
    DigestMismatchError,
    SizeMismatchError,
    UnsupportedError,
)
from orlop.layout import (
    ArchiveReader,
    InitOptions,
    TarDriver,
    init,
    new_blob_writer,
    read_blob,
    read_index,
    write_blob,
    write_image_layout,
    write_index,
)
from orlop.layout.driver import blob_path
from orlop.spec import ImageLayout, Index
from orlop.testing.layout import DIGEST, HELLO, manifest


@pytest.fixture
def tar(tmp_path):
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        yield archive


@pytest.fixture
def driver(tar, tmp_path):
    found = TarDriver(tar, spool=tmp_path)
    init(found, InitOptions(skip_index=True))
    return found


def members(tar):
    tar.close()
    with tarfile.open(tar.name) as archive:
        return {member.name: member for member in archive.getmembers()}, archive.getnames()


def test_the_members_and_their_order(driver, tar):
    write_blob(driver, HELLO)
    write_blob(driver, HELLO, "sha512")
    write_blob(driver, b"x", "sha512")
    write_index(driver, Index(manifests=()))
    found, names = members(tar)
    sha512 = [blob_path(Digest.of(data, "sha512")) for data in (HELLO, b"x")]
    assert names == [
        "blobs", "blobs/sha256", "oci-layout", blob_path(DIGEST), "blobs/sha512", *sha512,
        "index.json",
    ]  # fmt: skip
    assert {member.mtime for member in found.values()} == {0}
    assert {(member.uid, member.gid, member.uname) for member in found.values()} == {(0, 0, "")}
    assert (found["blobs"].mode, found["blobs"].isdir()) == (0o755, True)


def test_nothing_of_a_failed_blob_comes_into_the_stream(driver, tar):
    before = tar.offset
    for size, digest, error in (
        (3, None, SizeMismatchError),
        (0, None, SizeMismatchError),
        (None, Digest.of(b"other"), DigestMismatchError),
    ):
        with new_blob_writer(driver) as writer:
            writer.write(HELLO)
            with pytest.raises(error):
                writer.commit(size, digest)
    with new_blob_writer(driver, "sha512") as writer:
        writer.write(HELLO)
    assert tar.offset == before
    assert members(tar)[1] == ["blobs", "blobs/sha256", "oci-layout"]


def test_a_member_comes_once(driver, tar):
    writer = driver.writer("index.json", 0o644)
    writer.write(b"{}")
    writer.commit()
    writer.close()
    writer.close()
    with pytest.raises(UnsupportedError, match=r"index\.json"):
        write_index(driver, Index(manifests=()))
    with pytest.raises(UnsupportedError, match="oci-layout"):
        write_image_layout(driver, ImageLayout())
    for _ in range(2):
        write_blob(driver, HELLO)
    names = members(tar)[1]
    assert len(names) == len(set(names)) == 5


def test_init_twice(driver):
    with pytest.raises(AlreadyExistsError):
        init(driver)


def test_a_layout_without_init_has_its_directories(tar, tmp_path):
    driver = TarDriver(tar, mtime=7, spool=tmp_path)
    write_blob(driver, HELLO, "sha512")
    found, names = members(tar)
    assert names[:2] == ["blobs", "blobs/sha512"]
    assert {member.mtime for member in found.values()} == {7}


def test_a_large_blob_is_not_in_memory(driver, tar, tmp_path):
    piece = bytes(1 << 20)
    tracemalloc.start()
    try:
        with new_blob_writer(driver) as writer:
            for _ in range(48):
                writer.write(piece)
            digest = writer.commit(48 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert members(tar)[0][blob_path(digest)].size == 48 << 20
    assert os.listdir(tmp_path) == ["image.tar"]


def test_a_stream_that_cannot_seek(tmp_path):
    path = tmp_path / "image.tar"
    reading, writing = os.pipe()
    with open(reading, "rb") as source, open(path, "wb") as target:
        copying = threading.Thread(target=lambda: target.write(source.read()))
        copying.start()
        with open(writing, "wb") as sink, tarfile.open(fileobj=sink, mode="w|") as tar:
            driver = TarDriver(tar, spool=tmp_path)
            init(driver, InitOptions(skip_index=True))
            write_blob(driver, HELLO)
            write_index(driver, Index(manifests=(manifest(1),)))
        copying.join()
    with ArchiveReader(path) as reader:
        assert read_blob(reader, DIGEST) == HELLO
        assert read_index(reader).manifests == (manifest(1),)


class FullTar:
    """A tar whose disk is full after some members."""

    def __init__(self, room):
        self.room = room
        self.names = []

    def addfile(self, tarinfo, fileobj=None):
        if len(self.names) >= self.room:
            raise OSError(28, "No space left on device")
        self.names.append(tarinfo.name)


def test_nothing_follows_a_member_that_was_cut(tmp_path):
    tar = FullTar(room=3)
    driver = TarDriver(tar, spool=tmp_path)
    init(driver, InitOptions(skip_index=True))
    with pytest.raises(OSError, match="No space"):
        write_blob(driver, HELLO)
    tar.room = 10
    for use in (
        lambda: write_blob(driver, HELLO),
        lambda: write_index(driver, Index(manifests=())),
    ):
        with pytest.raises(OSError, match="No space"):
            use()
    assert tar.names == ["blobs", "blobs/sha256", "oci-layout"]


def test_any_tar_writer_will_do():
    """The caller's own writer gets headers with sizes, and files to read them from."""
    got = {}

    class Own:
        def addfile(self, tarinfo, fileobj=None):
            got[tarinfo.name] = fileobj.read(tarinfo.size) if fileobj else None

    driver = TarDriver(Own())
    write_blob(driver, HELLO)
    assert got == {"blobs": None, "blobs/sha256": None, blob_path(DIGEST): HELLO}
