"""Images that were made into disks, by tag."""

import os
import threading
from datetime import UTC, datetime

import pytest

import orlop
from orlop.digest import Digest
from orlop.disks import (
    Builder,
    DiskMaker,
    DiskOptions,
    ImageMeta,
    LayerRef,
    OCIConfig,
    Store,
    gc,
    get_registry_cache,
    list_registry_cache,
    remove_registry_cache,
    save_registry_cache,
)
from orlop.disks.records import DiskRecords
from orlop.errors import (
    CreateDirError,
    ImageNotFoundError,
    LayerFSError,
    MetadataError,
    StoreReadError,
    StoreSaveError,
)
from orlop.metadata.leases import Leases
from orlop.storage.chains import Stack
from support.images import ImageBuilder, file


@pytest.fixture
def foreign(tmp_path):
    """Files that look like disks."""
    number = 0

    def make(data=b"a disk", fs="erofs", **more):
        nonlocal number
        number += 1
        path = tmp_path / f"foreign{number}"
        path.write_bytes(data)
        return LayerRef(digest=Digest.of(data), fs_type=fs, size=len(data), path=path, **more)

    return make


def disks_in(store):
    return sorted((store.cache_root / "forms").glob("*/*/disk.*"))


def clean(store):
    """Nothing is wrong with the store, and nothing that is under way is left in it."""
    assert store.storage.check().findings == ()
    assert os.listdir(store.storage.places.staging) == []


def test_save_and_get(store, foreign):
    refs = [foreign(b"base", diff_ids=(Digest.of(b"l"),)), foreign(b"top", "squashfs")]
    meta = ImageMeta(digest=Digest.of(b"m"), source="tag", oci=OCIConfig(user="u", cmd=("sh",)))
    store.save("box", refs, meta)
    found = store.get("box")
    assert [each.digest for each in found.layers] == [each.digest for each in refs]
    assert found.layers == found.canonical_layers
    assert found.layers[0].diff_ids == (Digest.of(b"l"),)
    assert found.lower_fs_types == ("erofs", "squashfs")
    assert [path.read_bytes() for path in found.lower_paths] == [b"base", b"top"]
    assert found.rootfs_path == found.lower_paths[0]
    assert found.layer_digests == tuple(each.digest for each in refs)
    assert all(path.is_relative_to(store.cache_root) for path in found.lower_paths)
    assert (found.digest, found.source, found.oci) == (meta.digest, "tag", meta.oci)
    assert found.cached
    assert found.size == sum(path.stat().st_blocks * 512 for path in found.lower_paths)
    clean(store)


def test_what_was_taken_from_elsewhere_needs_that_no_more(store, foreign):
    ref = foreign()
    store.save("box", [ref], ImageMeta())
    ref.path.unlink()
    assert store.get("box").rootfs_path.read_bytes() == b"a disk"
    store.save("again", [ref], ImageMeta())
    assert store.get("again").rootfs_path == store.get("box").rootfs_path


def test_two_stores_at_once_see_the_same(store, tmp_path, foreign):
    with Store(tmp_path / "root", tmp_path / "run") as other:
        store.save("box", [foreign()], ImageMeta())
        assert other.get("box").layers == store.get("box").layers
        other.remove("box")
        with pytest.raises(ImageNotFoundError):
            store.get("box")


def test_the_list_has_the_newest_first(store, foreign):
    for tag in ("b", "a", "c"):
        store.save(tag, [foreign(tag.encode())], ImageMeta(digest=tag))
    assert [each.tag for each in store.list()] == ["c", "a", "b"]
    assert [each.meta.digest for each in store.list()] == ["c", "a", "b"]
    before = datetime.now(UTC)
    store.save("a", [foreign(b"other")], ImageMeta())
    first = store.list()[0]
    assert first.tag == "a"
    assert first.rootfs_path.read_bytes() == b"other"
    assert before <= first.meta.created_at <= datetime.now(UTC)
    assert first.meta.size == first.rootfs_path.stat().st_blocks * 512


def test_saving_over_a_tag_lets_go_of_what_it_had(store, foreign):
    store.save("box", [foreign(b"old")], ImageMeta())
    old = store.get("box").rootfs_path
    store.save("box", [foreign(b"new")], ImageMeta())
    assert store.get("box").rootfs_path.read_bytes() == b"new"
    assert store.gc() == 1
    assert not old.exists()
    assert store.gc() == 0
    clean(store)


def test_a_disk_that_two_tags_share_outlives_one_of_them(store, foreign):
    shared, own = foreign(b"shared"), foreign(b"own")
    store.save("one", [shared, own], ImageMeta())
    store.save("two", [shared], ImageMeta())
    store.remove("one")
    assert [path.read_bytes() for path in disks_in(store)] == [b"shared"]
    store.remove("two")
    assert disks_in(store) == []
    clean(store)


