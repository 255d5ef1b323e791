from dataclasses import replace

import pytest

from orlop.digest import Digest
from orlop.errors import AlreadyExistsError, NotFoundError
from orlop.metadata import (
    BlobRecord,
    Blobs,
    Chains,
    Database,
    DerivedRecord,
    Forms,
    ImageRow,
    Images,
    MountHolder,
    MountRecord,
    Mounts,
    Owner,
)


@pytest.fixture
def tx(tmp_path):
    with Database.open(tmp_path / "orlop.db") as database, database.write() as tx:
        yield tx


def digest(text):
    return Digest.of(text.encode())


def image(name, content="content", **changes):
    record = ImageRow(
        name=name,
        target='{"mediaType": "x", "unknown": "ünïcode"}',
        target_digest=digest(f"target of {content}"),
        image_id=digest(content),
        size=7,
        created_at_ns=1,
        updated_at_ns=2,
    )
    return replace(record, **changes)


def names(records):
    return [record.name for record in records]


def test_image_comes_back_as_it_was_put(tx):
    plain = image("plain")
    whole = image(
        "whole",
        manifest_digest=digest("manifest"),
        chain_id=digest("chain"),
        platform="linux/arm64/v8",
        size=2**40,
        labels={"a": "b", "ü": "\0\n"},
    )
    for record in (plain, whole):
        Images(tx).put(record)
        assert Images(tx).get(record.name) == record
        assert isinstance(Images(tx).get(record.name).image_id, Digest)
    assert Images(tx).get("nothing") is None
    assert Images(tx).count() == 2


def test_putting_a_taken_name_moves_it(tx):
    Images(tx).put(image("a", created_at_ns=1, updated_at_ns=2))
    Images(tx).put(image("a", "other", created_at_ns=5, updated_at_ns=6, platform="linux/amd64"))
    assert list(Images(tx).list()) == [
        image("a", "other", created_at_ns=1, updated_at_ns=6, platform="linux/amd64")
    ]


def test_creating_a_taken_name(tx):
    Images(tx).create(image("a"))
    with pytest.raises(AlreadyExistsError, match="'a'"):
        Images(tx).create(image("a", "other"))
    assert Images(tx).get("a") == image("a")


def test_deleting_images(tx):
    Images(tx).put(image("a"))
    assert Images(tx).delete("a", target_digest=digest("other")) is False
    assert Images(tx).delete("a", target_digest=digest("target of content")) is True
    assert Images(tx).delete("a") is False
    Images(tx).put(image("a"))
    assert Images(tx).delete("a") is True
    assert Images(tx).count() == 0


def test_listing_images(tx):
    for name in ("b:2", "a:1", "b:1", "c", "b", "bb", "b:\U0010fffd"):
        Images(tx).put(image(name))
    assert names(Images(tx).list()) == ["a:1", "b", "b:1", "b:2", "b:\U0010fffd", "bb", "c"]
    assert names(Images(tx).list("b:")) == ["b:1", "b:2", "b:\U0010fffd"]
    assert names(Images(tx).list("b:", limit=1)) == ["b:1"]
    assert names(Images(tx).list("b:", after="b:1", limit=1)) == ["b:2"]
    assert names(Images(tx).list("b:", after="a")) == ["b:1", "b:2", "b:\U0010fffd"]
    assert names(Images(tx).list("b:", after="c")) == []
    assert names(Images(tx).list(after="b:2")) == ["b:\U0010fffd", "bb", "c"]
    assert names(Images(tx).list("%")) == names(Images(tx).list("x")) == []


def test_finding_images_by_id(tx):
    for name in ("two", "one"):
        Images(tx).put(image(name))
    Images(tx).put(image("three", "other"))
    found = digest("content")
    assert names(Images(tx).with_id(found)) == ["one", "two"]
    for length in (6, 12, 63, 64):
        assert names(Images(tx).with_id_prefix(found.encoded[:length])) == ["one", "two"]
    assert len(list(Images(tx).with_id_prefix("", limit=2))) == 2
    assert names(Images(tx).with_id_prefix("f" * 64)) == []
    assert names(Images(tx).with_id_prefix(found.encoded, algorithm="sha512")) == []
    assert names(Images(tx).with_target(digest("target of other"))) == ["three"]


def test_blobs(tx):
    parent, child = digest("parent"), digest("child")
    record = BlobRecord(digest=parent, size=3, created_at_ns=4, updated_at_ns=5)
    Blobs(tx).put(record)
    Blobs(tx).link(parent, [child, parent])
    Blobs(tx).link(parent, [child])
    assert Blobs(tx).get(parent) == record
    assert Blobs(tx).children(parent) == tuple(sorted([child, parent]))
    assert Blobs(tx).get(child) is None
    assert list(Blobs(tx).list()) == [record]
    assert Blobs(tx).delete(parent) is True
    assert Blobs(tx).delete(parent) is False
    assert Blobs(tx).children(parent) == ()


