import os
import subprocess
import sys
from dataclasses import replace

import pytest

from orlop.content import DigestDirectory, LocalContent, MemoryContent
from orlop.digest import Digest, chain_id
from orlop.metadata import (
    BlobRecord,
    Blobs,
    Chains,
    Database,
    DerivedRecord,
    Forms,
    ImageRow,
    Images,
    Lease,
    LeaseRecord,
    Leases,
    MountRecord,
    Mounts,
    Owner,
    gc,
)
from orlop.metadata.collected import Collected
from orlop.metadata.content import LeasedContent
from orlop.metadata.database import Transaction
from orlop.metadata.gc import BATCH, INGEST_KEEP_TIME


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path / "orlop.db") as database:
        yield database


@pytest.fixture
def content():
    return MemoryContent()


def collect(*arguments, **options):
    """Collect, after a dry run that must tell the same; only the counts are returned."""
    planned = gc.collect(*arguments, dry_run=True, **options)
    done = gc.collect(*arguments, **options)
    assert planned == done
    return counts(done)


def counts(collected):
    return replace(collected, size=0, items=())


class Place:
    """Derived things, as names alone."""

    def __init__(self, *digests):
        self.digests = set(digests)

    def iter_digests(self):
        return iter(sorted(self.digests))

    def delete(self, digest):
        found = digest in self.digests
        self.digests.discard(digest)
        return found


def digest(text):
    return Digest.of(text.encode())


def store(database, content, text, children=()):
    """A blob that only records keep."""
    with Lease(database) as lease:
        return LeasedContent(content, database, lease).put(text.encode(), children=children)


def tag(database, name, target, chain=None):
    with database.write() as tx:
        record = ImageRow(
            name=name,
            target="{}",
            target_digest=target,
            image_id=target,
            chain_id=chain,
            size=1,
            created_at_ns=1,
            updated_at_ns=1,
        )
        Images(tx).put(record)


def derive(database, chain, *layers):
    with database.write() as tx:
        Chains(tx).put_layers(chain, layers)
        Chains(tx).put(DerivedRecord(source=chain, kind="index", size=1, boot_id="b"))
        for layer in layers:
            for kind in ("tar", "changeset"):
                Forms(tx).put(DerivedRecord(source=layer, kind=kind, size=1, boot_id="b"))


def recorded(database):
    with database.read() as tx:
        return {record.digest for record in Blobs(tx).list()}


def test_nothing_to_do(database, content):
    assert collect(database, content) == Collected()


def test_nothing_to_do_costs_no_query_for_each(database, content, monkeypatch):
    """Ten times the images are read by the same number of queries."""
    forms, chains, run, asked = Place(), Place(), Transaction._run, []

    def counting(self, sql, values):
        asked.append(sql)
        return run(self, sql, values)

    def queries(images):
        for number in range(images):
            layers = [digest(f"layer {number} {ordinal}") for ordinal in range(3)]
            chain = chain_id(layers)
            derive(database, chain, *layers)
            forms.digests |= set(layers)
            chains.digests.add(chain)
            tag(database, f"{number}", store(database, content, f"{number}"), chain)
        with monkeypatch.context() as patch:
            patch.setattr(Transaction, "_run", counting)
            assert collect(database, content, forms=forms, chains=chains) == Collected()
        count = len(asked)
        asked.clear()
        return count

    assert queries(2) == queries(20) > 0


def test_what_an_image_names_is_kept(database, content):
    layer = store(database, content, "layer")
    manifest = store(database, content, "manifest", [layer, digest("not fetched")])
    index = store(database, content, "index", [manifest])
    other = store(database, content, "other", [layer])
    tag(database, "a", index)
    assert collect(database, content) == Collected(blobs=1)
    assert set(content.iter_digests()) == recorded(database) == {layer, manifest, index}
    assert content.stat(other) is None
    with database.write() as tx:
        Images(tx).delete("a")
    assert collect(database, content) == Collected(blobs=3)
    assert list(content.iter_digests()) == []


