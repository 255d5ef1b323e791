"""`Store.leases`: what keeps content, as an application holds it."""

import pytest

import orlop
from orlop.digest import Digest
from orlop.errors import InUseError, InvalidFilterError, NotFoundError
from orlop.transfer import Stage
from support.images import ImageBuilder, file

NOTE = b"a note"
DIGEST = Digest.of(NOTE)


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        yield store


@pytest.fixture
def source(tmp_path):
    builder = ImageBuilder()
    builder.layer(file("etc/hostname", b"box\n"))
    builder.write(tmp_path / "layout")
    return f"oci:{tmp_path}/layout"


def test_leases_are_listed_until_they_end(store):
    with store.lease("one", id="one", labels={"team": "sea"}), store.lease(id="two"):
        assert [lease.id for lease in store.leases.list()] == ["one", "two"]
        assert [lease.id for lease in store.leases.list("labels.team==sea")] == ["one"]
        assert store.leases.get("one").purpose == "one"
        with pytest.raises(InvalidFilterError):
            store.leases.list("id=one")
    assert store.leases.list() == ()
    for use in (store.leases.get, store.leases.items, store.leases.resume, store.leases.end):
        with pytest.raises(NotFoundError, match="'one'"):
            use("one")


def test_a_lease_keeps_what_it_is_told_to(store):
    with store.lease(id="short") as lease:
        store.content(lease).put(NOTE)
        store.lease(id="long", until="expiry")
        assert store.leases.hold("long", DIGEST) == (("blob", DIGEST),)
    store.collect()
    assert store.leases.items("long") == (("blob", DIGEST),)
    assert store.content().read(DIGEST, len(NOTE)) == NOTE
    with store.leases.resume("long"):
        pass
    store.collect()
    assert store.content().stat(DIGEST) is None


def test_all_is_kept_or_nothing(store):
    with store.lease(id="it") as lease:
        store.content(lease).put(NOTE)
        store.lease(id="other", until="boot")
        with pytest.raises(NotFoundError, match="nothing"):
            store.leases.hold("other", DIGEST, Digest.of(b"nowhere"))
    assert store.leases.items("other") == ()


def test_the_lease_of_a_process_is_ended_by_force(store):
    with store.lease(id="mine"):
        with pytest.raises(InUseError, match="process"):
            store.leases.end("mine")
        store.leases.end("mine", force=True)
        assert store.leases.list() == ()


@pytest.mark.parametrize("first", [True, False], ids=["new", "mountable"])
def test_a_pull_whose_lease_others_end_fails(store, source, first):
    """What it has brought in may be gone, so it gives no name to it."""

    def meddle(progress):
        if progress.stage is Stage.MERGE:
            for lease in store.leases.list():
                store.leases.end(lease.id, force=True)

    if not first:
        store.pull(source, tag="box")
    with pytest.raises(NotFoundError, match="has ended"):
        store.pull(source, tag="other", progress=meddle)
    assert [image.name for image in store.images("name~=other")] == []
    store.collect()
    store.pull(source, tag="other")
    assert store.image("other").check()
