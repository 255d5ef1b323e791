"""The contract of the drivers of layers, as tests that a class inherits for each of them.

class TestVfs(StorageContract):
    driver = "vfs"

    @pytest.fixture
    def place(self):
        ...  # an empty directory on a filesystem that suits the driver; `tmp_path` without

Its core (`HistoryContract`) makes random changes to layers and to a plain directory, and compares
each view of each layer with it. Where an overlay is no plain directory, `PlainDirectory` does what
an overlay does. Some things that the kernel does otherwise are left out: lists of access that are
given to a file that still lies in an EROFS (refused until it is copied), and the link counts of
directories.

What a process may do decides which changes are made: root makes devices and gives files to
anybody, root of a user namespace to those that it maps, others keep what is theirs.

With `pytest.register_assert_rewrite("orlop.testing")` in a conftest.py, failures say more.
"""

from orlop.testing.storage.additional import AdditionalContract
from orlop.testing.storage.histories import HistoryContract
from orlop.testing.storage.left_out import LeftOutContract
from orlop.testing.storage.mapping import MappingContract
from orlop.testing.storage.mounting import MountContract
from orlop.testing.storage.records import RecordsContract
from orlop.testing.storage.replay import replay
from orlop.testing.storage.tarballs import TarContract

__all__ = [
    "AdditionalContract", "HistoryContract", "LeftOutContract", "MappingContract", "MountContract",
    "RecordsContract", "StorageContract", "TarContract", "replay",
]  # fmt: skip


class StorageContract(
    RecordsContract, TarContract, MountContract, AdditionalContract, MappingContract,
    LeftOutContract, HistoryContract,
):  # fmt: skip
    """What every driver does; a subclass says which one."""
