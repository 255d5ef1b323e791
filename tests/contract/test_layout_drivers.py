"""The contract of drivers of image layouts, on every driver there is, and on a user's own."""

import io
import os
import stat
import tarfile

import pytest

from orlop.digest import Digest
from orlop.errors import (
    AlreadyExistsError,
    DigestMismatchError,
    NotFoundError,
    SizeMismatchError,
    UnsupportedError,
)
from orlop.layout import (
    ArchiveDriver,
    ArchiveReader,
    DirectoryDriver,
    InitOptions,
    MemoryDriver,
    TarDriver,
    delete_blob,
    init,
    put_manifest_descriptor_to_index,
    read_index,
    write_index,
)
from orlop.spec import Index
from orlop.testing.layout import (
    EditableDriverContract,
    EnumerableDriverContract,
    ImageDriverContract,
    LockableDriverContract,
    ShareableDriverContract,
    manifest,
)


class TestMemoryDriver(
    EditableDriverContract,
    LockableDriverContract,
    ShareableDriverContract,
    EnumerableDriverContract,
):
    @pytest.fixture
    def driver(self):
        return MemoryDriver()

    def mode_of(self, driver, path):
        return driver.files[path].mode


class TestDirectoryDriver(
    EditableDriverContract,
    LockableDriverContract,
    ShareableDriverContract,
    EnumerableDriverContract,
):
    @pytest.fixture
    def driver(self, tmp_path):
        return DirectoryDriver(tmp_path / "new" / "layout")

    def mode_of(self, driver, path):
        return stat.S_IMODE(os.stat(f"{driver.path}/{path}").st_mode)


class TestArchiveDriver(EditableDriverContract, LockableDriverContract, EnumerableDriverContract):
    @pytest.fixture
    def driver(self, tmp_path):
        with ArchiveDriver(tmp_path / "image.tar") as driver:
            yield driver


class TestArchiveDriverThenReader(ImageDriverContract):
    """What is in the file after the commit."""

    @pytest.fixture
    def driver(self, tmp_path):
        with ArchiveDriver(tmp_path / "image.tar") as driver:
            yield driver

    def reading(self, driver):
        driver.commit()
        self.opened = ArchiveReader(str(driver))
        return self.opened

    def teardown_method(self):
        if opened := getattr(self, "opened", None):
            opened.close()

    def mode_of(self, driver, path):
        with tarfile.open(str(driver)) as archive:
            return archive.getmember(path).mode


class TestTarDriver(ImageDriverContract):
    @pytest.fixture
    def driver(self, tmp_path):
        self.path = tmp_path / "image.tar"
        with tarfile.open(self.path, "w") as self.tar:
            yield TarDriver(self.tar, spool=tmp_path)

    def reading(self, driver):
        self.tar.close()
        self.opened = ArchiveReader(self.path)
        return self.opened

    def teardown_method(self):
        if opened := getattr(self, "opened", None):
            opened.close()

    def mode_of(self, driver, path):
        with tarfile.open(self.path) as archive:
            return archive.getmember(path).mode

    def test_only_appends(self, driver):
        init(driver, InitOptions(skip_index=True))
        write_index(driver, Index(manifests=(manifest(1),)))
        for use in (
            lambda: read_index(driver),
            lambda: put_manifest_descriptor_to_index(driver, manifest(2)),
            lambda: delete_blob(driver, manifest(1).digest),
            lambda: write_index(driver, Index(manifests=())),
        ):
            with pytest.raises(UnsupportedError) as caught:
                use()
            assert "skip_index" in caught.value.hint
        assert read_index(self.reading(driver)).manifests == (manifest(1),)


class OwnWriter:
    """The plainest writer: what it holds goes into a dictionary."""

    def __init__(self, files, path=None, algorithm="sha256"):
        self.files, self.path, self.algorithm = files, path, algorithm
        self.data = io.BytesIO()
        self.committed = None

    @property
    def digest(self):
        if self.committed is None:
            raise ValueError("nothing is committed")
        return self.committed

    def write(self, data):
        return self.data.write(data)

    def commit(self, size=None, expected=None):
        data = self.data.getvalue()
        self.close()
        found = Digest.of(data, self.algorithm)
        if size not in {None, len(data)}:
            raise SizeMismatchError("size", expected=size, actual=len(data))
        if expected is not None and expected.algorithm != self.algorithm:
            raise ValueError(f"no {self.algorithm} digest")
        if expected not in {None, found}:
            raise DigestMismatchError("digest", expected=expected, actual=found)
        self.files[self.path or f"blobs/{found.algorithm}/{found.encoded}"] = data
        self.committed = found
        return found

    def close(self):
        self.data.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class OwnDriver:
    """A user's driver: nothing of the library in it, and the five methods alone."""

    def __init__(self):
        self.files = {}

    def init(self):
        if self.files:
            raise AlreadyExistsError("there is a layout")

    def remove(self, path):
        if self.files.pop(path, None) is None:
            raise NotFoundError(path)

    def reader(self, path):
        if path not in self.files:
            raise NotFoundError(path)
        return io.BytesIO(self.files[path])

    def writer(self, path, mode):
        return OwnWriter(self.files, path)

    def blob_writer(self, algorithm):
        return OwnWriter(self.files, algorithm=algorithm)


class TestOwnDriver(EditableDriverContract):
    @pytest.fixture
    def driver(self):
        return OwnDriver()
