"""The contract of content stores, on every store there is."""

import pytest

from orlop.content import LocalContent, MemoryContent
from orlop.metadata import Database, Lease
from orlop.metadata.content import LeasedContent
from orlop.testing.content import ContentStoreContract, LabelledContentContract


class Local:
    """Blobs in files, damaged where they lie."""

    @pytest.fixture
    def content(self, tmp_path):
        return LocalContent(tmp_path / "root")

    @pytest.fixture
    def another(self, tmp_path):
        return lambda: LocalContent(tmp_path / "root")

    @pytest.fixture
    def damage(self, content):
        def damage(digest, data):
            with open(content.path_of(digest), "r+b", opener=_writable) as file:
                file.truncate(0)
                file.write(data)

        return damage


class Memory:
    """Blobs in a dictionary, damaged in it."""

    @pytest.fixture
    def content(self):
        return MemoryContent()

    @pytest.fixture
    def another(self, content):
        return lambda: content

    @pytest.fixture
    def damage(self, content):
        def damage(digest, data):
            content._blobs[digest] = data, content._blobs[digest][1]

        return damage


class Leased:
    """Recorded, and kept by a lease."""

    @pytest.fixture
    def lease(self, tmp_path):
        with Database.open(tmp_path / "orlop.db") as database, Lease(database) as lease:
            yield lease

    @pytest.fixture
    def store(self, content, lease):
        return LeasedContent(content, lease.database, lease)

    @pytest.fixture
    def reopen(self, another, lease):
        return lambda: LeasedContent(another(), lease.database, lease)


class TestLocalContent(Local, ContentStoreContract):
    @pytest.fixture
    def store(self, content):
        return content

    @pytest.fixture
    def reopen(self, another):
        return another


class TestMemoryContent(Memory, ContentStoreContract, LabelledContentContract):
    @pytest.fixture
    def store(self, content):
        return content


class TestLeasedLocalContent(Local, Leased, ContentStoreContract, LabelledContentContract):
    pass


class TestLeasedMemoryContent(Memory, Leased, ContentStoreContract, LabelledContentContract):
    pass


def _writable(path, flags):
    import os

    os.chmod(path, 0o600)
    return os.open(path, flags)