def test_what_is_not_there(store, foreign):
    for act in (store.get, store.remove):
        with pytest.raises(ImageNotFoundError, match="there are no disks of none"):
            act("none")
    missing = foreign()
    missing.path.unlink()
    with pytest.raises(ImageNotFoundError, match=f"box: there is no disk {missing.digest}"):
        store.save("box", [missing], ImageMeta())
    with pytest.raises(ImageNotFoundError, match="there is no disk"):
        store.save("box", [LayerRef(digest=missing.digest)], ImageMeta())
    assert store.list() == []


@pytest.mark.parametrize("damage", ["removed", "cut short"])
def test_an_image_that_lost_a_disk(store, foreign, damage):
    store.save("whole", [foreign(b"whole")], ImageMeta())
    store.save("lost", [foreign(b"one"), foreign(b"two")], ImageMeta())
    path = store.get("lost").lower_paths[1]
    if damage == "removed":
        path.unlink()
    else:
        os.truncate(path, 1)
    with pytest.raises(ImageNotFoundError, match="lost"):
        store.get("lost")
    assert [each.tag for each in store.list()] == ["whole"]
    store.save("lost", [foreign(b"one"), foreign(b"two")], ImageMeta())
    assert [each.tag for each in store.list()] == ["lost", "whole"]
    store.remove("lost")
    clean(store)


def test_what_shows_everything_is_preferred(store, foreign):
    runtime, layers = foreign(b"all", "ext4"), [foreign(b"one"), foreign(b"two")]
    store.save("other", [runtime], ImageMeta())
    path = store.get("other").rootfs_path
    store.save("box", layers, ImageMeta(runtime_rootfs_path=path))
    store.remove("other")
    found = store.get("box")
    assert found.lower_paths == (path,)
    assert found.lower_fs_types == ("ext4",)
    assert [each.digest for each in found.canonical_layers] == [each.digest for each in layers]
    path.unlink()
    found = store.get("box")
    assert [each.digest for each in found.layers] == [each.digest for each in layers]
    assert store.find("box", whole=True) is None


@pytest.mark.parametrize(
    "place", ["disk.erofs", "forms/sha256/none/disk.erofs", "no:algorithm/x/disk.erofs"]
)
def test_a_file_that_is_no_disk_of_the_store_shows_nothing(store, foreign, tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"elsewhere")
    ref = foreign()
    store.save("box", [ref], ImageMeta(runtime_rootfs_path=path))
    assert [each.digest for each in store.get("box").layers] == [ref.digest]


def test_a_disk_of_the_store_that_is_lost_shows_nothing(store, foreign):
    path = store.blob_path(Digest.of(b"lost"))
    with pytest.raises(ImageNotFoundError, match="there is no disk"):
        store.save("box", [foreign()], ImageMeta(runtime_rootfs_path=path))


def test_paths_of_disks(store):
    digest = Digest.of(b"x")
    path = store.cache_root / "forms/sha256" / digest.encoded
    assert store.blob_path(digest) == path / "disk.erofs"
    assert store.blob_path_with_fs(digest, "ext4") == path / "disk.ext4"
    with pytest.raises(LayerFSError, match="'btrfs' is no filesystem of disks"):
        store.blob_path_with_fs(digest, "btrfs")


def test_what_no_record_can_be_made_of(store, foreign):
    with pytest.raises(StoreSaveError, match="there are no disks to save"):
        store.save("box", [], ImageMeta())
    ref = foreign()
    for digest in ("", "none", "sha256:../../../../etc"):
        with pytest.raises(StoreSaveError, match="a disk has no digest"):
            store.save("box", [LayerRef(digest=digest, path=ref.path)], ImageMeta())
    with pytest.raises(LayerFSError):
        store.save("box", [LayerRef(digest=ref.digest, fs_type="fat", path=ref.path)], ImageMeta())
    with pytest.raises(StoreSaveError, match="empty"):
        store.save("", [ref], ImageMeta())
    with pytest.raises(StoreSaveError, match="too long"):
        store.save("box", [ref], ImageMeta(oci=OCIConfig(user="x" * (5 << 20))))
    assert store.list() == []
    store.gc()
    clean(store)


@pytest.mark.parametrize("notes", [{"size": -1}, {"source": "x"}, {"oci": OCIConfig(user=5)}])
def test_notes_that_could_not_be_read_again_are_not_kept(store, foreign, notes):
    with pytest.raises(StoreSaveError, match="box: its record could not be kept"):
        store.save("box", [foreign()], ImageMeta(**notes))
    assert store.list() == []


