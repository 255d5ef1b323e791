"""The contract of content stores, on every store there is."""

import pytest

from orlop.content import LocalContent, MemoryContent
from orlop.metadata import Database, Lease
from orlop.metadata.content import LeasedContent
from orlop.testing.content import ContentStoreContract


class TestLocalContent(ContentStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return LocalContent(tmp_path / "root")


class TestMemoryContent(ContentStoreContract):
    @pytest.fixture
    def store(self):
        return MemoryContent()


class TestLeasedContent(ContentStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        with Database.open(tmp_path / "orlop.db") as database, Lease(database) as lease:
            yield LeasedContent(LocalContent(tmp_path), database, lease)


class TestLeasedMemoryContent(ContentStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        with Database.open(tmp_path / "orlop.db") as database, Lease(database) as lease:
            yield LeasedContent(MemoryContent(), database, lease)
