"""Labels that tell the collector, with the names and the meaning that containerd gives them."""

from dataclasses import replace

import pytest

from orlop.content import MemoryContent
from orlop.digest import Digest
from orlop.metadata import (
    Blobs,
    Chains,
    Database,
    DerivedRecord,
    Forms,
    ImageRow,
    Images,
    Labels,
    Lease,
    LeaseRecord,
    Leases,
)
from orlop.metadata import gc as collector
from orlop.metadata.collected import Collected, Item
from orlop.metadata.content import LeasedContent
from orlop.metadata.graph import is_kept, read_graph

GC = "containerd.io/gc."
PAST, PRESENT, FUTURE = (f"2001-09-09T01:46:{second}Z" for second in (39, 40, 41))
NOW = 10**18


class Store:
    """A store of few words, whose every collection is planned first."""

    def __init__(self, database):
        self.database = database
        self.content = MemoryContent()
        self.forms, self.chains = Place(), Place()

    def blob(self, text, children=(), **labels):
        with Lease(self.database) as lease:
            content = LeasedContent(self.content, self.database, lease)
            digest = content.put(text.encode(), children=children)
        self.label("blob", digest, labels.get("labels", {}))
        return digest

    def image(self, name, target, chain=None, labels=None):
        row = ImageRow(
            name=name, target="{}", target_digest=target, image_id=target, chain_id=chain,
            size=1, created_at_ns=1, updated_at_ns=1, labels=labels or {},
        )  # fmt: skip
        with self.database.write() as tx:
            Images(tx).put(row)

    def chain(self, text, *layers):
        chain = Digest.of(text.encode())
        with self.database.write() as tx:
            Chains(tx).put_layers(chain, layers)
            Chains(tx).put(DerivedRecord(source=chain, kind="index", size=1, boot_id="b"))
            for layer in layers:
                Forms(tx).put(DerivedRecord(source=layer, kind="tar", size=1, boot_id="b"))
        self.chains.digests.add(chain)
        self.forms.digests |= set(layers)
        return chain

    def label(self, kind, owner, labels):
        with self.database.write() as tx:
            Labels(tx).replace(kind, owner, labels)

    def lease(self, *items, labels=None, **changes):
        record = LeaseRecord(id="lease", owner=None, created_at_ns=1, labels=labels or {})
        record = replace(record, **changes)
        with self.database.write() as tx:
            Leases(tx).create(record)
            for kind, key in items:
                Leases(tx).hold(record.id, kind, [key])

    def collect(self):
        """What went, without the sizes."""
        places = {"forms": self.forms, "chains": self.chains, "now_ns": lambda: NOW}
        planned = collector.collect(self.database, self.content, dry_run=True, **places)
        again = collector.collect(self.database, self.content, dry_run=True, **places)
        done = collector.collect(self.database, self.content, **places)
        assert planned == again == done
        assert collector.collect(self.database, self.content, **places) == Collected()
        with self.database.read() as tx:
            for node in read_graph(tx, now_ns=NOW).nodes:
                assert is_kept(tx, *node, now_ns=NOW), node
        return {(item.kind, item.key) for item in done.items}

    def left(self):
        with self.database.read() as tx:
            assert set(Blobs(tx).digests()) == set(self.content.iter_digests())
            return {image.name for image in Images(tx).list()} | set(Blobs(tx).digests())


class Place:
    """Derived things, as names alone."""

    def __init__(self):
        self.digests = set()

    def iter_digests(self):
        return iter(sorted(self.digests))

    def delete(self, digest):
        found = digest in self.digests
        self.digests.discard(digest)
        return found


@pytest.fixture
def store(tmp_path):
    with Database.open(tmp_path / "orlop.db") as database:
        yield Store(database)


def test_root(store):
    """A blob with the label is kept with all that it names; the label on an image says nothing."""
    child = store.blob("child")
    root = store.blob("root", [child], labels={f"{GC}root": "any"})
    near = store.blob("near", labels={f"{GC}rootless": "any"})
    assert store.collect() == {("blob", near)}
    assert store.left() == {root, child}


@pytest.mark.parametrize("suffix", ["", ".x", "/x", ".", "/", ".m.0", ".x/y"])
@pytest.mark.parametrize("kind", ["blob", "image", "lease"])
def test_content_references(store, kind, suffix):
    below = store.blob("below")
    kept = store.blob("kept", [below])
    label = {f"{GC}ref.content{suffix}": kept}
    if kind == "blob":
        store.image("image", store.blob("target", labels=label))
    elif kind == "image":
        store.image("image", store.blob("target"), labels=label)
    else:
        store.lease(labels=label)
    assert store.collect() == set()
    assert {kept, below} <= store.left()


