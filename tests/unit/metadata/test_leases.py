import os
import subprocess
import sys
from dataclasses import replace

import pytest

from orlop.errors import AlreadyExistsError, NotFoundError
from orlop.metadata import Database, Lease, LeaseRecord, Leases, Owner
from orlop.metadata.leases import is_live
from orlop.metadata.owner import FOREIGN_LEASE_TIME

NOW = 10**18


@pytest.fixture
def database(tmp_path):
    with Database.open(tmp_path / "orlop.db") as database:
        yield database


def items(database, lease=None):
    with database.read() as tx:
        return list(Leases(tx).items(lease))


def test_lease_lives_as_long_as_its_block(database):
    with Lease(database, "pull", now_ns=lambda: NOW) as lease:
        lease.hold("blob", "b", "a")
        lease.hold("ingest", "r")
        lease.hold("blob", "b")
        with database.read() as tx:
            (record,) = Leases(tx).list()
            assert record == Leases(tx).get(lease.id)
            assert record == LeaseRecord(
                id=lease.id,
                owner=Owner.current(),
                created_at_ns=NOW,
                labels={"orlop.purpose": "pull"},
            )
        assert items(database, lease.id) == [("blob", "a"), ("blob", "b"), ("ingest", "r")]
    assert items(database) == []
    with database.read() as tx:
        assert Leases(tx).get(lease.id) is None


def test_holding_and_dropping_in_a_transaction(database):
    with Lease(database) as lease:
        lease.hold("blob", "a", "b")
        with database.write() as tx:
            lease.hold_in(tx, "form", "f")
            lease.drop_in(tx, "blob", "a")
        assert items(database) == [("blob", "b"), ("form", "f")]
        lease.hold("blob", "a")
        assert items(database) == [("blob", "a"), ("blob", "b"), ("form", "f")]


def test_what_is_held_already_costs_no_transaction(database):
    with Lease(database) as lease:
        lease.hold("blob", "a")
        with database.write():
            lease.hold("blob", "a")
            with pytest.raises(ValueError, match="already"):
                lease.hold("blob", "b")


def test_a_lease_that_has_ended_keeps_nothing(database):
    lease = Lease(database)
    lease.hold("blob", "a")
    lease.release()
    lease.release()
    for key in ("a", "b"):
        with pytest.raises(NotFoundError, match="has ended") as caught:
            lease.hold("blob", key)
        assert caught.value.hint
    assert items(database) == []


def test_leases_with_names_of_their_own(database):
    record = LeaseRecord(id="mine", owner=None, created_at_ns=1, expires_at_ns=5, labels={"x": "y"})
    with database.write() as tx:
        Leases(tx).create(record)
        Leases(tx).hold("mine", "chain", ["c"])
        assert Leases(tx).get("mine") == record
        assert Leases(tx).extend("mine", 9) is True
        assert Leases(tx).get("mine") == replace(record, expires_at_ns=9)
        assert Leases(tx).extend("missing", 9) is False
    with pytest.raises(AlreadyExistsError), database.write() as tx:
        Leases(tx).create(record)
    with database.write() as tx:
        Leases(tx).drop("mine", "chain", ["c", "d"])
        assert Leases(tx).delete("mine") is True
        assert Leases(tx).delete("mine") is False


def test_unknown_kinds_are_refused(database):
    with Lease(database) as lease, pytest.raises(ValueError, match="CHECK"):
        lease.hold("nonsense", "a")


def test_owner_is_alive_however_long_it_takes(database):
    record = LeaseRecord(id="x", owner=Owner.current(), created_at_ns=0)
    assert is_live(record, NOW)
    assert not is_live(replace(record, expires_at_ns=NOW), NOW)


@pytest.mark.parametrize(
    "changes", [{"start": 1}, {"pid": 2**22 + 1}, {"boot_id": "another"}], ids=str
)
def test_owner_is_gone(changes):
    owner = replace(Owner.current(), **changes)
    assert not is_live(LeaseRecord(id="x", owner=owner, created_at_ns=NOW), NOW)


def test_owner_that_cannot_be_seen_is_believed_for_a_while():
    owner = replace(Owner.current(), pid_namespace=1, start=1)
    record = LeaseRecord(id="x", owner=owner, created_at_ns=NOW)
    assert is_live(record, NOW + FOREIGN_LEASE_TIME - 1)
    assert not is_live(record, NOW + FOREIGN_LEASE_TIME)
    assert not is_live(replace(record, expires_at_ns=NOW + 1), NOW + 1)


def test_lease_without_owner_expires():
    record = LeaseRecord(id="x", owner=None, created_at_ns=0, expires_at_ns=NOW)
    assert is_live(record, NOW - 1)
    assert not is_live(record, NOW)
    assert is_live(replace(record, expires_at_ns=None), NOW)


LEASING = """
import sys
from orlop.metadata import Database, Lease
lease = Lease(Database.open(sys.argv[1]))
print(lease.id, flush=True)
sys.stdin.read()
"""


def test_lease_of_another_process(database):
    command = [sys.executable, "-c", LEASING, database.path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        lease = process.stdout.readline().strip()
        with database.read() as tx:
            record = Leases(tx).get(lease)
        assert record.owner.pid == process.pid != os.getpid()
        assert is_live(record, NOW)
        process.kill()
    assert not is_live(record, NOW)
