"""`orlop lease`: what a person keeps, and until when."""

import json
import time

import pytest

from orlop.metadata import Database, Lease

HOUR = 3600 * 10**9


@pytest.fixture
def store(empty, layout):
    empty.pull(layout.source, "--tag", "box")
    return empty


def lines(store, *arguments):
    done = store.orlop("lease", *arguments)
    assert done.code == 0, done
    return done.out.splitlines()


def document(store, *arguments):
    return json.loads("\n".join(lines(store, *arguments, "--format", "json")))


def create(store, *arguments):
    (name,) = lines(store, "create", *arguments)
    return name


def blobs(store):
    return {name for name in store.files() if name.startswith(("blobs", "forms", "chains"))}


def test_lease_keeps_what_no_image_names_any_more(store):
    before = blobs(store)
    name = create(store, "box")
    store.orlop("rm", "box")
    store.collect()
    assert blobs(store) == before
    assert lines(store, "rm", name) == [name]
    store.collect()
    assert blobs(store) == set()


def test_what_is_kept_can_be_pulled_again_at_once(store, layout):
    create(store, "box")
    store.orlop("rm", "box")
    store.collect()
    store.pull(layout.source, "--tag", "box")
    assert store.orlop("cat", "box", "/etc/hostname").out == "box\n"


def test_ends_in_a_day_unless_told_otherwise(store):
    now = time.time_ns()
    ends = {
        create(store): now + 24 * HOUR,
        create(store, "--expires", "90m"): now + 90 * 60 * 10**9,
        create(store, "--expires", "2100-01-01"): 4102444800 * 10**9,
        create(store, "--expires", "never"): None,
        create(store, "--expires", "9999-12-31"): None,
        create(store, "--until-boot"): None,
        create(store, "--until-boot", "--expires", "2h"): now + 2 * HOUR,
    }
    for lease in document(store, "ls"):
        end, expected = lease["expires_at_ns"], ends.pop(lease["id"])
        assert end == expected or 0 <= end - expected < HOUR
    assert ends == {}


def test_list_for_people(store):
    create(store, "--id", "kept", "--expires", "never", "--label", "orlop.purpose=a release")
    create(store, "--id", "today", "--until-boot")
    heading, first, second = lines(store, "ls")
    assert heading.split() == ["ID", "CREATED", "ENDS", "PURPOSE"]
    assert first.split() == ["kept", "just", "now", "never", "a", "release"]
    assert second.split() == ["today", "just", "now", "with", "this", "boot"]


def test_filters(store):
    create(store, "--id", "one", "--label", "team=sea", "--expires", "1h")
    create(store, "--id", "two", "--label", "team=air", "--expires", "never")
    assert lines(store, "ls", "-q") == ["one", "two"]
    assert lines(store, "ls", "-q", "--filter", "labels.team==sea") == ["one"]
    assert lines(store, "ls", "-q", "--filter", "expiresat") == ["one"]
    assert lines(store, "ls", "-q", "--filter", "id==two", "--filter", "id==one") == ["one", "two"]
    assert lines(store, "ls", "-q", "--filter", "createdat<1h") == []
    store.orlop("lease", "ls", "--filter", "labels.team=sea").check_failure(2)
    store.orlop("lease", "ls", "--filter", "expires").check_failure(2, "no field 'expires'")


def test_inspecting(store):
    name = create(store, "--id", "mine", "--label", "a=b", "box")
    found = document(store, "inspect", name)
    assert found["id"] == "mine"
    assert found["labels"] == {"a": "b"}
    assert found["pid"] is None
    kinds = [item["kind"] for item in found["items"]]
    assert kinds == ["blob", "blob", "stack"]  # The target is the manifest.
    shown = lines(store, "inspect", name)
    assert shown[0] == "id:       mine"
    assert "label:    a=b" in shown
    assert {item["key"] for item in found["items"]} <= {line.split()[-1] for line in shown}


def test_adding(store):
    name = create(store)
    config = json.loads(store.orlop("inspect", "box", "--format", "json").out)["id"]
    layer = json.loads(store.orlop("inspect", "box", "--format", "json").out)["config"]["rootfs"]
    lines(store, "add", name, config[7:19], layer["diff_ids"][0])
    kinds = [item["kind"] for item in document(store, "inspect", name)["items"]]
    assert sorted(set(kinds)) == ["blob", "layer", "stack"]
    before = document(store, "inspect", name)
    missing = "sha256:" + "0" * 64
    for thing in ("nothing", missing):
        store.orlop("lease", "add", name, "box", thing).check_failure(3, thing[:7])
    assert document(store, "inspect", name) == before
    store.orlop("lease", "add", "missing", "box").check_failure(3, "no lease")


def test_creating_with_what_is_missing_leaves_no_lease(store):
    store.orlop("lease", "create", "nothing").check_failure(3, "nothing")
    assert lines(store, "ls", "-q") == []


def test_extending(store):
    name = create(store, "--expires", "1h")
    lines(store, "extend", name, "--expires", "never")
    assert document(store, "inspect", name)["expires_at_ns"] is None
    lines(store, "extend", name)
    assert document(store, "inspect", name)["expires_at_ns"] > time.time_ns() + 23 * HOUR
    store.orlop("lease", "extend", "missing").check_failure(3, "no lease")


@pytest.mark.parametrize("expires", ["yesterday", "2020-01-01", "-1h", "0s", "", "1"])
def test_times_that_are_none(store, expires):
    done = store.orlop("lease", "create", f"--expires={expires}")
    done.check_failure(2, "no time to come")
    assert lines(store, "ls", "-q") == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--id", "a b"], 1, "no name for a lease"),
        (["--label", "nonsense"], 2, "no label"),
        (["--label", "containerd.io/gc.expire=soon"], 1, "no time"),
        (["--label", "k=" + "x" * 5000], 1, "MAX_LABEL_SIZE"),
    ],
)
def test_wrong_options(store, arguments, code, says):
    store.orlop("lease", "create", *arguments).check_failure(code, says)
    assert lines(store, "ls", "-q") == []


def test_names_that_are_taken(store):
    create(store, "--id", "mine")
    store.orlop("lease", "create", "--id", "mine").check_failure(1, "exists already")


def test_ending_the_lease_of_a_process(store):
    with Database.open(store.root / "orlop.db") as database, Lease(database, id="pull") as lease:
        assert lines(store, "ls", "-q") == ["pull"]
        assert "with process" in lines(store, "ls")[1]
        done = store.orlop("lease", "rm", "pull", "missing")
        assert (done.code, len(done.errors)) == (5, 2)
        assert lines(store, "rm", "-f", lease.id) == ["pull"]
        assert lines(store, "ls", "-q") == []


def test_no_store(empty):
    assert empty.orlop("lease", "ls").out == "ID  CREATED  ENDS  PURPOSE\n"
    empty.orlop("lease", "create").check_failure(3)
    empty.orlop("lease", "ls", "--filter", "labels.").check_failure(2)
    assert not empty.root.exists()
