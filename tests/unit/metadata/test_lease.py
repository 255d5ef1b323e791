"""What a lease ends with: its block, its process, this boot, its time."""

import errno
import subprocess
import sys
from dataclasses import replace

import pytest

from orlop.content import MemoryContent
from orlop.errors import AlreadyExistsError, InvalidError, NotFoundError
from orlop.metadata import Database, Lease, LeaseRecord, Leases, Owner
from orlop.metadata.content import LeasedContent
from orlop.metadata.gc import collect
from orlop.metadata.leases import MAX_LEASE_ID, is_live, unreleased

SECOND = 10**9


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 10**18

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path / "orlop.db") as database:
        yield database


@pytest.fixture
def begin(database, clock):
    def begin(purpose="test", **options):
        return Lease(database, purpose, now_ns=clock, **options)

    return begin


def record_of(database, lease):
    with database.read() as tx:
        return Leases(tx).get(lease.id)


def live(database, clock):
    with database.read() as tx:
        return [record.id for record in Leases(tx).list() if is_live(record, clock())]


def test_name_and_labels(begin, database, clock):
    with begin("why", id="mine", labels={"a": "b"}, expires=1.5) as lease:
        assert record_of(database, lease) == lease.record
        assert lease.record == LeaseRecord(
            id="mine",
            owner=Owner.current(),
            created_at_ns=clock.now,
            expires_at_ns=clock.now + 1_500_000_000,
            labels={"orlop.purpose": "why", "a": "b"},
        )
        assert lease.record.purpose == "why"
    assert record_of(database, lease) is None


def test_purposes_that_are_odd(begin, database):
    with begin("pull oci:/\udcff" + "x" * 10_000) as lease:
        assert lease.record.purpose.startswith("pull oci:/\\udcffx")
        assert record_of(database, lease) == lease.record
    with begin("") as lease:
        assert lease.record.labels == {}


def test_names_that_are_taken(begin, database, clock):
    first = begin(id="mine", expires=10, until="expiry")
    first.hold("blob", "a")
    with pytest.raises(AlreadyExistsError, match="'mine'"):
        begin(id="mine")
    clock.wait(10)
    with begin(id="mine") as second, database.read() as tx:
        assert list(Leases(tx).items("mine")) == []
        assert second.record.owner == Owner.current()


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", "a b", "-a", "a-", "a..b", "ä", "a\n", "x" * (MAX_LEASE_ID + 1)]
)
def test_names_that_are_none(begin, name):
    with pytest.raises(InvalidError, match="no name for a lease") as caught:
        begin(id=name)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "X" * MAX_LEASE_ID])
def test_names_that_are_good(begin, database, clock, name):
    with begin(id=name):
        assert live(database, clock) == [name]


def test_labels_that_could_not_be_obeyed(begin, database, clock):
    with pytest.raises(InvalidError, match="no time"):
        begin(labels={"containerd.io/gc.expire": "soon"})
    assert live(database, clock) == []


@pytest.mark.parametrize("until", ["process", "boot", "expiry"])
def test_time_ends_every_lease(begin, database, clock, until):
    lease = begin(until=until, expires=10)
    lease.hold("blob", "a")
    clock.wait(9.9)
    assert lease.holds("blob", "a")
    assert live(database, clock) == [lease.id]
    clock.wait(0.1)
    assert live(database, clock) == []
    assert not lease.holds("blob", "a")
    with pytest.raises(NotFoundError, match="has ended"):
        lease.hold("blob", "a")
    with pytest.raises(NotFoundError, match="has ended"):
        lease.extend(10)
    with pytest.raises(NotFoundError, match="has ended"):
        lease.detach()


def test_a_label_ends_a_lease_too(begin, database, clock):
    lease = begin(until="expiry", labels={"containerd.io/gc.expire": "2001-09-09T01:46:50Z"})
    assert live(database, clock) == [lease.id]
    lease.extend(100)
    clock.wait(9)
    assert live(database, clock) == [lease.id]
    clock.wait(1)
    assert live(database, clock) == []


def test_extending(begin, database, clock):
    lease = begin(expires=10)
    clock.wait(5)
    lease.extend(10)
    clock.wait(9)
    assert live(database, clock) == [lease.id]
    assert record_of(database, lease) == lease.record
    lease.extend(None)
    clock.wait(10**6)
    assert live(database, clock) == [lease.id]


@pytest.mark.parametrize("seconds", [None, 10**10, 1e300, float("inf")])
def test_ends_that_nobody_counts_are_none(begin, seconds):
    lease = begin(expires=seconds)
    assert lease.record.expires_at_ns is None
    lease.extend(10)
    lease.extend(seconds)
    assert lease.record.expires_at_ns is None


@pytest.mark.parametrize("seconds", [-1, -1e300, float("-inf"), float("nan")])
def test_ends_before_the_beginning(begin, database, clock, seconds):
    with pytest.raises(ValueError, match=r"ago|NaN"):
        begin(expires=seconds)
    assert live(database, clock) == []


