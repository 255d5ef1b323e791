"""`Store.content`: the blobs of a store, for those who read, label and store them."""

import pytest

import orlop
from orlop.digest import Digest
from orlop.errors import NotFoundError
from orlop.metadata.gclabels import GC_ROOT

NOTE = b"a note"
DIGEST = Digest.of(NOTE)


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        yield store


def test_content_lives_as_long_as_its_lease(store):
    with store.lease("notes") as lease:
        assert store.content(lease).put(NOTE, labels={"kind": "note"}) == DIGEST
        store.collect()
        (info,) = store.content().walk("labels.kind==note")
        assert (info.digest, info.size) == (DIGEST, len(NOTE))
    store.collect()
    assert store.content().stat(DIGEST) is None


def test_a_label_keeps_it_longer(store):
    with store.lease() as lease:
        store.content(lease).put(NOTE)
    store.content().update(DIGEST, {GC_ROOT: "yes"})
    store.collect()
    assert store.content().read(DIGEST, len(NOTE)) == NOTE
    store.content().update(DIGEST, {})
    store.collect()
    with pytest.raises(NotFoundError):
        store.content().read(DIGEST, len(NOTE))


def test_the_lease_must_be_one_of_this_store(store, tmp_path):
    with (
        orlop.open_store(tmp_path / "other", tmp_path / "run") as other,
        other.lease() as lease,
        pytest.raises(ValueError, match="another store"),
    ):
        store.content(lease)


def test_a_store_that_is_read_only_can_be_read(store, tmp_path):
    with store.lease() as lease:
        store.content(lease).put(NOTE, labels={"kind": "note"})
        with orlop.open_store(tmp_path / "root", tmp_path / "run", read_only=True) as same:
            (info,) = same.content().walk()
            assert info.labels == {"kind": "note"}
            with same.content().reader_at(DIGEST) as reader:
                assert reader.read_at(2, 100) == b"note"