@pytest.mark.parametrize(
    "key",
    ["ref.contentbad", "ref.content-x", "ref.contents", "ref.imagebad", "ref.snapshot",
     "ref.snapshot.", "bref.contentbad", "ref", "ref.", "ref.other.x", "cond.snapshot.x"],
)  # fmt: skip
def test_labels_that_say_nothing(store, key):
    """A reference without a separator after its kind is none."""
    target = store.blob("target")
    store.image("image", target)
    named = store.blob("named", labels={GC + key: target})
    store.label("blob", target, {GC + key: named})
    assert store.collect() == {("blob", named)}


@pytest.mark.parametrize("value", ["nonsense", "sha256:00", "\0", "ü"])
@pytest.mark.parametrize(
    "key", ["ref.content.x", "ref.snapshot.x", "bref.content", "bref.snapshot.x", "expire"]
)
def test_values_that_mean_nothing(store, key, value):
    """Whoever wrote them: the collector passes them over."""
    target, loose = store.blob("target"), store.blob("loose")
    store.image("image", target)
    store.lease(("blob", target))
    with store.database.write() as tx:
        for kind, owner in (("image", "image"), ("blob", loose), ("lease", "lease")):
            tx.execute(f"INSERT INTO {kind}_labels VALUES (?,?,?)", (owner, GC + key, value))
    assert store.collect() == {("blob", loose)}
    assert store.left() == {"image", target}


@pytest.mark.parametrize("suffix", [".overlayfs", ".any/x", ".orlop"])
@pytest.mark.parametrize("kind", ["blob", "image", "lease"])
def test_snapshot_references(store, kind, suffix):
    """Whatever the snapshotter is called, the value is a chainID, and the layers' forms stay."""
    layer, loose = Digest.of(b"layer"), Digest.of(b"loose")
    kept, gone = store.chain("kept", layer), store.chain("gone", loose)
    label = {f"{GC}ref.snapshot{suffix}": kept}
    if kind == "blob":
        store.image("image", store.blob("target", labels=label))
    elif kind == "image":
        store.image("image", store.blob("target"), labels=label)
    else:
        store.lease(labels=label)
    assert store.collect() == {("chain", gone), ("form", loose)}
    assert (store.chains.digests, store.forms.digests) == ({kept}, {layer})


def test_back_references(store):
    """What has such a label lives as long as what the label names."""
    layer = Digest.of(b"layer")
    chain = store.chain("chain", layer)
    target = store.blob("target")
    store.image("image", target, chain)
    followers = {
        store.blob("1", labels={f"{GC}bref.content": target}),
        store.blob("2", labels={f"{GC}bref.content/x": target}),
        store.blob("3", labels={f"{GC}bref.image.x": "image"}),
        store.blob("4", labels={f"{GC}bref.snapshot.overlayfs": chain}),
    }
    store.blob("5", labels={f"{GC}bref.image": "another image"})
    store.blob("6", labels={f"{GC}bref.content": Digest.of(b"never stored")})
    below = store.blob("below")
    follower = store.blob("7", [below], labels={f"{GC}bref.content": min(followers)})
    assert len(store.collect()) == 2
    assert store.left() == {"image", target, below, follower, *followers}
    with store.database.write() as tx:
        Images(tx).delete("image")
    assert len(store.collect()) == 9
    assert store.left() == set()


def test_back_reference_to_what_exists_by_name_alone(store):
    """A label that keeps an image which does not exist does not bring its followers to life."""
    follower = store.blob("follower", labels={f"{GC}bref.image": "ghost"})
    store.lease(labels={f"{GC}ref.image": "ghost"})
    assert store.collect() == {("blob", follower)}


@pytest.mark.parametrize("end", [PAST, PRESENT])
def test_expired_images(store, end):
    """An image that has expired loses its name, and all that only it kept."""
    over, live, odd = store.blob("over"), store.blob("live"), store.blob("odd")
    store.image("over", over, labels={f"{GC}expire": end})
    store.image("live", live, labels={f"{GC}expire": FUTURE})
    store.image("odd", odd)
    with store.database.write() as tx:
        tx.execute("INSERT INTO image_labels VALUES ('odd', ?, 'tomorrow')", (f"{GC}expire",))
    assert store.collect() == {("image", "over"), ("blob", over)}
    assert store.left() == {"live", live, "odd", odd}


