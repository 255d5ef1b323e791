from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orlop.content import LocalContent, MemoryContent
from orlop.digest import Digest
from orlop.errors import DigestMismatchError, SizeMismatchError

DATA = st.binary(max_size=40)


class Ingests(RuleBasedStateMachine):
    """One ingest, many writers, one after the other; `kept` is what must be in it."""

    def __init__(self):
        super().__init__()
        self.store = MemoryContent()
        self.blobs = {}
        self.kept = b""
        self.ingest = None

    @initialize(local=st.booleans())
    def choose(self, local):
        if local:
            self.directory = TemporaryDirectory()
            self.store = LocalContent(self.directory.name)

    def writer(self):
        if self.ingest is None:
            self.ingest = self.store.ingest("r")
            assert self.ingest.offset == len(self.kept)
        return self.ingest

    @rule(data=DATA)
    def write(self, data):
        self.writer().write(data)
        self.kept += data

    @rule()
    def restart(self):
        self.writer().restart()
        self.kept = b""

    @rule()
    def close(self):
        self.writer().close()
        self.ingest = None

    @rule(size=st.none() | st.integers(0, 60), known=st.booleans(), right=st.booleans())
    def commit(self, size, known, right):
        digest = Digest.of(self.kept if right else b"other" * 20)
        try:
            found = self.writer().commit(size, digest if known else None)
        except SizeMismatchError:
            assert size not in (None, len(self.kept))
        except DigestMismatchError:
            assert known
            assert not right
        else:
            assert size in (None, len(self.kept))
            assert found == Digest.of(self.kept)
            self.blobs[found] = self.kept
        self.ingest, self.kept = None, b""

    @rule()
    def abort(self):
        if self.ingest:
            self.ingest.abort()
            self.ingest = None
        elif self.kept:
            self.store.abort("r")
        self.kept = b""

    @precondition(lambda self: self.blobs)
    @rule(data=st.data())
    def delete(self, data):
        digest = data.draw(st.sampled_from(sorted(self.blobs)))
        assert self.store.delete(digest)
        del self.blobs[digest]

    @invariant()
    def nothing_else_is_there(self):
        assert {digest: len(data) for digest, data in self.blobs.items()} == {
            info.digest: info.size for info in self.store.walk()
        }
        for digest, data in self.blobs.items():
            assert self.store.read(digest, len(data)) == data
        status = self.store.status("r")
        assert (status.offset if status else 0) == len(self.kept)
        assert (status is not None) == bool(self.ingest or self.kept)
        if self.ingest:
            assert self.ingest.digest == Digest.of(self.kept)
            assert b"".join(self.ingest.pieces()) == self.kept

    def teardown(self):
        if self.ingest:
            self.ingest.abort()
        if isinstance(self.store, LocalContent):
            self.directory.cleanup()


class TestIngests(Ingests.TestCase):
    """Whatever writers do one after the other, the store has what they have told it."""

    settings = settings(max_examples=100, stateful_step_count=15, deadline=None)


@given(data=DATA, offset=st.integers(0, 60), size=st.integers(0, 60))
def test_a_part_is_a_slice(data, offset, size):
    """A part of a blob is what the same slice of its bytes is."""
    store = MemoryContent()
    with store.ingest("r") as ingest:
        ingest.write(data)
        digest = ingest.commit()
    with store.reader_at(digest) as reader:
        assert reader.read_at(offset, size) == data[offset : offset + size]