def test_disks_out_of_a_generator(store, foreign):
    refs = [foreign(b"one"), foreign(b"two")]
    store.save("box", iter(refs), ImageMeta())
    assert len(store.get("box").layers) == 2


@pytest.mark.parametrize(
    "tag", ["größe", "a b", "x\ny", "-o", "../../up", "a" * 1000, "%", "*", "'; --", "\x00", "🐳"]
)
def test_tags_are_any_text(store, foreign, tag):
    store.save(tag, [foreign()], ImageMeta())
    assert store.get(tag).layers
    assert [each.tag for each in store.list()] == [tag]
    store.remove(tag)
    assert store.list() == []
    clean(store)


@pytest.mark.parametrize("tag", ["\udcff", "a" * 10_000])
def test_tags_that_cannot_be_kept(store, foreign, tag):
    with pytest.raises(StoreSaveError) as caught:
        store.save(tag, [foreign()], ImageMeta())
    assert len(str(caught.value)) < 1000
    with pytest.raises((ImageNotFoundError, StoreReadError)):
        store.get(tag)
    with pytest.raises((ImageNotFoundError, StoreSaveError)):
        store.remove(tag)
    assert store.list() == []
    store.gc()
    clean(store)


def record_of(store, tag):
    """The lease that is the record of a tag."""
    with store.storage.database.read() as tx:
        (found,) = [each for each in Leases(tx).list() if each.labels.get("orlop.disk/tag") == tag]
    return found


def test_a_record_whose_document_is_damaged_or_lost(store, foreign):
    store.save("box", [foreign()], ImageMeta())
    path = store.storage.places.blob(Digest(record_of(store, "box").labels["orlop.disk/record"]))
    data = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(data[:-1] + b"]")
    with pytest.raises(StoreReadError, match="the disks of box cannot be looked up"):
        store.get("box")
    path.unlink()
    with pytest.raises(MetadataError, match="the document about the disks of box is lost"):
        store.get("box")
    with pytest.raises(MetadataError):
        store.list()
    store.remove("box")
    assert store.list() == []


def test_a_record_that_says_nothing(store, foreign):
    store.save("box", [foreign()], ImageMeta())
    with store.storage.database.write() as tx:
        tx.execute("UPDATE lease_labels SET value = 'nothing' WHERE key = 'orlop.disk/record'")
    with pytest.raises(MetadataError, match="is no record of disks"):
        store.get("box")


def test_records_that_cannot_be_read(tmp_path, foreign):
    with Store(tmp_path / "root", tmp_path / "run") as store:
        store.save("box", [foreign()], ImageMeta())
        with store.storage.database.write() as tx:
            tx.execute("ALTER TABLE lease_labels RENAME COLUMN value TO gone")
        for act in (lambda: store.get("box"), store.list):
            with pytest.raises(StoreReadError, match="cannot be looked up"):
                act()
        with pytest.raises(StoreSaveError, match="could not be removed"):
            store.remove("box")


def test_reading_while_others_save_remove_and_collect(tmp_path, foreign):
    """Whoever looks meanwhile sees the one, the other or nothing, and no broken record."""
    refs = [foreign(b"one"), foreign(b"two")]
    over = threading.Event()
    wrong, seen = [], set()

    def read():
        with Store(tmp_path / "root", tmp_path / "run") as store:
            while not over.is_set():
                try:
                    seen.update(each.meta.digest for each in store.list())
                    seen.add(store.get("box").digest)
                except ImageNotFoundError:
                    pass
                except Exception as error:
                    wrong.append(error)
                    return

    thread = threading.Thread(target=read)
    with Store(tmp_path / "root", tmp_path / "run") as store:
        thread.start()
        for number in range(40):
            store.save("box", [refs[number % 2]], ImageMeta(digest=str(number)))
            if number % 3:
                store.gc()
            else:
                store.remove("box")
        over.set()
        thread.join()
    assert wrong == []
    assert seen


@pytest.mark.parametrize("what", ["fifo", "file", "not empty", "below a file"])
def test_a_store_that_cannot_be_made(tmp_path, what):
    root = tmp_path / "root"
    if what == "fifo":
        os.mkfifo(root)
    elif what == "file":
        root.touch()
    elif what == "not empty":
        root.mkdir()
        (root / "letter").touch()
    else:
        (tmp_path / "file").touch()
        root = tmp_path / "file" / "root"
    with pytest.raises(CreateDirError, match="cannot be made or opened"):
        Store(root, tmp_path / "run")