@pytest.mark.parametrize(
    ("end", "gone"), [("0001-01-01T00:00:00Z", True), ("9999-12-31T23:59:59Z", False)]
)
def test_ends_that_no_64_bit_number_counts(store, end, gone):
    """Whoever writes the last moment there is means that it never ends."""
    blob = store.blob("blob")
    store.image("it", blob, labels={f"{GC}expire": end})
    assert store.collect() == ({("image", "it"), ("blob", blob)} if gone else set())


@pytest.mark.parametrize(
    "by", ["image", "blob", "lease", "bref.image", "bref.content", "bref.snapshot.x"]
)
def test_expired_image_that_is_kept(store, by):
    below = store.blob("below")
    base = store.blob("base", [below])
    store.image("base", base, labels={f"{GC}expire": PAST})
    top = store.blob("top", labels={f"{GC}ref.image.base": "base"} if by == "blob" else {})
    store.image("top", top, labels={f"{GC}ref.image": "base"} if by == "image" else {})
    if by == "lease":
        store.lease(labels={f"{GC}ref.image": "base"})
    chain = store.chain("chain")
    store.image("mounted", top, chain)
    followed = {"bref.image": "top", "bref.content": top, "bref.snapshot.x": chain}
    if by in followed:
        store.label("image", "base", {f"{GC}expire": PAST, GC + by: followed[by]})
    assert store.collect() == set()
    assert store.left() == {"base", "top", "mounted", base, top, below}


def test_expired_images_that_keep_each_other_go(store):
    blob = store.blob("blob", labels={f"{GC}ref.image": "one"})
    for name, other in (("one", "two"), ("two", "one")):
        store.image(name, blob, labels={f"{GC}expire": PAST, f"{GC}ref.image": other})
    assert store.collect() == {("image", "one"), ("image", "two"), ("blob", blob)}


def test_flat_lease(store):
    """A flat lease keeps what it lists, and not what that names, by labels or otherwise."""
    layer = Digest.of(b"layer")
    chain = store.chain("chain", layer)
    child, labelled, follower = store.blob("child"), store.blob("labelled"), store.blob("follower")
    listed = store.blob("listed", [child], labels={f"{GC}ref.content": labelled})
    store.label("blob", follower, {f"{GC}bref.content": listed})
    store.lease(("blob", listed), ("chain", chain), labels={f"{GC}flat": "any"})
    assert store.collect() == {("blob", each) for each in (child, labelled, follower)}
    assert store.left() == {listed}
    assert (store.chains.digests, store.forms.digests) == ({chain}, {layer})


def test_a_flat_lease_beside_another(store):
    child = store.blob("child")
    listed = store.blob("listed", [child])
    store.lease(("blob", listed), labels={f"{GC}flat": "any"})
    store.lease(("blob", listed), id="whole")
    assert store.collect() == set()
    with store.database.write() as tx:
        Leases(tx).delete("whole")
    assert store.collect() == {("blob", child)}


def test_expired_leases(store):
    """By the label as by the record; what cannot be read ends nothing."""
    one, two, three = (store.blob(each) for each in ("one", "two", "three"))
    store.lease(("blob", one), id="label", labels={f"{GC}expire": PAST})
    store.lease(("blob", two), id="record", expires_at_ns=NOW)
    store.lease(("blob", three), id="live", labels={f"{GC}expire": FUTURE})
    assert store.collect() == {
        ("lease", "label"), ("blob", one), ("lease", "record"), ("blob", two),
    }  # fmt: skip
    assert store.left() == {three}


def test_sizes(store):
    kept, gone = store.blob("kept"), store.blob("gone!")
    store.image("image", kept)
    done = collector.collect(store.database, store.content)
    assert done == Collected(blobs=1, size=5, items=(Item(kind="blob", key=gone, size=5),))


def test_a_plan_writes_nothing(store):
    """It runs where nothing may be written, whatever there is to forget."""
    store.lease(("blob", store.blob("held")), expires_at_ns=1)
    store.image("over", store.blob("over"), labels={f"{GC}expire": PAST})
    path = store.database.path
    with Database.open(path, read_only=True) as database:
        plan = collector.collect(database, store.content, dry_run=True, now_ns=lambda: NOW)
    assert [(item.kind, item.key) for item in plan.items][:2] == [
        ("lease", "lease"),
        ("image", "over"),
    ]
    assert plan.blobs == 2
    assert len(store.left()) == 3
