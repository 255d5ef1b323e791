import os

import pytest

from orlop.digest import Digest
from orlop.errors import NotFoundError
from orlop.metadata import Forms
from orlop.storage.collect import mark_durable
from orlop.storage.storage import Storage
from support.images import directory, file, tar

LAYER = tar(directory("etc"), file("etc/hostname", b"box\n"))


def record(storage, diff_id, kind="tar"):
    with storage.database.read() as tx:
        return Forms(tx).get(diff_id, kind)


def damage(path):
    """Change one byte, not the length."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    os.chmod(path, 0o600)
    path.write_bytes(data)


def test_a_form_of_this_boot_is_used_as_it_is(storage, build):
    diff_id = build(LAYER)
    assert storage.forms.find(diff_id, "tar").size == len(LAYER)
    assert not record(storage, diff_id).durable
    assert storage.forms.usable(diff_id, "diff", "tar") == "tar"


def test_a_whole_form_of_another_boot_is_verified_and_marked(storage, build, restart):
    diff_id = build(LAYER)
    restart()
    assert storage.forms.find(diff_id, "tar") is not None
    assert record(storage, diff_id).durable
    assert not record(storage, diff_id, "changeset").durable
    assert storage.forms.usable(diff_id, "tar") == "tar"
    assert record(storage, diff_id, "changeset").durable


@pytest.mark.parametrize("kind", ["tar", "changeset"])
def test_a_damaged_form_of_another_boot_is_not_used(storage, build, restart, kind):
    diff_id = build(LAYER)
    damage(storage.forms.path(diff_id, kind))
    restart()
    assert storage.forms.find(diff_id, kind) is None
    assert storage.forms.usable(diff_id, "tar") is None
    build(LAYER)
    assert storage.forms.usable(diff_id, "tar") == "tar"
    assert storage.forms.path(diff_id, "tar").read_bytes() == LAYER


def test_a_form_of_another_boot_that_was_synced_is_not_read_again(storage, build, restart):
    diff_id = build(LAYER)
    restart()
    with storage.database.write() as tx:
        tx.execute("UPDATE forms SET durable = 1")
    damage(storage.forms.path(diff_id, "tar"))
    assert storage.forms.find(diff_id, "tar") is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="overlay's form needs root")
def test_a_directory_of_another_boot_cannot_be_verified(storage, build, restart):
    diff_id = build(LAYER, kind="diff")
    assert storage.forms.usable(diff_id, "diff") == "diff"
    restart()
    assert storage.forms.usable(diff_id, "diff") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="overlay's form needs root")
def test_a_directory_that_was_synced_outlives_a_boot(storage, build):
    diff_id = build(LAYER, kind="diff")
    assert mark_durable(storage) == 2
    with storage.database.write() as tx:
        tx.execute("UPDATE forms SET boot_id = 'an-earlier-boot'")
    assert storage.forms.usable(diff_id, "diff") == "diff"


@pytest.mark.parametrize("change", [os.unlink, lambda path: os.truncate(path, 100)])
def test_a_form_that_is_missing_or_cut_short_is_not_used(storage, build, change):
    diff_id = build(LAYER)
    change(storage.forms.path(diff_id, "tar"))
    assert storage.forms.find(diff_id, "tar") is None


def test_a_form_of_another_writer_is_not_used(storage, build):
    diff_id = build(LAYER)
    with storage.database.write() as tx:
        tx.execute("UPDATE forms SET writer_version = writer_version + 1")
    assert storage.forms.find(diff_id, "tar") is None


def test_a_changeset_is_verified_whenever_it_is_read(storage, build):
    diff_id = build(LAYER)
    assert len(list(storage.forms.changeset(diff_id).additions())) == 2
    damage(storage.forms.path(diff_id, "changeset"))
    with pytest.raises(NotFoundError, match="missing or damaged"):
        storage.forms.changeset(diff_id)
    storage.forms.path(diff_id, "changeset").unlink()
    with pytest.raises(NotFoundError, match="missing or damaged"):
        storage.forms.changeset(diff_id)


def test_what_is_not_here(storage):
    nothing = Digest.of(b"nothing")
    assert storage.forms.find(nothing, "tar") is None
    assert storage.forms.usable(nothing, "tar", "diff", "base") is None
    for ask in (storage.forms.size, storage.forms.changeset):
        with pytest.raises(NotFoundError):
            ask(nothing)


def test_a_store_that_is_only_read_verifies_without_marking(storage, build, restart):
    diff_id = build(LAYER)
    restart()
    with Storage.open(storage.places, read_only=True) as reading:
        assert reading.forms.usable(diff_id, "tar") == "tar"
    assert not record(storage, diff_id).durable
    damage(storage.forms.path(diff_id, "tar"))
    with Storage.open(storage.places, read_only=True) as reading:
        assert reading.forms.usable(diff_id, "tar") is None