def test_a_layer_is_as_long_as_it_is_beside_a_disk_of_its_digest(store, layout, tmp_path):
    """Whoever saves a disk under the digest of its layer changes nothing for that."""
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as images:
        image = images.pull(layout.source, tag="box")
        (before,) = image.disks(tmp_path / "before", DiskOptions(layout="indexed"))
        for diff_id in image.config.diff_ids:
            (tmp_path / "small").write_bytes(b"small")
            ref = LayerRef(digest=diff_id, path=tmp_path / "small")
            store.save(f"disk {diff_id}", [ref], ImageMeta())
        (after,) = image.disks(tmp_path / "after", DiskOptions(layout="indexed"))
        assert before.path.read_bytes() == after.path.read_bytes()


def test_the_cache_of_registries_is_apart_from_tags(tmp_path, foreign):
    root = tmp_path / "root"
    with Store(root) as store:
        store.save("box", [foreign(b"tagged")], ImageMeta())
    save_registry_cache("box", root, [foreign(b"fetched")], ImageMeta(digest="sha256:x"))
    assert get_registry_cache("box", root).rootfs_path.read_bytes() == b"fetched"
    assert [each.tag for each in list_registry_cache(root)] == ["box"]
    assert list_registry_cache(root)[0].meta.digest == "sha256:x"
    assert gc(root) == 0
    remove_registry_cache("box", root)
    with pytest.raises(ImageNotFoundError):
        get_registry_cache("box", root)
    with pytest.raises(ImageNotFoundError):
        remove_registry_cache("box", root)
    assert list_registry_cache(root) == []
    with Store(root) as store:
        assert store.get("box").rootfs_path.read_bytes() == b"tagged"


def test_an_image_that_was_built_in_several_ways(options, layout, tmp_path):
    """The cache has the last one, and forgets all."""
    for fs in ("ext4", "erofs"):
        with Builder(options(DiskOptions(fs=fs))) as builder:
            builder.build(layout.source)
    assert get_registry_cache(layout.source, tmp_path / "root").lower_fs_types == ("erofs",)
    assert len(list_registry_cache(tmp_path / "root")) == 2
    remove_registry_cache(layout.source, tmp_path / "root")
    assert list_registry_cache(tmp_path / "root") == []


@pytest.mark.parametrize("then", ["removed", "replaced"])
def test_a_record_that_goes_while_it_is_read_is_not_broken(store, foreign, then):
    """Its document is gone with it; whoever had seen it looks again."""
    store.save("box", [foreign(b"one")], ImageMeta(digest="one"))
    seen = record_of(store, "box")
    records = DiskRecords(store.storage, "local")
    if then == "removed":
        store.remove("box")
    else:
        store.save("box", [foreign(b"two")], ImageMeta(digest="two"))
        store.gc()
    assert records._read(seen) is None
    assert (records.get("box") is None) == (then == "removed")


def test_two_disks_of_one_path(layout, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as images:
        image = images.pull(layout.source, tag="box")
        stack = Stack.of(image.config.diff_ids)
    with Store(tmp_path / "root") as store, store.leased("test") as lease:
        maker = DiskMaker(store.storage, stack, DiskOptions(layout="layers"))
        with pytest.raises(ValueError, match="two disks would have the same path"):
            maker.make([tmp_path / "disk", tmp_path / "link" / "disk"], lease)
        with pytest.raises(ValueError, match="zip"):
            maker.make([tmp_path / "disk"], lease)
    assert not list(tmp_path.glob("*disk*"))


def test_an_image_of_no_layers(tmp_path):
    empty = ImageBuilder().write(tmp_path / "layout", tag="empty")
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        image = store.pull(empty.source, tag="empty")
        for options in (
            DiskOptions(),
            DiskOptions(fs="ext4"),
            DiskOptions(layout="layers"),
            DiskOptions(layout="indexed"),
            DiskOptions(verity=True),
        ):
            (disk,) = image.disks(tmp_path / "disk", options)
            assert disk.diff_ids == ()
            assert disk.size == disk.path.stat().st_size


@pytest.mark.parametrize("most", [None, 16])
def test_an_image_of_127_layers(tmp_path, most):
    builder = ImageBuilder(compression="none")
    for number in range(127):
        builder.layer(file(f"f{number}", b"%d" % number), file("all", b"%d" % number))
    layout = builder.write(tmp_path / "layout", tag="many")
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        image = store.pull(layout.source, tag="many")
        disks = image.disks(tmp_path / "disk", DiskOptions(layout="layers", max_disks=most))
        assert len(disks) == (most or 127)
        assert [disk.path.name for disk in disks] == [f"disk.{n}" for n in range(len(disks))]