def test_shared_blobs_live_with_their_last_image(database, content):
    layer = store(database, content, "layer")
    for name in ("a", "b"):
        tag(database, name, store(database, content, name, [layer]))
    for name, left in (("a", 2), ("b", 0)):
        with database.write() as tx:
            Images(tx).delete(name)
        collect(database, content)
        assert len(recorded(database)) == left


def test_documents_that_name_each_other_are_garbage_all_the_same(database, content):
    one, two = digest("one"), digest("two")
    store(database, content, "one", [two])
    store(database, content, "two", [one, two])
    assert collect(database, content) == Collected(blobs=2)


def test_live_lease_keeps_blobs_with_what_they_name(database, content):
    with Lease(database) as lease:
        leased = LeasedContent(content, database, lease)
        layer = leased.put(b"layer")
        with database.write() as tx:
            lease.drop_in(tx, "blob", layer)
        manifest = leased.put(b"manifest", children=[layer])
        assert collect(database, content) == Collected()
        assert recorded(database) == {layer, manifest}
    assert collect(database, content) == Collected(blobs=2)


def test_dead_leases_keep_nothing(database, content):
    kept = store(database, content, "kept")
    gone = store(database, content, "gone")
    dead = replace(Owner.current(), start=1)
    with database.write() as tx:
        Leases(tx).create(LeaseRecord(id="dead", owner=dead, created_at_ns=1))
        Leases(tx).create(LeaseRecord(id="forever", owner=None, created_at_ns=1))
        Leases(tx).create(LeaseRecord(id="over", owner=None, created_at_ns=1, expires_at_ns=50))
        Leases(tx).hold("dead", "blob", [gone])
        Leases(tx).hold("over", "blob", [gone])
        Leases(tx).hold("forever", "blob", [kept])
    assert collect(database, content, now_ns=lambda: 49) == Collected(leases=1)
    assert collect(database, content, now_ns=lambda: 50) == Collected(leases=1, blobs=1)
    assert recorded(database) == {kept}


def test_chains_keep_their_forms(database, content):
    base, top, other = digest("base"), digest("top"), digest("other")
    tagged, mounted, leased, loose = map(digest, ("tagged", "mounted", "leased", "loose"))
    chains = (tagged, mounted, leased, loose)
    stacks = [(base,), (base, top), (other,), (base, digest("only"))]
    for chain, layers in zip(chains, stacks, strict=True):
        derive(database, chain, *layers)
    tag(database, "a", store(database, content, "manifest"), tagged)
    mount = MountRecord(
        id="m",
        chain_id=mounted,
        target="/x",
        driver="erofs",
        boot_id=Owner.current().boot_id,
        mount_namespace=1,
        created_at_ns=1,
    )
    with database.write() as tx:
        Mounts(tx).put(mount)
        Mounts(tx).put(replace(mount, id="old", chain_id=loose, boot_id="another"))
    forms = Place(base, top, other, digest("only"), digest("never recorded"))
    places = Place(*chains)
    with Lease(database) as lease:
        lease.hold("chain", leased)
        done = collect(database, content, forms=forms, chains=places)
        assert done == Collected(mounts=1, chains=1, forms=2)
        assert forms.digests == {base, top, other}
        assert places.digests == {tagged, mounted, leased}
    assert collect(database, content, forms=forms, chains=places) == Collected(chains=1, forms=1)
    with database.write() as tx:
        Mounts(tx).delete("m")
        Images(tx).delete("a")
    done = collect(database, content, forms=forms, chains=places)
    assert done == Collected(blobs=1, chains=2, forms=2)
    with database.read() as tx:
        assert list(Forms(tx).list()) == list(Chains(tx).list()) == []
        assert Chains(tx).layers(mounted) == ()


def test_forms_under_way_are_kept(database, content):
    forms = Place(digest("being made"), digest("left behind"))
    with Lease(database) as lease:
        lease.hold("form", digest("being made"))
        assert collect(database, content, forms=forms) == Collected(forms=1)
    assert collect(database, content, forms=forms) == Collected(forms=1)


