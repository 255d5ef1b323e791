import os
import threading

import pytest

from orlop.digest import Digest
from orlop.errors import DigestMismatchError, InvalidLayerError, NeedsParentsError
from orlop.metadata import Forms
from orlop.storage.build import FormBuild, LayerLimits, NoBuild
from support.images import compress, directory, file, hardlink, tar

LAYER = tar(directory("etc"), file("etc/hostname", b"box\n"))
NEEDY = tar(directory("bin"), hardlink("bin/alias", "bin/tool"))

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="overlay's form needs root")


def kinds(storage, diff_id):
    with storage.database.read() as tx:
        return [record.kind for record in Forms(tx).list(diff_id)]


@pytest.fixture(autouse=True)
def nothing_is_left(storage):
    yield
    assert os.listdir(storage.places.staging) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "orlop-unpack"]


def test_a_tar_is_written_and_recorded(storage, build):
    diff_id = build(LAYER)
    assert kinds(storage, diff_id) == ["changeset", "tar"]
    assert storage.forms.path(diff_id, "tar").read_bytes() == LAYER
    assert storage.forms.size(diff_id) == len(LAYER)


def test_a_compressed_layer(storage, build):
    build(compress(LAYER, "gzip"), Digest.of(LAYER))
    assert storage.forms.path(Digest.of(LAYER), "tar").read_bytes() == LAYER


def test_a_blob_that_is_the_tar_is_linked(storage, build):
    digest = Digest.of(LAYER)
    blob = storage.places.blob(digest)
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(LAYER)
    build(LAYER, blob=digest)
    assert os.path.samefile(storage.forms.path(digest, "tar"), blob)


@needs_root
def test_a_directory(storage, build):
    diff_id = build(LAYER, kind="diff")
    assert kinds(storage, diff_id) == ["changeset", "diff"]
    assert (storage.forms.path(diff_id, "diff") / "etc/hostname").read_bytes() == b"box\n"


@needs_root
def test_a_directory_that_is_right_only_below_all_others(storage, build):
    lonely = tar(file("etc/hostname", b"box\n"))
    diff_id = build(lonely, kind="diff", lowest=True)
    assert kinds(storage, diff_id) == ["base", "changeset"]


@needs_root
def test_a_layer_that_needs_its_parents(storage, build):
    with pytest.raises(NeedsParentsError):
        build(NEEDY, kind="diff")
    assert kinds(storage, Digest.of(NEEDY)) == []
    assert not storage.places.form(Digest.of(NEEDY)).exists()


def test_a_fault_is_told_at_the_end_not_while_bytes_come(storage, lease):
    """Whoever feeds checks the blob's digest first: a wrong one is the cause, not the fault."""
    with FormBuild(
        storage.places, storage.forms, lease, blob=Digest.of(b"blob"), diff_id=Digest.of(LAYER),
        kind="tar", lowest=False, limits=LayerLimits(),
    ) as form:  # fmt: skip
        for _ in range(5):
            form.feed(b"no tar at all, for more than a block of five hundred bytes" * 20)
        with pytest.raises(InvalidLayerError, match=f"layer {Digest.of(b'blob')}"):
            form.finish()


def test_another_diff_id(storage, build):
    with pytest.raises(DigestMismatchError):
        build(LAYER, Digest.of(b"another"))
    assert not storage.places.form(Digest.of(b"another")).exists()


def test_a_form_takes_the_place_of_a_damaged_one(storage, build):
    diff_id = build(LAYER)
    storage.forms.path(diff_id, "tar").write_bytes(b"damage")
    assert storage.forms.find(diff_id, "tar") is None
    build(LAYER)
    assert storage.forms.path(diff_id, "tar").read_bytes() == LAYER


def test_building_nothing():
    with NoBuild() as build:
        build.feed(b"anything")
        build.finish()
        build.publish()
