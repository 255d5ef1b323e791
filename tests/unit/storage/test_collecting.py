"""`storage.collect` and `storage.usage`: what goes, what stays, and what it occupies."""

import fcntl
import os

import pytest

from orlop.metadata import Chains, Forms, Lease
from orlop.storage.collect import collect, mark_durable
from orlop.storage.staging import staging_directory
from orlop.storage.usage import measure
from orlop.store import Store
from support.images import ImageBuilder, file


@pytest.fixture
def store(places):
    with Store(places) as store:
        yield store


@pytest.fixture
def storage(store):
    return store._storage


def content(places):
    return {
        os.path.relpath(os.path.join(folder, name), places.root)
        for folder, _, names in os.walk(places.root)
        for name in names
        if not name.startswith(("orlop.db", "reserve")) and not folder.endswith("locks")
    }


def test_what_an_image_needs_stays(store, layout, places):
    image = store.pull(layout.source, tag="box", driver="erofs")
    before = content(places)
    store.collect()
    assert content(places) == before
    assert image.read("/etc/motd") == b"hello\n"


def test_everything_goes_with_the_last_name(store, layout, places):
    store.pull(layout.source, tag="box", driver="erofs")
    store.pull(layout.source, tag="twin", driver="erofs")
    store.remove("box")
    assert store.collect().blobs == 0
    store.remove("twin")
    freed = store.collect()
    assert (freed.blobs, freed.forms, freed.chains) == (4, 2, 1)
    assert content(places) == {"format.json"}


def test_layers_of_two_images_stay_for_the_other(store, tmp_path):
    shared = ImageBuilder().layer(file("shared", b"s"))
    one = shared.write(tmp_path / "one")
    two = shared.layer(file("own", b"o")).write(tmp_path / "two")
    store.pull(one.source, tag="one")
    image = store.pull(two.source, tag="two")
    store.remove("one")
    freed = store.collect()
    assert (freed.blobs, freed.forms) == (2, 0)
    assert image.read("/shared") == b"s"


def test_what_a_lease_holds_stays(store, storage, layout, places):
    image = store.pull(layout.source, tag="box", driver="erofs")
    chain = image._stack.chain_id
    with Lease(storage.database, "test") as lease:
        lease.hold("chain", chain)
        store.remove("box")
        freed = store.collect()
        assert (freed.forms, freed.chains) == (0, 0)
        assert freed.blobs == 4
    assert store.collect().chains == 1


def test_staging_of_a_living_lease_stays_and_of_a_dead_one_goes(storage, places):
    (places.staging / "no-such-lease-1-2").mkdir()
    (places.staging / "no-such-lease-1-2/below").mkdir()
    (places.staging / "junk").touch()
    with Lease(storage.database, "test") as lease, staging_directory(places, lease.id) as path:
        collect(storage)
        assert list(places.staging.iterdir()) == [path]


def test_trials_of_mounting_stay_while_they_run(storage, places):
    trial = places.staging / ".probe-1"
    trial.mkdir()
    running = os.open(places.staging, os.O_RDONLY)
    fcntl.flock(running, fcntl.LOCK_SH)
    collect(storage)
    assert list(places.staging.iterdir()) == [trial]
    os.close(running)
    collect(storage)
    assert list(places.staging.iterdir()) == []


def test_what_is_derived_is_durable_after_a_collection(store, storage, layout):
    store.pull(layout.source, tag="box", driver="erofs")
    store.collect()
    with storage.database.read() as tx:
        records = [*Forms(tx).list(), *Chains(tx).list()]
    assert len(records) == 5
    assert all(record.durable for record in records)
    assert mark_durable(storage) == 0


def test_what_another_boot_left_is_not_marked(store, storage, layout, restart):
    store.pull(layout.source, tag="box", driver="erofs")
    restart()
    store.collect()
    with storage.database.read() as tx:
        assert not any(record.durable for record in Forms(tx).list())


def test_usage_of_nothing(storage):
    usage = measure(storage)
    assert (usage.images, usage.total) == (0, 0)
    assert usage.free > 0


def test_usage_counts_what_is_on_the_disk(store, storage, layout):
    store.pull(layout.source, tag="box", driver="erofs")
    usage = measure(storage)
    assert usage.images == 1
    assert (usage.blobs.count, usage.layers.count, usage.stacks.count) == (4, 2, 1)
    assert usage.layers.size >= 100_000
    assert usage.stacks.size >= 512
    assert usage.total == usage.blobs.size + usage.layers.size + usage.stacks.size
    assert [share.reclaimable for share in (usage.blobs, usage.layers, usage.stacks)] == [0, 0, 0]


def test_what_is_shared_by_hard_links_counts_once(store, storage, tmp_path):
    """A blob that is not compressed is the layer's tar too."""
    builder = ImageBuilder(compression="none").layer(file("big", os.urandom(1_000_000)))
    store.pull(builder.write(tmp_path / "plain").source, tag="plain", driver="erofs")
    usage = measure(storage)
    assert usage.blobs.size > 1_000_000
    assert usage.layers.size < 500_000


def test_usage_tells_what_a_collection_frees(store, storage, layout):
    store.pull(layout.source, tag="box", driver="erofs")
    store.remove("box")
    usage = measure(storage)
    for share in (usage.blobs, usage.layers, usage.stacks):
        assert share.reclaimable == share.size > 0
    store.collect()
    assert measure(storage).total == 0


def test_a_sparse_file_counts_by_its_blocks(storage, places):
    with open(places.staging / "sparse", "wb") as file:
        file.truncate(1 << 30)
    assert measure(storage).ingests.size < 1 << 20
