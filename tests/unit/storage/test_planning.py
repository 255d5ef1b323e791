"""`collect(dry_run=True)`: exactly what a collection would free, and nothing is touched."""

import os
from contextlib import suppress
from dataclasses import replace

import pytest

import orlop
from orlop.metadata import Images, Labels, Lease, LeaseRecord, Leases, Owner
from orlop.storage.collect import collect
from orlop.storage.meter import DiskMeter
from orlop.storage.usage import measure
from orlop.store import Store
from support.images import ImageBuilder, file


@pytest.fixture
def store(places):
    with Store(places) as store:
        yield store


def disk_usage(places):
    """Bytes below the content folders, each inode once."""
    seen = {}
    for folder in ("blobs", "forms", "chains", "ingest", "staging", "trash"):
        for path, names, files in os.walk(places.root / folder):
            for name in [*names, *files]:
                found = os.lstat(os.path.join(path, name))
                seen[found.st_ino] = found.st_blocks * 512
    return sum(seen.values())


def everything(places):
    found = {}
    for path, names, files in os.walk(places.root):
        for name in [*names, *files]:
            place = os.path.join(path, name)
            if not name.endswith(("-shm", "-wal")):
                found[place] = os.lstat(place).st_mtime_ns, os.lstat(place).st_nlink
    return found


def fill(store, places, tmp_path):
    """Garbage of every kind, beside an image that stays; its layer is kept uncompressed, twice."""
    storage = store._storage
    shared = ImageBuilder(compression="none").layer(file("shared", b"s" * 5000))
    store.pull(shared.write(tmp_path / "kept").source, tag="kept", driver="erofs")
    gone = shared.layer(file("own", b"o" * 50_000))
    image = store.pull(gone.write(tmp_path / "gone").source, tag="gone", driver="directory")
    expired = ImageBuilder().layer(file("expired", b"e" * 9000))
    store.pull(expired.write(tmp_path / "over").source, tag="over", driver="erofs")
    with storage.database.write() as tx:
        Labels(tx).set(
            "image",
            "docker.io/library/over:latest",
            "containerd.io/gc.expire",
            "2001-01-01T00:00:00Z",
        )
        dead = replace(Owner.current(), start=1)
        Leases(tx).create(LeaseRecord(id="dead", owner=dead, created_at_ns=1))
        Leases(tx).hold("dead", "blob", [image.id])
    store.remove("gone")
    with storage.content.ingest("resting") as ingest:
        ingest.write(b"x" * 6000)
    for folder in ("staging/dead-1-1", "trash/left"):
        (places.root / folder / "below").mkdir(parents=True)
        (places.root / folder / "below" / "file").write_bytes(b"x" * 7000)
    orphan = places.root / "forms/sha256" / ("0" * 64)
    orphan.mkdir()
    (orphan / "tar").write_bytes(b"y" * 5000)


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_plan_is_what_happens(store, places, tmp_path, unfinished):
    fill(store, places, tmp_path)
    before, size = everything(places), disk_usage(places)
    usage = measure(store._storage)
    planned = store.collect(dry_run=True, unfinished=unfinished)
    assert everything(places) == before
    assert store.collect(dry_run=True, unfinished=unfinished) == planned
    done = store.collect(unfinished=unfinished)
    assert done == planned
    assert size - disk_usage(places) == done.size > 100_000
    counts = (done.leases, done.images, done.blobs, done.forms, done.chains, done.leftovers)
    assert counts == (1, 1, 6, 3, 2, 2)
    assert done.ingests == unfinished
    shares = (usage.blobs, usage.layers, usage.stacks, usage.ingests)
    resting = sum(item.size for item in done.items if item.kind == "ingest")
    assert sum(share.reclaimable for share in shares) == done.size - resting
    assert usage.total == size - sum(os.lstat(path).st_blocks * 512 for path in _folders(places))
    after = measure(store._storage)
    assert after.total == usage.total - done.size
    assert store.collect().items == ()
    with store._storage.database.read() as tx:
        assert [row.name for row in Images(tx).list()] == ["docker.io/library/kept:latest"]


def _folders(places):
    """The folders that are no content themselves."""
    for folder in ("blobs", "forms", "chains"):
        yield from (places.root / folder).iterdir()


def test_a_plan_of_a_read_only_store(store, places, tmp_path):
    fill(store, places, tmp_path)
    with orlop.open_store(places.root, places.run, read_only=True) as reader:
        planned = reader.collect(dry_run=True)
        with pytest.raises(OSError, match="Read-only"):
            reader.collect()
    assert planned.blobs == 6
    assert store.collect() == planned


def test_what_a_plan_leaves_out(store, places, layout):
    """What is under way is no garbage: with a lease, or being written."""
    with Lease(store._storage.database, id="busy") as lease:
        lease.hold("ingest", "resting")
        with store._storage.content.ingest("resting") as ingest:
            ingest.write(b"x")
        staging = places.staging / "busy-1-1"
        staging.mkdir()
        assert collect(store._storage, unfinished=True, dry_run=True).items == ()
    planned = collect(store._storage, unfinished=True, dry_run=True)
    assert [(item.kind, item.key) for item in planned.items] == [
        ("ingest", "resting"),
        ("leftover", "staging/busy-1-1"),
    ]


def test_the_meter_counts_a_file_with_its_last_link(places, tmp_path):
    meter = DiskMeter(places)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "one").write_bytes(b"x" * 9000)
    os.link(tree / "one", tmp_path / "two")
    os.link(tree / "one", tree / "three")
    folder = os.lstat(tree).st_blocks * 512
    content = os.lstat(tree / "one").st_blocks * 512
    assert content > 0
    assert meter.add(tree) == folder
    assert meter.add(tmp_path / "two") == content
    assert DiskMeter(places).add(tmp_path / "two") == 0
    assert meter.add(tmp_path / "missing") == 0
    with suppress(FileNotFoundError):
        os.unlink(tmp_path / "two")
    assert DiskMeter(places).add(tree) == folder + content