def test_media_type_is_learned_and_not_forgotten(tx):
    for media_type in ("", "text/plain", ""):
        record = BlobRecord(
            digest=digest("x"), size=3, media_type=media_type, created_at_ns=len(media_type)
        )
        Blobs(tx).put(record)
    found = Blobs(tx).get(digest("x"))
    assert (found.media_type, found.created_at_ns) == ("text/plain", 0)


def test_only_what_is_stored_names_others(tx):
    with pytest.raises(NotFoundError, match="FOREIGN KEY"):
        Blobs(tx).link(digest("missing"), [digest("child")])


@pytest.mark.parametrize("table", [Forms, Chains])
def test_derived(tx, table):
    source, other = digest("source"), digest("other")
    tar = DerivedRecord(source=source, kind="tar", size=9, digest=source, boot_id="b")
    index = DerivedRecord(
        source=source, kind="index", size=2, boot_id="b", durable=True, writer_version=3
    )
    elsewhere = DerivedRecord(source=other, kind="tar", size=1, boot_id="b")
    for record in (tar, index, elsewhere):
        table(tx).put(record)
        assert table(tx).get(record.source, record.kind) == record
    assert list(table(tx).list(source)) == [index, tar]
    assert len(list(table(tx).list())) == 3
    table(tx).put(replace(tar, size=10))
    assert table(tx).get(source, "tar").size == 10
    assert table(tx).delete(source, "tar") is True
    assert table(tx).delete(source, "tar") is False
    assert table(tx).delete(source) is True
    assert list(table(tx).list()) == [elsewhere]


@pytest.mark.parametrize("table", [Forms, Chains])
def test_marking_durable(tx, table):
    source = digest("source")
    table(tx).put(DerivedRecord(source=source, kind="tar", size=9, boot_id="this"))
    assert [each.source for each in table(tx).unmarked("this")] == [source]
    assert list(table(tx).unmarked("another")) == []
    assert table(tx).mark_durable(source, "tar", "another") is False
    assert table(tx).get(source, "tar").durable is False
    assert table(tx).mark_durable(source, "tar", "this") is True
    assert table(tx).get(source, "tar").durable is True
    assert table(tx).mark_durable(digest("missing"), "tar", "this") is False
    assert list(table(tx).unmarked("this")) == []


def test_layers_of_a_chain(tx):
    chain = digest("chain")
    layers = (digest("z"), digest("a"), digest("z"))
    assert Chains(tx).layers(chain) == ()
    for _ in range(2):
        Chains(tx).put_layers(chain, layers)
        assert Chains(tx).layers(chain) == layers
    assert Chains(tx).delete_layers(chain) is True
    assert Chains(tx).delete_layers(chain) is False


def mount(name, target="/run/x", **changes):
    record = MountRecord(
        id=name, target=target, driver="erofs", boot_id="b", mount_namespace=1, created_at_ns=3
    )
    return replace(record, **changes)


def test_mounts(tx):
    whole = mount("m", chain_id=digest("c"), image_name="n", image_id=digest("i"), mount_id=2**40)
    Mounts(tx).put(whole)
    Mounts(tx).put(mount("l", "/run/y"))
    assert Mounts(tx).get("m") == Mounts(tx).at("/run/x", "b", 1) == whole
    assert Mounts(tx).get("x") is Mounts(tx).at("/run/x", "b", 2) is None
    assert [record.id for record in Mounts(tx).list()] == ["l", "m"]
    with pytest.raises(Exception, match="UNIQUE"):
        Mounts(tx).put(mount("other", mount_id=3))
    Mounts(tx).put(mount("other", boot_id="another"))
    assert Mounts(tx).delete("m") is True
    assert Mounts(tx).delete("m") is False


def test_holders_of_a_mount(tx):
    Mounts(tx).put(mount("m"))
    process = MountHolder(id="p", mount="m", owner=Owner.current(), created_at_ns=2)
    person = MountHolder(id="a", mount="m", owner=None, created_at_ns=1)
    gone = replace(process, id="g", owner=replace(Owner.current(), start=1), created_at_ns=3)
    for holder in (process, person, gone):
        Mounts(tx).hold(holder)
    assert Mounts(tx).holders("m") == (person, process, gone)
    assert [holder.is_live(10) for holder in Mounts(tx).holders("m")] == [True, True, False]
    assert Mounts(tx).release("p") is True
    assert Mounts(tx).release("p") is False
    Mounts(tx).delete("m")
    assert Mounts(tx).holders("m") == ()
