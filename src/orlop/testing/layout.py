"""The contract of every driver of image layouts, as tests that a driver inherits.

class TestMyDriver(EditableDriverContract, LockableDriverContract):
    @pytest.fixture
    def driver(self, tmp_path):
        return MyDriver(tmp_path / "layout")

`ImageDriverContract` is for any driver, `EditableDriverContract` for those that can also read,
remove and replace what they wrote; the others are for one capability each.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orlop.digest import Digest
from orlop.errors import (
    AlreadyExistsError,
    DigestMismatchError,
    InUseError,
    LimitExceededError,
    NotFoundError,
    SizeMismatchError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.layout import (
    InitOptions,
    delete_blob,
    init,
    new_blob_writer,
    open_blob,
    put_manifest_descriptor_to_index,
    read_blob,
    read_image_layout,
    read_index,
    remove_manifest_descriptor_from_index,
    stat_blob,
    write_blob,
    write_image_layout,
    write_index,
    write_json_blob,
)
from orlop.layout.driver import (
    INDEX_FILE,
    LAYOUT_FILE,
    Enumerable,
    Lockable,
    Shareable,
    blob_path,
)
from orlop.layout.driver.access import open_file, read_file, remove_file, size_of, write_file
from orlop.mediatype import OCI_MANIFEST
from orlop.spec import REF_NAME, Descriptor, ImageLayout, Index

if TYPE_CHECKING:
    from orlop.layout import BlobWriter, ImageDriver

HELLO = b"hello, hold"
DIGEST = Digest.of(HELLO)
UNKNOWN = Digest("blake3:" + "0" * 64)
LARGE = HELLO * 300_000
UNSAFE_PATHS = (
    "", "/", "/etc/passwd", "..", "../x", "blobs/../x", "blobs//x", "blobs/./x", "./x", "x/", "x\0",
    "x" * 2000,
)  # fmt: skip


def manifest(number: int, ref_name: str | None = None) -> Descriptor:
    """A descriptor of a manifest that is nowhere."""
    annotations = {} if ref_name is None else {REF_NAME: ref_name}
    return Descriptor.of(OCI_MANIFEST, b"%d" % number, annotations=annotations)


class _Contract:
    @pytest.fixture
    def driver(self) -> ImageDriver:
        """A driver of a place where nothing is yet."""
        pytest.fail("a subclass provides this fixture")

    def reading(self, driver: ImageDriver) -> ImageDriver:
        """A driver that reads what `driver` wrote, which is not used any more; itself, if it can.

        A subclass overrides this where a driver does not read, or has an end.
        """
        return driver

    def mode_of(self, driver: ImageDriver, path: str) -> int | None:  # noqa: ARG002
        """The permissions of a file, where the form has any; for a subclass to override."""
        return None


class ImageDriverContract(_Contract):
    """What every driver that writes does; a subclass provides the fixture `driver`."""

    def test_init(self, driver: ImageDriver) -> None:
        """A new layout has its version, and an index whose manifests are an empty array."""
        init(driver)
        reading = self.reading(driver)
        assert read_image_layout(reading) == ImageLayout(version="1.0.0")
        assert read_index(reading).manifests == ()
        index = json.loads(read_file(reading, INDEX_FILE, limit="MAX", most=4096))
        assert (index["schemaVersion"], index["manifests"]) == (2, [])
        assert self.mode_of(reading, LAYOUT_FILE) in {0o444, None}
        assert self.mode_of(reading, INDEX_FILE) in {0o644, None}

    def test_init_skips(self, driver: ImageDriver) -> None:
        """What `init` was told to skip is not there."""
        init(driver, InitOptions(skip_layout=True, skip_index=True))
        write_blob(driver, HELLO)
        reading = self.reading(driver)
        for path in (LAYOUT_FILE, INDEX_FILE):
            with pytest.raises(NotFoundError):
                open_file(reading, path)

    def test_init_again(self, driver: ImageDriver) -> None:
        """A layout that is there is left as it is."""
        init(driver)
        write_blob(driver, HELLO)
        with pytest.raises(AlreadyExistsError):
            init(driver)
        assert read_blob(self.reading(driver), DIGEST) == HELLO

    @pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
    @pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=["empty", "one", "large"])
    def test_what_goes_in_comes_out(self, driver: ImageDriver, data: bytes, algorithm: str) -> None:
        """A blob of any length and algorithm is read as it was written."""
        init(driver, InitOptions(skip_index=True))
        digest = write_blob(driver, data, algorithm)
        assert digest == Digest.of(data, algorithm)
        reading = self.reading(driver)
        assert stat_blob(reading, digest) == len(data)
        assert read_blob(reading, digest) == data
        assert self.mode_of(reading, blob_path(digest)) in {0o444, None}

    def test_in_pieces(self, driver: ImageDriver) -> None:
        """A blob may be written and read in pieces of any size and kind."""
        init(driver, InitOptions(skip_index=True))
        with new_blob_writer(driver) as writer:
            assert writer.write(HELLO[:1]) == 1
            assert writer.write(b"") == 0
            assert writer.write(bytearray(HELLO[1:5])) == 4
            assert writer.write(memoryview(HELLO)[5:]) == len(HELLO) - 5
            assert writer.commit() == DIGEST
        with open_blob(self.reading(driver), DIGEST, len(HELLO)) as reader:
            assert reader.read(5) == HELLO[:5]
            assert reader.read(100) == HELLO[5:]
            assert reader.read(100) == b""

    def test_written_twice(self, driver: ImageDriver) -> None:
        """Storing what is stored succeeds."""
        init(driver, InitOptions(skip_index=True))
        assert write_blob(driver, HELLO) == write_blob(driver, HELLO) == DIGEST
        assert read_blob(self.reading(driver), DIGEST) == HELLO

    def test_json(self, driver: ImageDriver) -> None:
        """Any JSON value is stored, compact and in order, and described."""
        init(driver, InitOptions(skip_index=True))
        values = [{"b": [1, 2.5, None], "a": "ü"}, [], "text", 0, None, True]
        found = [write_json_blob(driver, value, "application/x+json") for value in values]
        reading = self.reading(driver)
        texts = [read_blob(reading, descriptor.digest).decode() for descriptor in found]
        assert texts == ['{"b":[1,2.5,null],"a":"ü"}', "[]", '"text"', "0", "null", "true"]
        assert found == [Descriptor.of("application/x+json", text.encode()) for text in texts]

    def test_no_json(self, driver: ImageDriver) -> None:
        """What JSON cannot say is refused before anything is written."""
        init(driver, InitOptions(skip_index=True))
        for value, media_type in ((float("nan"), "a/b"), ("\ud800", "a/b"), (1, "no type")):
            with pytest.raises(ValueError, match=r"JSON|surrogates|media type"):
                write_json_blob(driver, value, media_type)
        with pytest.raises(TypeError):
            write_json_blob(driver, {1, 2}, "a/b")

    def test_missing(self, driver: ImageDriver) -> None:
        """What the layout does not hold has no size and cannot be opened."""
        init(driver)
        reading = self.reading(driver)
        for digest in (DIGEST, UNKNOWN):
            assert stat_blob(reading, digest) is None
        with pytest.raises(NotFoundError):
            open_blob(reading, DIGEST)
        with pytest.raises(NotFoundError):
            read_blob(reading, DIGEST)

    def test_reads_are_verified(self, driver: ImageDriver) -> None:
        """A blob that is not what its name says is not handed out whole."""
        init(driver, InitOptions(skip_index=True))
        write_file(driver, blob_path(DIGEST), b"Hello, hold", 0o644)
        write_file(driver, blob_path(UNKNOWN), HELLO, 0o644)
        reading = self.reading(driver)
        with pytest.raises(DigestMismatchError) as caught:
            read_blob(reading, DIGEST)
        assert caught.value.expected == DIGEST
        with open_blob(reading, DIGEST) as reader:
            assert reader.read(5) == b"Hello"
            with pytest.raises(DigestMismatchError):
                reader.read()
        with pytest.raises(SizeMismatchError):
            open_blob(reading, DIGEST, len(HELLO) + 1)
        with pytest.raises(UnsupportedError):
            read_blob(reading, UNKNOWN)

    def test_reads_are_bounded(self, driver: ImageDriver) -> None:
        """A blob larger than the limit is not taken into memory."""
        init(driver, InitOptions(skip_index=True))
        write_blob(driver, HELLO)
        reading = self.reading(driver)
        with pytest.raises(LimitExceededError) as caught:
            read_blob(reading, DIGEST, limit=len(HELLO) - 1)
        assert caught.value.limit == "MAX_READ_SIZE"
        assert read_blob(reading, DIGEST, limit=len(HELLO)) == HELLO

    @pytest.mark.parametrize("how", ["close", "leave", "fail"])
    @pytest.mark.parametrize("data", [HELLO, LARGE], ids=["small", "large"])
    def test_abandoned(self, driver: ImageDriver, how: str, data: bytes) -> None:
        """A blob that is not committed leaves no trace, and has no digest."""
        init(driver, InitOptions(skip_index=True))
        writer = new_blob_writer(driver)
        with pytest.raises(RuntimeError, match="fail") if how == "fail" else writer, writer:
            writer.write(data)
            with pytest.raises(ValueError, match="commit"):
                _ = writer.digest
            if how == "close":
                writer.close()
            elif how == "fail":
                raise RuntimeError("fail")
        writer.close()
        with pytest.raises(ValueError, match="closed"):
            writer.write(data)
        with pytest.raises(ValueError, match="closed"):
            writer.commit()
        assert stat_blob(self.reading(driver), Digest.of(data)) is None

    @pytest.mark.parametrize("size", [0, len(HELLO) - 1, len(HELLO) + 1])
    def test_unexpected_size(self, driver: ImageDriver, size: int) -> None:
        """A blob of another length is not kept, be the length expected 0; the error has both."""
        init(driver, InitOptions(skip_index=True))
        with new_blob_writer(driver) as writer:
            writer.write(HELLO)
            with pytest.raises(SizeMismatchError) as caught:
                writer.commit(size, DIGEST)
        assert (caught.value.expected, caught.value.actual) == (size, len(HELLO))
        assert stat_blob(self.reading(driver), DIGEST) is None

    def test_unexpected_digest(self, driver: ImageDriver) -> None:
        """A blob of another digest is not kept under either; the error has both."""
        init(driver, InitOptions(skip_index=True))
        evil = Digest.of(b"evil")
        with new_blob_writer(driver) as writer:
            writer.write(b"evil")
            with pytest.raises(DigestMismatchError) as caught:
                writer.commit(4, DIGEST)
            with pytest.raises(ValueError, match="closed"):
                writer.commit(4, evil)
        assert (caught.value.expected, caught.value.actual) == (DIGEST, evil)
        reading = self.reading(driver)
        assert stat_blob(reading, DIGEST) is stat_blob(reading, evil) is None

    def test_expected(self, driver: ImageDriver) -> None:
        """A blob of the length and digest expected is kept, be it empty."""
        init(driver, InitOptions(skip_index=True))
        for data in (b"", HELLO):
            digest = Digest.of(data, "sha512")
            with new_blob_writer(driver, "sha512") as writer:
                writer.write(data)
                assert writer.commit(len(data), digest) == digest
                assert writer.digest == digest
                with pytest.raises(ValueError, match="closed"):
                    writer.commit(len(data), digest)
            writer.close()
            assert writer.digest == digest

    def test_algorithms(self, driver: ImageDriver) -> None:
        """What cannot be computed is refused at once, and another algorithm at the end."""
        init(driver, InitOptions(skip_index=True))
        for algorithm in ("md5", "blake3", "../x"):
            with pytest.raises(UnsupportedError):
                new_blob_writer(driver, algorithm)
        with new_blob_writer(driver, "sha256") as writer:
            writer.write(HELLO)
            with pytest.raises(ValueError, match="sha256"):
                writer.commit(expected=Digest.of(HELLO, "sha512"))
        assert stat_blob(self.reading(driver), DIGEST) is None

    @pytest.mark.parametrize("unsafe", UNSAFE_PATHS)
    def test_unsafe_paths(self, driver: ImageDriver, unsafe: str) -> None:
        """A path that does not stay in the layout comes to no driver."""
        init(driver)
        for use in (open_file, remove_file):
            with pytest.raises(UnsafePathError):
                use(driver, unsafe)
        with pytest.raises(UnsafePathError):
            write_file(driver, unsafe, b"", 0o644)

    def test_files(self, driver: ImageDriver) -> None:
        """A layout may hold other files; one that is not committed is not there."""
        init(driver, InitOptions(skip_index=True))
        write_file(driver, "notes/one.txt", HELLO, 0o640)
        with driver.writer("notes/two.txt", 0o600) as writer:
            writer.write(HELLO)
        with pytest.raises(ValueError, match="closed"):
            writer.commit()
        reading = self.reading(driver)
        with open_file(reading, "notes/one.txt") as reader:
            assert size_of(reader) == len(HELLO)
            assert reader.read(5) == HELLO[:5]
            assert reader.seek(1) == 1
            assert reader.read() == HELLO[1:]
            assert not reader.read(1)
        assert self.mode_of(reading, "notes/one.txt") in {0o640, None}
        with pytest.raises(NotFoundError):
            open_file(reading, "notes/two.txt")

    def test_committed_twice(self, driver: ImageDriver) -> None:
        """A writer that was committed is closed, and closing it does nothing more."""
        init(driver, InitOptions(skip_index=True))
        with driver.writer("notes", 0o644) as writer:
            writer.write(HELLO)
            writer.commit()
            with pytest.raises(ValueError, match="closed"):
                writer.commit()
            with pytest.raises(ValueError, match="closed"):
                writer.write(b"!")
            writer.close()
        with open_file(self.reading(driver), "notes") as reader:
            assert reader.read() == HELLO

    def test_many_writers(self, driver: ImageDriver) -> None:
        """Blobs may be written side by side, the same one too."""
        init(driver, InitOptions(skip_index=True))
        data = [bytes([number % 4]) * 100_000 for number in range(8)]
        writers = [new_blob_writer(driver) for _ in data]
        with ThreadPoolExecutor(len(data)) as pool:
            list(pool.map(_write_in_pieces, writers, data))
        reading = self.reading(driver)
        assert [read_blob(reading, Digest.of(blob)) for blob in data] == data

    def test_index(self, driver: ImageDriver) -> None:
        """An index is written as it is given, what is unknown too."""
        init(driver, InitOptions(skip_index=True))
        index = Index(
            manifests=(replace(manifest(1, "a"), extra={"com.example.x": [1]}), manifest(2)),
            annotations={"a": "b"},
            extra={"com.example.y": {"deep": None}},
        )
        write_index(driver, index)
        assert read_index(self.reading(driver)) == index


class EditableDriverContract(ImageDriverContract):
    """What a driver does that reads, removes and replaces what it wrote."""

    def test_put(self, driver: ImageDriver) -> None:
        """A name that is taken moves to the end, and what has none replaces nothing."""
        init(driver)
        put = [manifest(1, "foo"), manifest(2, "bar"), manifest(3, "foo"), manifest(4), manifest(4)]
        for descriptor in put:
            put_manifest_descriptor_to_index(driver, descriptor)
        assert list(read_index(driver).manifests) == put[1:]
        remove_manifest_descriptor_from_index(driver, "bar")
        remove_manifest_descriptor_from_index(driver, "absent")
        assert list(read_index(driver).manifests) == put[2:]

    def test_put_without_a_name(self, driver: ImageDriver) -> None:
        """An empty name is none: it replaces nothing, and cannot be removed."""
        init(driver)
        for number in range(2):
            put_manifest_descriptor_to_index(driver, manifest(number, ""))
        with pytest.raises(ValueError, match="empty"):
            remove_manifest_descriptor_from_index(driver, "")
        assert len(read_index(driver).manifests) == 2

    def test_the_last_one_goes(self, driver: ImageDriver) -> None:
        """An index without manifests has an empty array, never null."""
        init(driver)
        put_manifest_descriptor_to_index(driver, manifest(1, "a"))
        remove_manifest_descriptor_from_index(driver, "a")
        index = json.loads(read_file(driver, INDEX_FILE, limit="MAX", most=4096))
        assert index["manifests"] == []

    def test_unknown_members_survive(self, driver: ImageDriver) -> None:
        """Who puts a name keeps what others wrote and this library does not know."""
        init(driver)
        document = {
            "schemaVersion": 2,
            "com.example.x": {"deep": [None, 1.5]},
            "annotations": {"a": "b"},
            "manifests": [manifest(1, "a").encode() | {"com.example.y": "z"}],
        }
        write_file(driver, INDEX_FILE, json.dumps(document).encode(), 0o644)
        put_manifest_descriptor_to_index(driver, manifest(2, "b"))
        remove_manifest_descriptor_from_index(driver, "b")
        found = json.loads(read_file(driver, INDEX_FILE, limit="MAX", most=4096))
        assert document.items() <= found.items()

    def test_no_layout(self, driver: ImageDriver) -> None:
        """Where no layout is, no name is put; the error says what to do."""
        init(driver, InitOptions(skip_layout=True, skip_index=True))
        for use in (read_index, read_image_layout):
            with pytest.raises(NotFoundError, match="no image layout") as caught:
                use(driver)
            assert caught.value.hint
        with pytest.raises(NotFoundError):
            put_manifest_descriptor_to_index(driver, manifest(1, "a"))

    def test_rewrite(self, driver: ImageDriver) -> None:
        """A file that nobody may write is replaced, and keeps its mode."""
        init(driver)
        write_image_layout(driver, ImageLayout(extra={"com.example.x": 1}))
        assert read_image_layout(driver).extra == {"com.example.x": 1}
        assert self.mode_of(driver, LAYOUT_FILE) in {0o444, None}
        with driver.writer(LAYOUT_FILE, 0o444) as writer:
            writer.write(b"never")
        assert read_image_layout(driver).extra == {"com.example.x": 1}

    def test_delete(self, driver: ImageDriver) -> None:
        """A deleted blob is gone, and can be stored again."""
        init(driver)
        write_blob(driver, HELLO)
        assert delete_blob(driver, DIGEST) is True
        assert stat_blob(driver, DIGEST) is None
        assert delete_blob(driver, DIGEST) is False
        with pytest.raises(NotFoundError):
            remove_file(driver, blob_path(DIGEST))
        assert read_blob(driver, write_blob(driver, HELLO)) == HELLO

    def test_delete_leaves_readers_alone(self, driver: ImageDriver) -> None:
        """Who has opened a blob reads it to its end, even if it is deleted meanwhile."""
        init(driver)
        write_blob(driver, HELLO)
        with open_blob(driver, DIGEST) as reader:
            assert reader.read(3) == HELLO[:3]
            delete_blob(driver, DIGEST)
            assert reader.read() == HELLO[3:]

    def test_commit_is_what_shows(self, driver: ImageDriver) -> None:
        """A blob is there when it is committed, and not before."""
        init(driver)
        with new_blob_writer(driver) as writer:
            writer.write(HELLO)
            assert stat_blob(driver, DIGEST) is None
            writer.commit()
            assert stat_blob(driver, DIGEST) == len(HELLO)


class LockableDriverContract(_Contract):
    """What a driver does that keeps others from changing the index."""

    def test_no_change_is_lost(self, driver: ImageDriver) -> None:
        """Many threads that put names at once lose none."""
        assert isinstance(driver, Lockable)
        init(driver)

        def put(number: int) -> None:
            for at in range(5):
                put_manifest_descriptor_to_index(driver, manifest(number, f"{number}-{at}"))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(8)))
        names = {found.annotations[REF_NAME] for found in read_index(driver).manifests}
        assert names == {f"{number}-{at}" for number in range(8) for at in range(5)}


class ShareableDriverContract(_Contract):
    """What a driver does that keeps a collector away from blobs that nothing names yet."""

    def test_collector_waits(self, driver: ImageDriver) -> None:
        """Writers share; a collector comes when all have gone, and then alone."""
        assert isinstance(driver, Shareable)
        init(driver)
        with driver.sharing(), driver.sharing():
            with pytest.raises(InUseError), driver.collecting(timeout=0.01):
                pass
            write_blob(driver, HELLO)
        shared = threading.Event()
        with driver.collecting(timeout=5):
            writer = threading.Thread(target=lambda: _share(driver, shared))
            writer.start()
            assert not shared.wait(0.05)
        writer.join()
        assert shared.is_set()


class EnumerableDriverContract(_Contract):
    """What a driver does that knows its files."""

    def test_paths(self, driver: ImageDriver) -> None:
        """Every file is listed, in bytewise order; none that is not committed."""
        assert isinstance(driver, Enumerable)
        init(driver)
        digests = [write_blob(driver, b"%d" % number) for number in range(5)]
        digests.append(write_blob(driver, HELLO, "sha512"))
        blobs = sorted(blob_path(digest) for digest in digests)
        with new_blob_writer(driver) as writer:
            writer.write(HELLO)
            assert list(driver.paths()) == [*blobs, INDEX_FILE, LAYOUT_FILE]
        assert list(driver.paths("blobs/sha256/")) == blobs[:5]
        assert list(driver.paths(blobs[0][:-3])) == blobs[:1]
        assert list(driver.paths("nothing")) == []


def _write_in_pieces(writer: BlobWriter, data: bytes) -> None:
    with writer:
        for start in range(0, len(data), 7000):
            writer.write(data[start : start + 7000])
        writer.commit(len(data), Digest.of(data))


def _share(driver: Shareable, shared: threading.Event) -> None:
    with driver.sharing():
        shared.set()
