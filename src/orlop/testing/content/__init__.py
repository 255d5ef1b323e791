"""The contract of every content store, as tests that a backend inherits.

class TestMyStore(ContentStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return MyStore(tmp_path)

`ContentStoreContract` is for any `orlop.content.ContentStore`, `LabelledContentContract` for any
`LabelledContent`; the latter comes in addition. Three things may be said besides `store`, as
fixtures or attributes of the class:

    reopen               opens the same store anew, as another process would
    damage               changes stored bytes behind the store's back
    clock_tolerance_ns   how far its clock may be from `time.time_ns()`

With `pytest.register_assert_rewrite("orlop.testing")` in a conftest.py, failures say more.

Who knows the suite of containerd finds each row of it here, with these differences: committing
what is stored already is a success, not an error, and leaves the reference free; content that
fails its digest or length is dropped, so that no retry goes on from bad bytes; an ingest without
bytes is not kept; one that is being written cannot be aborted by others.
"""

from orlop.testing.content.blobs import BlobContract
from orlop.testing.content.ingests import IngestContract
from orlop.testing.content.labels import LabelledContentContract
from orlop.testing.content.listing import ListingContract
from orlop.testing.content.reading import ReadingContract
from orlop.testing.content.resuming import ResumeContract
from orlop.testing.content.writers import WriterContract

__all__ = ["ContentStoreContract", "LabelledContentContract"]


class ContentStoreContract(
    BlobContract,
    ReadingContract,
    IngestContract,
    ResumeContract,
    WriterContract,
    ListingContract,
):
    """What every content store does; a subclass provides the fixture `store`, an empty one."""
