"""Forms and stacks: what is derived is made again; what no record names is left behind."""

import shutil

import pytest

from orlop.digest import Digest
from orlop.metadata import Chains, Forms, Lease
from orlop.storage.chains import INDEX
from orlop.storage.forms import CHANGESET
from orlop.storage.rebuild import build_form


def found(report):
    return [(each.damage, each.subject, each.remedy) for each in report.findings]


def spoil(path, how, flip):
    if how == "missing":
        path.unlink()
    elif how == "size":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        flip(path)


@pytest.mark.parametrize("how", ["missing", "size", "digest"])
@pytest.mark.parametrize("kind", ["tar", CHANGESET])
def test_a_form_is_made_again_from_its_blob(storage, places, image, layout, flip, how, kind):
    path = places.form(Digest(layout.diff_ids[0])) / kind
    before = path.read_bytes()
    spoil(path, how, flip)
    assert found(storage.check()) == [(how, "form", "rebuild")]
    assert bool(storage.check(quick=True).findings) == (how != "digest")
    repaired = storage.repair()
    assert [each.damage for each in repaired.mended] == [how]
    assert repaired.left.findings == ()
    assert path.read_bytes() == before


def test_a_changeset_that_is_not_what_the_tar_does(storage, places, image, layout, forget):
    """Whole, with the digest that is recorded, and of another layer."""
    first, second = (places.form(Digest(each)) / CHANGESET for each in layout.diff_ids)
    before = first.read_bytes()
    data = second.read_bytes()
    first.write_bytes(data)
    forget(
        "UPDATE forms SET size = ?, digest = ? WHERE diff_id = ? AND kind = 'changeset'",
        len(data), Digest.of(data), layout.diff_ids[0],
    )  # fmt: skip
    assert found(storage.check()) == [("mismatch", "form", "rebuild")]
    assert storage.check(quick=True).findings == ()
    assert storage.repair().left.findings == ()
    assert first.read_bytes() == before


def test_a_directory_that_is_gone(store, storage, places, layout):
    store.pull(layout.source, tag="box", driver="directory")
    folder = places.form(Digest(layout.diff_ids[0]))
    with Lease(storage.database, "test") as lease:
        build_form(storage, Digest(layout.diff_ids[0]), "diff", lease)
    kind = "diff" if (folder / "diff").exists() else "base"
    shutil.rmtree(folder / kind)
    assert found(storage.check(quick=True)) == [("missing", "form", "rebuild")]
    assert storage.repair().left.findings == ()
    assert (folder / kind / "etc/hostname").read_bytes() == b"box\n"


@pytest.mark.parametrize("how", ["missing", "size", "digest"])
def test_an_index_is_made_again(storage, places, image, flip, how):
    path = places.chain(image._stack.chain_id) / INDEX
    before = path.read_bytes()
    spoil(path, how, flip)
    assert found(storage.check()) == [(how, "chain", "rebuild")]
    repaired = storage.repair()
    assert repaired.left.findings == ()
    assert path.read_bytes() == before


def test_everything_derived_is_lost_at_once(storage, places, full, image):
    shutil.rmtree(places.root / "forms")
    shutil.rmtree(places.root / "chains")
    assert {each.remedy for each in storage.check().findings} == {"rebuild"}
    repaired = storage.repair()
    assert repaired.left.findings == ()
    assert repaired.failed == ()
    assert image.read("/etc/motd") == b"hello\n"


def test_what_nothing_needs_is_removed(store, storage, places, image, flip):
    index = places.chain(image._stack.chain_id) / INDEX
    store.remove("box")
    index.unlink()
    assert found(storage.check()) == [("leftover", "chain", "remove")]
    assert storage.repair().left.findings == ()
    with storage.database.read() as tx:
        assert list(Chains(tx).list()) == []


@pytest.mark.parametrize("folder", ["forms", "chains"])
def test_a_directory_without_a_record_is_left_behind(storage, places, folder):
    digest = Digest.of(b"stray")
    place = places.root / folder / digest.algorithm / digest.encoded
    place.mkdir(parents=True)
    (place / "tar").touch()
    subject = folder.removesuffix("s")
    assert found(storage.check()) == [("leftover", subject, "remove")]
    assert storage.repair().left.findings == ()
    assert not place.exists()


def test_what_another_version_wrote_is_none_of_ours(storage, places, image, forget):
    forget("UPDATE chains SET writer_version = 0")
    (places.chain(image._stack.chain_id) / INDEX).unlink()
    assert storage.check().findings == ()


def test_a_stack_that_is_not_what_it_is_called(storage, image, forget):
    forget("DELETE FROM chain_layers WHERE ordinal = 0")
    assert ("mismatch", "chain", "none") in found(storage.check())
    repaired = storage.repair()
    assert [why for _, why in repaired.failed] == ["nothing tells which layers are meant"]


def test_a_form_without_a_blob_is_lost(storage, places, base, forget, flip):
    """The blob is the tar: no other form of the layer is there."""
    forget("DELETE FROM blobs")
    places.blob(base.diff_id).unlink()
    flip(places.form(base.diff_id) / "tar")
    assert found(storage.check()) == [("digest", "form", "fetch")]
    assert len(storage.repair().failed) == 1
    repaired = storage.repair(force=True)
    assert repaired.removed == (f"form {base.diff_id}", f"layer {base.id}")
    assert repaired.left.findings == ()
    with storage.database.read() as tx:
        assert list(Forms(tx).list()) == []


def test_layers_that_do_not_say_what_they_came_in(storage, places, image, forget):
    """An older version did not record it; the image's manifest tells."""
    forget("UPDATE layers SET source = NULL")
    forget("DELETE FROM forms")
    shutil.rmtree(places.root / "forms")
    shutil.rmtree(places.root / "chains")
    assert found(storage.check()) == [("missing", "chain", "rebuild")]
    repaired = storage.repair(force=True)
    assert repaired.left.findings == ()
    assert repaired.removed == ()
    assert image.read("/etc/motd") == b"hello\n"