def test_files_without_records_are_freed(database, tmp_path):
    content = LocalContent(tmp_path)
    with content.ingest("x") as ingest:
        ingest.write(b"x")
        ingest.commit()
    forms = DigestDirectory(str(tmp_path / "forms"), content.trash)
    (tmp_path / "form").mkdir()
    forms.adopt(str(tmp_path / "form"), digest("form"))
    assert collect(database, content, forms=forms) == Collected(blobs=1, forms=1)
    assert os.listdir(tmp_path / "trash") == []
    assert list(content.iter_digests()) == list(forms.iter_digests()) == []


def test_ingests(database, content):
    clock = [1]
    content = MemoryContent(lambda: clock[0])
    for reference in ("leased", "resting"):
        with content.ingest(reference) as ingest:
            ingest.write(b"x")
    with Lease(database) as lease:
        lease.hold("ingest", "leased")
        clock[0] += INGEST_KEEP_TIME
        assert collect(database, content, now_ns=lambda: clock[0]) == Collected()
        clock[0] += 1
        assert collect(database, content, now_ns=lambda: clock[0]) == Collected(ingests=1)
        assert [status.reference for status in content.statuses()] == ["leased"]
    assert collect(database, content, now_ns=lambda: clock[0]) == Collected(ingests=1)


def test_many_batches(database, content):
    with Lease(database) as lease:
        leased = LeasedContent(content, database, lease)
        for number in range(BATCH * 2 + 1):
            with content.ingest("x") as ingest:
                ingest.write(b"%d" % number)
                ingest.commit()
        with database.write() as tx:
            for found in content.iter_digests():
                Blobs(tx).put(BlobRecord(digest=found, size=1, created_at_ns=1))
        kept = leased.put(b"kept")
        assert collect(database, content) == Collected(blobs=BATCH * 2 + 1)
        assert recorded(database) == {kept}


@pytest.fixture
def before_write(monkeypatch):
    """Lets somebody else act just before the collector's transaction of this number."""

    def arrange(number, act):
        write = Database.write
        seen = []

        def racing(self):
            seen.append(self)
            if len(seen) == number:
                monkeypatch.setattr(Database, "write", write)
                act()
            return write(self)

        monkeypatch.setattr(Database, "write", racing)
        return seen

    return arrange


def test_what_is_claimed_during_a_collection_is_kept(database, content, before_write):
    """Between listing files and moving them, somebody takes a file under a lease."""
    found = store(database, content, "x")
    leased = LeasedContent(content, database, Lease(database))
    claimed = []
    seen = before_write(2, lambda: claimed.append(leased.claim(found)))
    assert gc.collect(database, content) == Collected()
    assert len(seen) == 2
    assert claimed[0].digest == found
    assert recorded(database) == set(content.iter_digests()) == {found}


def test_what_is_tagged_during_a_collection_is_kept(database, content, before_write):
    """Between marking and forgetting, an image is given a document that nobody kept."""
    layer = store(database, content, "layer")
    manifest = store(database, content, "manifest", [layer])
    before_write(1, lambda: tag(database, "a", manifest))
    assert gc.collect(database, content) == Collected()
    assert recorded(database) == {layer, manifest}


def test_lease_that_is_extended_during_a_collection_is_kept(database, content, before_write):
    """Between judging a lease and forgetting it, its user prolongs it."""
    found = store(database, content, "x")
    with database.write() as tx:
        Leases(tx).create(LeaseRecord(id="x", owner=None, created_at_ns=1, expires_at_ns=2))
        Leases(tx).hold("x", "blob", [found])

    def extend():
        with database.write() as tx:
            Leases(tx).extend("x", None)

    before_write(1, extend)
    assert gc.collect(database, content, now_ns=lambda: 3) == Collected()
    assert recorded(database) == {found}


