"""What a repack makes of changes: one layer that says what was changed, and no more."""

import json
import os
import shutil
import socket
import time

import pytest

from orlop.errors import (
    ConflictError,
    InvalidDocumentError,
    NotFoundError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.unpack import contents as contents_module
from support.bundles import Bundle, open_store
from support.images import ImageBuilder, directory, file, hardlink, symlink, with_more_fields
from support.views import differences, view

BIG = bytes(range(256)) * 4096


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as store:
        yield store


@pytest.fixture
def bundle(store, tmp_path):
    builder = ImageBuilder(
        config={
            "created": "2020-01-01T00:00:00Z",
            "variant": "v9",
            "config": {"Cmd": ["sh"], "Volumes": {"/data": {}}, "Healthcheck": {"Test": ["x"]}},
            "x-unknown": {"kept": True},
            "history": [{"created_by": "first"}],
        }
    )
    builder.layer(
        directory("etc"), file("etc/motd", b"hi\n", mtime=1_600_000_000), file("etc/group", b"g"),
        directory("etc/ssl"), file("etc/ssl/cert", b"c"), file("etc/ssl/key", b"k"),
        directory("usr"), directory("usr/lib"), file("usr/lib/big", BIG), file("usr/lib/one", b"1"),
        hardlink("usr/lib/two", "usr/lib/one"), symlink("lib", "usr/lib"), directory("data"),
    )  # fmt: skip
    return Bundle(store, builder.write(tmp_path / "layout").source, tmp_path / "bundle")


def shown(store, name="changed"):
    return store.storage.chains.tree(store.image(name)._stack)


def test_without_a_change_the_old_image_gets_the_name(bundle):
    repacked = bundle.repack()
    assert repacked.layer is None
    assert bundle.store.image("changed").id == bundle.image.id
    assert bundle.store.image("changed").manifest_digest == bundle.image.manifest_digest


@pytest.mark.parametrize("every", [False, True])
def test_touching_a_file_and_giving_it_its_time_again_is_no_change(bundle, every):
    path = bundle.rootfs / "etc/motd"
    before = path.stat()
    path.write_bytes(b"hi\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.chmod(0o600)
    path.chmod(before.st_mode & 0o7777)
    assert bundle.repack(hash=every).layer is None


@pytest.mark.parametrize("every", [False, True])
def test_new_bytes_of_the_same_size_and_time_are_a_change(bundle, every):
    """What umoci finds by reading everything, and a comparison of size and time does not find."""
    path = bundle.rootfs / "etc/motd"
    before = path.stat()
    path.write_bytes(b"HI\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    repacked = bundle.repack(hash=every)
    assert bundle.layer(repacked) == [("Put", ""), ("Put", "etc"), ("Put", "etc/motd")]
    assert bundle.store.image("changed").read("etc/motd") == b"HI\n"


def test_a_directory_in_place_of_a_file_and_back(bundle):
    (bundle.rootfs / "etc/motd").unlink()
    (bundle.rootfs / "etc/motd").mkdir()
    shutil.rmtree(bundle.rootfs / "etc/ssl")
    (bundle.rootfs / "etc/ssl").write_bytes(b"now a file")
    made = bundle.layer(bundle.repack())
    assert ("Put", "etc/ssl") in made
    assert not [path for _, path in made if path.startswith("etc/ssl/")]
    tree = shown(bundle.store)
    assert tree.children[b"etc"].children[b"motd"].is_dir
    assert not tree.children[b"etc"].children[b"ssl"].is_dir


def test_a_directory_whose_old_names_are_all_gone_is_opaque(bundle):
    shutil.rmtree(bundle.rootfs / "etc/ssl")
    (bundle.rootfs / "etc/ssl").mkdir()
    (bundle.rootfs / "etc/ssl/new").write_bytes(b"n")
    made = bundle.layer(bundle.repack())
    assert ("Opaque", "etc/ssl") in made
    assert ("Whiteout", "etc/ssl/cert") not in made


def test_what_is_removed_is_one_whiteout(bundle):
    shutil.rmtree(bundle.rootfs / "etc")
    assert bundle.layer(bundle.repack()) == [("Whiteout", "etc"), ("Put", "")]


def test_a_new_hard_link_takes_its_names_along_and_nothing_else(bundle):
    """Links into lower layers are more than many readers can do: all names come, once with data."""
    os.link(bundle.rootfs / "usr/lib/two", bundle.rootfs / "usr/lib/three")
    repacked = bundle.repack()
    kinds = {path: kind for kind, path in bundle.layer(repacked)}
    assert [kinds[f"usr/lib/{name}"] for name in ("one", "three", "two")] == ["Put", "Link", "Link"]
    assert "usr/lib/big" not in kinds
    assert repacked.size < 20_000
    (lib,) = [shown(bundle.store).children[b"usr"].children[b"lib"]]
    assert lib.children[b"one"] is lib.children[b"two"] is lib.children[b"three"]


def test_one_name_fewer_ships_no_content(bundle):
    (bundle.rootfs / "usr/lib/two").unlink()
    made = bundle.layer(bundle.repack())
    assert [each for each in made if each[0] != "Put"] == [("Whiteout", "usr/lib/two")]
    assert ("Put", "usr/lib/one") not in made


def test_a_copied_directory_is_compared_byte_for_byte(bundle, tmp_path):
    shutil.copytree(bundle.path, tmp_path / "copy", symlinks=True)
    for folder, folders, files in os.walk(bundle.path):
        for name in [*folders, *files, "."]:
            old = os.path.join(folder, name)
            new = os.path.join(tmp_path / "copy", os.path.relpath(old, bundle.path))
            status = os.lstat(old)
            os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
            os.chown(new, status.st_uid, status.st_gid, follow_symlinks=False)
    (tmp_path / "copy/rootfs/usr/lib/two").unlink()
    os.link(tmp_path / "copy/rootfs/usr/lib/one", tmp_path / "copy/rootfs/usr/lib/two")
    status = (bundle.rootfs / "usr/lib").stat()
    os.utime(tmp_path / "copy/rootfs/usr/lib", ns=(0, status.st_mtime_ns))
    assert bundle.store.repack(tmp_path / "copy", "copy").layer is None


def test_a_moved_directory_keeps_its_records(bundle, tmp_path):
    bundle.path.rename(tmp_path / "moved")
    repacked = bundle.store.repack(tmp_path / "moved", "moved")
    assert repacked.layer is None


def test_sockets_are_left_out_and_told(bundle):
    os.chdir(bundle.rootfs)
    with socket.socket(socket.AF_UNIX) as server:
        (bundle.rootfs / "etc/motd").unlink()
        server.bind("etc/motd")
        server.close()
    os.chdir("/")
    repacked = bundle.repack()
    assert [(each.path, each.what) for each in repacked.skipped] == [(b"etc/motd", "socket")]
    assert ("Whiteout", "etc/motd") in bundle.layer(repacked)


def test_a_name_that_marks_whiteouts_is_refused(bundle):
    (bundle.rootfs / "etc/.wh.x").write_bytes(b"")
    with pytest.raises(UnsupportedError, match=r"\.wh\.x"):
        bundle.repack()
    with pytest.raises(NotFoundError):
        bundle.store.image("changed")


def test_the_documents_keep_what_nobody_asked_to_change(bundle):
    (bundle.rootfs / "new").write_bytes(b"n")
    bundle.repack(
        author="me", comment="why", created_by="by hand", created_at_ns=1_700_000_000 * 10**9
    )
    config = json.loads(bundle.store.image("changed").config.raw)
    assert config["created"] == "2023-11-14T22:13:20Z"
    assert (config["variant"], config["x-unknown"]) == ("v9", {"kept": True})
    assert config["config"] == json.loads(bundle.image.config.raw)["config"]
    assert config["history"] == [
        {"created_by": "first"},
        {"created": "2023-11-14T22:13:20Z", "author": "me", "created_by": "by hand",
         "comment": "why"},
    ]  # fmt: skip


def test_the_manifest_keeps_what_is_not_about_layers(store, tmp_path):
    layout = (
        ImageBuilder().layer(file("a", b"a")).write(tmp_path / "layout", change=with_more_fields)
    )
    bundle = Bundle(store, layout.source, tmp_path / "bundle")
    (bundle.rootfs / "new").write_bytes(b"n")
    bundle.repack()
    old, new = (json.loads(store.image(name).manifest.raw) for name in ("base", "changed"))
    assert new["layers"][:1] == old["layers"]
    new["layers"] = old["layers"]
    for each in ("digest", "size"):
        assert new["config"][each] != old["config"].pop(each)
        del new["config"][each]
    assert new == old
    assert store.image("changed").check()


def test_an_epoch_is_the_latest_time_of_what_was_changed(bundle):
    (bundle.rootfs / "etc/new").write_bytes(b"n")
    (bundle.rootfs / "etc/group").chmod(0o600)
    os.utime(bundle.rootfs / "etc/ssl/key", ns=(0, 5 * 10**9))
    epoch = 1_500_000_000
    first = bundle.repack(source_date_epoch=epoch)
    etc = shown(bundle.store).children[b"etc"]
    assert etc.mtime_ns == etc.children[b"new"].mtime_ns == epoch * 10**9
    assert etc.children[b"motd"].mtime_ns == 1_600_000_000 * 10**9  # not touched
    assert etc.children[b"ssl"].children[b"key"].mtime_ns == 5 * 10**9
    (bundle.rootfs / "etc/new").write_bytes(b"n")
    assert bundle.repack(source_date_epoch=epoch).image.id == first.image.id


@pytest.mark.parametrize("seconds", [-86_400, 10_413_792_000])
def test_times_before_1970_and_after_2262_stay(bundle, seconds):
    """Neither fits into the 64 bits of nanoseconds that a record has, unless it is wrapped."""
    time_ns = seconds * 10**9 + 5
    for name in ("etc/new", "etc"):
        path = bundle.rootfs / name
        if not path.exists():
            path.write_bytes(b"n")
        os.utime(path, ns=(0, time_ns))
        if path.stat().st_mtime_ns != time_ns:
            pytest.skip("the filesystem has no such times")
    bundle.repack(refresh=True)
    etc = shown(bundle.store).children[b"etc"]
    assert etc.mtime_ns == etc.children[b"new"].mtime_ns == time_ns
    assert bundle.repack(hash=True).layer is None


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_the_layer_is_stored_as_is_said(bundle, compression):
    (bundle.rootfs / "new").write_bytes(b"n")
    bundle.repack(compression=compression)
    layer = bundle.store.image("changed").manifest.layers[-1]
    kind = "" if compression == "none" else f"+{compression}"
    assert layer.media_type == f"application/vnd.oci.image.layer.v1.tar{kind}"
    assert bundle.store.image("changed").check()


def test_each_repack_stands_on_what_was_unpacked(bundle):
    (bundle.rootfs / "one").write_bytes(b"1")
    bundle.repack("first")
    (bundle.rootfs / "two").write_bytes(b"2")
    second = bundle.repack("second")
    assert ("Put", "one") in bundle.layer(second)
    assert len(bundle.store.image("second").config.diff_ids) == 2


def test_refreshed_it_is_the_new_image_s(bundle):
    (bundle.rootfs / "one").write_bytes(b"1")
    bundle.repack("first", refresh=True)
    assert bundle.repack("again").layer is None
    (bundle.rootfs / "one").write_bytes(b"2")
    second = bundle.repack("second", refresh=True)
    assert bundle.layer(second) == [("Put", ""), ("Put", "one")]
    assert len(bundle.store.image("second").config.diff_ids) == 3
    assert bundle.repack("hashed", hash=True).layer is None


def test_a_change_right_after_a_refresh_is_seen(bundle):
    """However coarse the kernel's clock is, and though size and time stay."""
    path = bundle.rootfs / "etc/motd"
    for text in (b"a", b"b", b"c", b"d"):
        path.write_bytes(text)
        os.utime(path, ns=(0, 0))
        assert bundle.repack(refresh=True).layer is not None
    assert bundle.store.image("changed").read("etc/motd") == b"d"


@pytest.mark.parametrize("first", [b"one", b""])
def test_a_file_that_changes_while_it_is_read_is_a_conflict(bundle, monkeypatch, first):
    """One that was cut off to be written anew has nothing that is read."""
    (bundle.rootfs / "etc/motd").write_bytes(first)
    verify = contents_module.Contents.verify

    def late(self):
        (bundle.rootfs / "etc/motd").write_bytes(b"two")
        verify(self)

    monkeypatch.setattr(contents_module.Contents, "verify", late)
    with pytest.raises(ConflictError, match="/etc/motd"):
        bundle.repack()
    with pytest.raises(NotFoundError):
        bundle.store.image("changed")


@pytest.mark.parametrize("name", ["usr/lib/big", "usr/lib/new"])
def test_a_file_that_is_cut_off_while_it_is_read_is_a_conflict(bundle, monkeypatch, name):
    """Whether it is compared with the image or goes into the layer."""
    path = bundle.rootfs / name
    path.write_bytes(BIG)
    opened = contents_module.Contents.open

    def late(self, source):
        fd = opened(self, source)
        if os.readlink(f"/proc/self/fd/{fd}") == str(path):
            os.truncate(path, 10)
        return fd

    monkeypatch.setattr(contents_module.Contents, "open", late)
    with pytest.raises(ConflictError, match=f"/{name}: was cut off") as caught:
        bundle.repack()
    assert caught.value.hint
    with pytest.raises(NotFoundError):
        bundle.store.image("changed")


def test_a_file_that_is_moved_behind_the_reader_is_a_conflict(bundle, monkeypatch):
    """It would be missing from both directories."""
    verify = contents_module.Contents.verify

    def late(self):
        (bundle.rootfs / "usr/lib/big").rename(bundle.rootfs / "data/big")
        verify(self)

    monkeypatch.setattr(contents_module.Contents, "verify", late)
    with pytest.raises(ConflictError):
        bundle.repack()


def test_a_file_that_goes_before_it_is_read_is_a_conflict(bundle, monkeypatch):
    (bundle.rootfs / "etc/motd").write_bytes(b"one")
    opened = contents_module.Contents.open

    def late(self, source):
        (bundle.rootfs / "etc/motd").unlink(missing_ok=True)
        return opened(self, source)

    monkeypatch.setattr(contents_module.Contents, "open", late)
    with pytest.raises(ConflictError, match="/etc/motd"):
        bundle.repack()


def test_the_image_is_gone(bundle):
    (bundle.rootfs / "new").write_bytes(b"n")
    bundle.store.remove("base")
    bundle.repack("still")  # Its blobs are there until they are collected.
    bundle.store.remove("still")
    bundle.store.collect()
    with pytest.raises(NotFoundError, match=r"base.* is not in the store") as caught:
        bundle.repack()
    assert str(bundle.image.manifest_digest) in caught.value.hint


def test_another_name_of_the_image_will_do(bundle):
    bundle.store.tag("base", "other")
    bundle.store.remove("base")
    bundle.store.collect()
    (bundle.rootfs / "new").write_bytes(b"n")
    assert bundle.repack().layer is not None


def test_forms_that_are_lost_are_made_again(bundle):
    shutil.rmtree(bundle.store.root / "forms")
    (bundle.rootfs / "etc/motd").chmod(0o600)
    assert bundle.repack().layer is not None


@pytest.mark.parametrize("name", ["orlop.json", "orlop.tree"])
@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"\0" * 100, b"[" * 5000, b'{"version": 1}', b'"text"']
)
def test_notes_that_are_damaged(bundle, name, damage):
    (bundle.path / name).write_bytes(damage)
    with pytest.raises(InvalidDocumentError, match=name):
        bundle.repack()


def test_records_that_are_missing_are_not_needed_with_hash(bundle):
    (bundle.path / "orlop.tree").unlink()
    with pytest.raises(InvalidDocumentError, match=r"orlop\.tree: is missing") as caught:
        bundle.repack()
    assert "--hash" in caught.value.hint
    assert bundle.repack(hash=True).layer is None


def test_notes_of_another_version_are_named(bundle):
    note = bundle.path / "orlop.json"
    note.write_text(note.read_text().replace('"version": 1', '"version": 9'))
    with pytest.raises(InvalidDocumentError, match="version 9"):
        bundle.repack()


def test_notes_that_name_other_layers(bundle):
    note = bundle.path / "orlop.json"
    found = json.loads(note.read_text())
    note.write_text(json.dumps({**found, "diff_ids": ["sha256:" + "0" * 64]}))
    with pytest.raises((InvalidDocumentError, NotFoundError)):
        bundle.repack()


def test_a_directory_of_somebody_else_s(store, tmp_path):
    (tmp_path / "rootfs").mkdir()
    with pytest.raises(InvalidDocumentError, match="was not made by"):
        store.repack(tmp_path, "x")


@pytest.mark.parametrize("link", [True, False])
def test_something_else_in_place_of_the_files(bundle, tmp_path, link):
    bundle.rootfs.rename(tmp_path / "moved")
    if link:
        bundle.rootfs.symlink_to(tmp_path / "moved")
    else:
        bundle.rootfs.write_bytes(b"")
    with pytest.raises(UnsafePathError, match=f"^{bundle.rootfs}: is no directory") as caught:
        bundle.repack()
    assert caught.value.hint


def test_no_directory(store, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    start = time.monotonic()
    with pytest.raises(NotADirectoryError):
        store.repack(tmp_path / "fifo", "x")
    with pytest.raises(FileNotFoundError):
        store.repack(tmp_path / "nothing", "x")
    assert time.monotonic() - start < 5


def test_what_was_repacked_unpacks_to_the_same(bundle, tmp_path):
    (bundle.rootfs / "etc/new").write_bytes(b"n" * 100_000)
    (bundle.rootfs / "lib").unlink()
    os.mkfifo(bundle.rootfs / "usr/fifo")
    bundle.repack()
    bundle.store.image("changed").unpack(tmp_path / "again")
    assert differences(view(bundle.rootfs), view(tmp_path / "again/rootfs")) == []