def test_others_let_a_lease_end_at_another_time(begin, database, clock):
    lease = begin(id="mine", expires=10)
    other = Lease.resume(database, "mine", now_ns=clock)
    lease.hold("blob", "a")
    other.extend(100)
    clock.wait(50)
    lease.hold("blob", "a", "b")
    assert lease.holds("blob", "b")
    other.extend(1)
    clock.wait(2)
    with pytest.raises(NotFoundError, match="has ended"):
        lease.hold("blob", "c")
    with database.read() as tx:
        assert list(Leases(tx).items("mine")) == [("blob", "a"), ("blob", "b")]


def test_ends_with_this_boot(begin, clock):
    lease = begin(until="boot")
    assert lease.record.owner is None
    assert is_live(lease.record, clock())
    assert not is_live(replace(lease.record, boot_id="another"), clock())


def test_ends_with_nothing_but_time(begin, clock):
    lease = begin(until="expiry")
    assert lease.record.owner is None
    assert lease.record.boot_id == ""
    clock.wait(10**8)
    assert is_live(lease.record, clock())


@pytest.mark.parametrize(
    ("options", "boot"),
    [
        ({}, Owner.current().boot_id),
        ({"expires": 10}, ""),
        ({"until": "boot", "expires": 10}, Owner.current().boot_id),
        ({"until": "expiry"}, ""),
    ],
)
def test_leaving_a_lease_behind(begin, database, clock, options, boot):
    with begin(**options) as lease:
        lease.hold("blob", "a")
        lease.detach()
    assert record_of(database, lease) == lease.record
    assert lease.record.owner is None
    assert lease.record.boot_id == boot
    with database.read() as tx:
        assert list(Leases(tx).items(lease.id)) == [("blob", "a")]
    lease.release()
    assert live(database, clock) == []


def test_going_on_with_a_lease(begin, database, clock):
    begin(id="mine", until="boot").hold("blob", "a")
    with Lease.resume(database, "mine", now_ns=clock) as lease:
        lease.hold("blob", "b")
        lease.drop("blob", "a")
        with database.read() as tx:
            assert list(Leases(tx).items("mine")) == [("blob", "b")]
    with pytest.raises(NotFoundError, match="'mine'"):
        Lease.resume(database, "mine", now_ns=clock)


KILLED = """
import sys
from orlop.content import LocalContent
from orlop.metadata import Database, Lease
from orlop.metadata.content import LeasedContent
root = sys.argv[1]
database = Database.open(root + "/orlop.db")
for until in ("process", "boot", "expiry"):
    lease = Lease(database, until=until, id=until)
    LeasedContent(LocalContent(root), database, lease).put(until.encode())
with Lease(database, id="left") as lease:
    LeasedContent(LocalContent(root), database, lease).put(b"left")
    lease.detach()
print("ready", flush=True)
sys.stdin.read()
"""


def test_killed_owner(database, tmp_path):
    """Only what ends with its process ends with it, and the next collection takes what it kept."""
    from orlop.content import LocalContent

    content = LocalContent(tmp_path)
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        assert collect(database, content).blobs == 0
        process.kill()
    done = collect(database, content)
    assert (done.leases, done.blobs) == (1, 1)
    with database.read() as tx:
        assert {record.id for record in Leases(tx).list()} == {"boot", "expiry", "left"}
    with database.write() as tx:  # As if the machine had been started again.
        tx.execute("UPDATE leases SET boot_id = 'another' WHERE boot_id <> ''")
    done = collect(database, content)
    assert (done.leases, done.blobs) == (2, 2)
    with database.read() as tx:
        assert [record.id for record in Leases(tx).list()] == ["expiry"]


@pytest.fixture
def full_disk(monkeypatch):
    """Nothing can be written inside the block."""

    def fill():
        def full(self):
            raise OSError(errno.ENOSPC, "No space left on device", self.path)

        context = monkeypatch.context()
        context.__enter__().setattr(Database, "write", full)
        return lambda: context.__exit__(None, None, None)

    return fill


def test_leases_that_end_on_a_full_disk(begin, database, clock, full_disk):
    """They are over for this process at once, and for all with its next lease."""

    def fail():
        with begin(id="failing"):
            empty.append(full_disk())
            raise KeyError

    empty = []
    with pytest.raises(KeyError):
        fail()
    empty.pop()()
    lease = begin(id="ending")
    make_room = full_disk()
    with pytest.raises(OSError, match="No space"):
        lease.release()
    make_room()
    with database.read() as tx:
        assert [record.id for record in Leases(tx).list()] == ["ending"]
    assert live(database, clock) == []
    with begin(id="ending"):
        assert live(database, clock) == ["ending"]
    assert unreleased.isdisjoint({"failing", "ending"})


def test_what_an_expired_lease_keeps_is_taken(begin, database, clock):
    content = MemoryContent()
    lease = begin(expires=10, until="expiry")
    LeasedContent(content, database, lease).put(b"x")
    clock.wait(9)
    assert collect(database, content, now_ns=clock).blobs == 0
    clock.wait(1)
    assert collect(database, content, now_ns=clock).blobs == 1