KILLED = """
import os, sys, time
from orlop.content import LocalContent
from orlop.metadata import *
from orlop.metadata.content import LeasedContent
from orlop.metadata.gc import collect

EFFECTS = {"close", "chmod", "execute", "fchmod", "flock", "fsync", "ftruncate", "listdir", "mkdir",
    "open", "pwrite", "rename", "rmdir", "unlink"}

def killed_before(number, work):
    # Whether the child was killed before its effect of this number; or it came to its end.
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    left = [number]
    def count(frame, event, function):
        if event == "c_call" and function.__name__ in EFFECTS:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), 9)
    sys.setprofile(count)
    work()
    sys.setprofile(None)
    os._exit(0)

root = sys.argv[1]
content = LocalContent(root)

def work():
    database = Database.open(root + "/orlop.db")
    with Lease(database) as lease:
        leased = LeasedContent(content, database, lease)
        layer = leased.put(os.urandom(10))
        text = b"manifest %d" % time.time_ns()
        manifest = leased.put(text, children=[layer])
        labelled, over = leased.put(os.urandom(10)), leased.put(os.urandom(10))
        labels = {"containerd.io/gc.ref.content.x": labelled}
        expired = {"containerd.io/gc.expire": "2001-01-01T00:00:00Z"}
        with database.write() as tx:
            Images(tx).put(ImageRow(name="image", target="{}", target_digest=manifest,
                labels=labels, image_id=manifest, size=1, created_at_ns=1, updated_at_ns=1))
            Images(tx).put(ImageRow(name="over", target="{}", target_digest=over, labels=expired,
                image_id=over, size=10, created_at_ns=1, updated_at_ns=1))
    collect(database, content, ingest_keep_ns=-10**12)

def check(database):
    with database.read() as tx:
        stored = set(content.iter_digests())
        for record in Blobs(tx).list():
            assert len(content.read(record.digest, record.size)) == record.size
        recorded = {record.digest for record in Blobs(tx).list()}
        images = list(Images(tx).list())
        named = {image.target_digest for image in images}
        named |= {image.labels["containerd.io/gc.ref.content.x"] for image in images
            if image.name == "image"}
        named |= {child for target in named for child in Blobs(tx).children(target)}
        assert named <= recorded <= stored
        ending = [lease.id for lease in Leases(tx).list()]
        ending += [image.name for image in images if image.name == "over"]
        return named, recorded, stored, ending

number, leftovers = 1, set()
while killed_before(number, work):
    with Database.open(root + "/orlop.db") as database:
        named, recorded, stored, ending = check(database)
        statuses = list(content.statuses())
        leftovers.add((len(recorded - named), len(stored - recorded), len(ending), len(statuses)))
        collect(database, content, ingest_keep_ns=-10**12)
        named, recorded, stored, ending = check(database)
        assert named == recorded == stored
        assert ending == list(content.statuses()) == []
        assert content.empty_trash() == 0
    number += 1
print(number, len(leftovers))
"""


def test_killed_at_any_moment(tmp_path):
    """A store is sound after every kill, and one collection later holds what its image names."""
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    moments, leftovers = map(int, done.stdout.split())
    assert moments > 100
    assert leftovers > 5


CROWD = """
import sys
from orlop.content import LocalContent
from orlop.digest import Digest, chain_id
from orlop.metadata import *
from orlop.metadata.content import LeasedContent
from orlop.metadata.gc import collect
root, role = sys.argv[1], sys.argv[2]
database, content = Database.open(root + "/orlop.db"), LocalContent(root)
for step in range(15):
    if role == "collector":
        collect(database, content)
        continue
    with Lease(database) as lease:
        leased = LeasedContent(content, database, lease)
        data = b"shared %d" % (step % 2)
        digest = Digest.of(data)
        if leased.claim(digest) is None:
            leased.put(data)
        assert leased.stat(digest) is not None
        document = leased.put(b"document " + role.encode(), children=[digest])
        with database.write() as tx:
            Images(tx).put(ImageRow(name=role, target="{}", target_digest=document,
                image_id=document, size=1, created_at_ns=1, updated_at_ns=1))
    assert leased.read(digest, len(data)) == data
    with database.write() as tx:
        Images(tx).delete(role)
"""


def test_pulls_beside_collectors(database, tmp_path):
    """What a lease or an image keeps is never taken by collectors of other processes."""
    roles = ["pull 1", "pull 2", "pull 3", "collector", "collector"]
    processes = [
        subprocess.Popen([sys.executable, "-c", CROWD, str(tmp_path), role]) for role in roles
    ]
    assert [process.wait() for process in processes] == [0] * len(roles)
    content = LocalContent(tmp_path)
    assert recorded(database) <= set(content.iter_digests())
    collect(database, content)
    assert list(content.iter_digests()) == []
    assert recorded(database) == set()
