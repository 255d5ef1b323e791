"""Images made into disks and kept: pulled or imported, built once, found again."""

import gzip
import io
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

import orlop
from orlop.compression import DecompressionLimits
from orlop.digest import Digest
from orlop.disks import Builder, BuildOptions, DiskOptions, OCIConfig, Store
from orlop.errors import (
    CreateExt4Error,
    CreateTempError,
    ExtractError,
    ImageDigestError,
    ImageNotFoundError,
    ParseReferenceError,
    PullImageError,
    TarballError,
    ToolNotFoundError,
)
from orlop.metadata import Forms
from orlop.registry import RegistryOptions
from orlop.storage.build import LayerLimits
from orlop.testing import faults
from orlop.testing.registry import FaultyRegistry
from orlop.transfer import SourceOptions
from support.hostile import BROKEN
from support.images import ImageBuilder, directory, file, join_platforms, tar
from support.stores import StoreUnderTest


@pytest.fixture
def registry():
    with FaultyRegistry() as registry:
        yield registry


NO_WAITING = SourceOptions(registry=RegistryOptions(sleep=lambda seconds: None))


def requests(registry):
    seen = [each.target for each in registry.seen]
    registry.seen.clear()
    return seen


def blobs(root):
    return sorted((root / "blobs").glob("*/*"))


def clean(root):
    """Nothing is wrong with the store, and nothing that was under way is left in it."""
    with Store(root) as store:
        assert store.storage.check().findings == ()
        assert os.listdir(store.storage.places.staging) == []


def test_what_was_built_is_found_again(build, layout, tmp_path):
    first = build(layout)
    assert not first.cached
    assert first.digest == layout.manifest["digest"]
    assert first.source == "registry"
    assert first.oci == OCIConfig(cmd=("sh",), env=("A=b",), labels={"kind": "box"})
    assert first.layers[0].diff_ids == tuple(layout.diff_ids)
    assert first.size == first.rootfs_path.stat().st_blocks * 512
    mtime = first.rootfs_path.stat().st_mtime_ns
    again = build(layout)
    assert again == replace(first, cached=True)
    assert again.rootfs_path.stat().st_mtime_ns == mtime
    clean(tmp_path / "root")


def test_it_is_what_the_image_itself_gives(build, layout, tmp_path):
    built = build(layout, DiskOptions(fs="ext4", free=1 << 20))
    with orlop.open_store(tmp_path / "other", tmp_path / "run2") as store:
        image = store.pull(layout.source, tag="box")
        (disk,) = image.disks(tmp_path / "disk", DiskOptions(fs="ext4", free=1 << 20))
    assert built.rootfs_path.read_bytes() == disk.path.read_bytes()


VARIANTS = [
    DiskOptions(),
    DiskOptions(fs="ext4"),
    DiskOptions(fs="ext4", size=64 << 20),
    DiskOptions(fs="ext4", label="x"),
    DiskOptions(compress="zstd"),
    DiskOptions(block_size=512),
    DiskOptions(verity=True),
    DiskOptions(verity=True, salt=b"s"),
    DiskOptions(layout="indexed"),
    DiskOptions(layout="layers"),
    DiskOptions(layout="layers", max_disks=1),
]


def test_options_are_in_the_key(build, layout):
    results = [build(layout, each) for each in VARIANTS]
    assert not any(each.cached for each in results)
    digests = [digest for each in results for digest in each.layer_digests]
    assert len(set(digests)) == len(VARIANTS) + 1, "one of them has two disks"
    assert [build(layout, each) for each in VARIANTS] == [
        replace(each, cached=True) for each in results
    ]


def test_the_disk_of_one_layer_is_not_the_base_of_several(build, tmp_path):
    """What marks overlay obeys is escaped in the one alone."""
    marked = file("f", pax_headers={"SCHILY.xattr.trusted.overlay.redirect": "x"})
    one = ImageBuilder().layer(marked)
    short = one.write(tmp_path / "one")
    long = one.layer(file("g")).write(tmp_path / "two")
    merged = build(short)
    base = build(long, DiskOptions(layout="layers"))
    assert merged.layer_digests[0] != base.layer_digests[0]
    alone = build(short, DiskOptions(layout="layers"))
    assert alone.layer_digests[0] == base.layer_digests[0]
    escaped = b"overlay.overlay.redirect"
    assert escaped in base.layers[0].path.read_bytes()
    assert escaped not in merged.layers[0].path.read_bytes()


def test_layers_that_images_share_are_built_once(build, tmp_path):
    one = ImageBuilder().layer(file("f"))
    short = one.write(tmp_path / "one")
    long = one.layer(file("g")).write(tmp_path / "two")
    layers = DiskOptions(layout="layers")
    base = build(short, layers).layers[0].path
    mtime = base.stat().st_mtime_ns
    result = build(long, layers)
    assert not result.cached
    assert result.layers[0].path == base
    assert base.stat().st_mtime_ns == mtime


def test_the_platform_is_in_the_key(build, tmp_path):
    place = tmp_path / "layout"
    for architecture in ("amd64", "arm64"):
        builder = ImageBuilder(platform=("linux", architecture))
        builder.layer(file("arch", architecture.encode())).write(place, tag=architecture)
    join_platforms(place, "all")
    found = {
        each: build(f"oci:{place}:all", platform=f"linux/{each}") for each in ("amd64", "arm64")
    }
    for architecture, result in found.items():
        assert not result.cached
        assert architecture.encode() in result.rootfs_path.read_bytes()
    with pytest.raises(PullImageError, match="riscv64"):
        build(f"oci:{place}:all", platform="linux/riscv64")
    with pytest.raises(ValueError, match="platform"):
        build(f"oci:{place}:all", platform="///")


def test_canonical_disks(build, layout, tmp_path):
    for disk in (
        DiskOptions(),
        DiskOptions(compress="zstd"),
        DiskOptions(verity=True),
        DiskOptions(fs="ext4", size=64 << 20, journal=False, label="x", time=5),
        DiskOptions(layout="indexed"),
    ):
        result = build(layout, disk, canonical=True)
        assert not result.cached
        assert [each.fs_type for each in result.layers] == [disk.fs]
        assert [each.fs_type for each in result.canonical_layers] == ["erofs"] * 2
        assert build(layout, disk, canonical=True) == replace(result, cached=True)
    layers = build(layout, DiskOptions(layout="layers"), canonical=True)
    assert layers.layers == layers.canonical_layers
    clean(tmp_path / "root")


def test_canonical_disks_do_not_stand_in_for_the_one_that_was_asked_for(build, layout):
    disk = DiskOptions(fs="ext4")
    result = build(layout, disk, canonical=True)
    os.truncate(result.rootfs_path, 100)
    again = build(layout, disk, canonical=True)
    assert again.layers == result.layers
    assert not again.cached


@pytest.mark.parametrize("policy", ["", "sometimes", None])
def test_a_policy_that_is_none(policy):
    with pytest.raises(ValueError, match="is none of missing, always and never"):
        BuildOptions(pull=policy)


def test_no_layers_at_once():
    with pytest.raises(ValueError, match="0 layers at once"):
        BuildOptions(jobs=0)


def test_policies(build, registry, tmp_path):
    registry.add_image("app", "1", [tar(file("one"))])
    reference = f"{registry.address}/app:1"
    with pytest.raises(PullImageError, match="is neither built nor in the store") as caught:
        build(reference, pull="never")
    assert caught.value.hint
    assert requests(registry) == []
    first = build(reference)
    assert requests(registry)
    assert build(reference).cached
    assert build(reference, pull="never").cached
    assert requests(registry) == []
    same = build(reference, pull="always")
    assert same == replace(first, cached=True)
    assert requests(registry)
    registry.add_image("app", "1", [tar(file("two"))])
    assert build(reference).digest == first.digest
    moved = build(reference, pull="always")
    assert not moved.cached
    assert moved.digest != first.digest
    assert build(reference, pull="never") == replace(moved, cached=True)
    clean(tmp_path / "root")


def test_an_image_that_is_in_the_store_is_not_fetched_again(build, registry, tmp_path):
    registry.add_image("app", "1", [tar(file("one"))])
    reference = f"{registry.address}/app:1"
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        store.pull(reference)
    requests(registry)
    assert not build(reference).cached
    assert not build(reference, DiskOptions(fs="ext4"), pull="never").cached
    assert requests(registry) == []


def test_what_was_built_once_is_built_otherwise_without_fetching_layers(build, registry):
    registry.add_image("app", "1", [tar(file("one"))])
    reference, layer = f"{registry.address}/app:1", Digest.of(tar(file("one")))
    build(reference)
    assert any(each.endswith(layer) for each in requests(registry))
    build(reference, DiskOptions(fs="ext4"))
    assert not any(each.endswith(layer) for each in requests(registry))


def test_layers_whose_forms_are_lost_are_unpacked_again(build, layout, tmp_path):
    """Blobs alone are enough."""
    StoreUnderTest(tmp_path).pull(layout.source, "--tag", "box")
    for each in (tmp_path / "root/forms").glob("*/*/*"):
        each.unlink()
    assert not build("box", pull="never").cached
    clean(tmp_path / "root")


@pytest.mark.parametrize("pull", ["missing", "never"])
def test_a_layer_that_is_damaged_in_the_store_is_fetched_again(build, registry, tmp_path, pull):
    data = tar(file("one", os.urandom(5000)))
    registry.add_image("app", "1", [data])
    reference = f"{registry.address}/app:1"
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        store.pull(reference)
    blob = tmp_path / "root/blobs/sha256" / Digest.of(data).encoded
    for each in (tmp_path / "root/forms").glob("*/*/*"):
        each.unlink()
    blob.chmod(0o600)
    blob.write_bytes(data[:600] + b"x" + data[601:])
    if pull == "never":
        with pytest.raises(PullImageError, match="digest"):
            build(reference, pull=pull)
    else:
        assert not build(reference, pull=pull).cached
        clean(tmp_path / "root")


def test_layers_and_disks_whose_digests_begin_alike(build, layout, tmp_path, monkeypatch):
    """Who builds a disk takes the locks of its layers while it has that of the disk."""
    StoreUnderTest(tmp_path).pull(layout.source, "--tag", "box")
    for each in (tmp_path / "root/forms").glob("*/*/*"):
        each.unlink()
    for number in range(256):  # Each number is the beginning of some digest.
        (tmp_path / f"root/locks/{number:02x}").unlink(missing_ok=True)
        os.symlink("/proc/self/nothing", tmp_path / f"root/locks/{number:02x}")
    names = {Digest(each).encoded[:2] for each in layout.diff_ids}
    for name in names:
        (tmp_path / f"root/locks/{name}").unlink()
    assert not build("box", pull="never").cached, "only the locks of layers were taken"


def test_save_tag_adds_no_bytes(options, layout, tmp_path):
    with Builder(options(DiskOptions(fs="ext4"), canonical=True)) as builder:
        result = builder.build(layout.source)
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "root/forms").rglob("*")}
        builder.save_tag("mine", result)
        after = {path: path.stat().st_mtime_ns for path in (tmp_path / "root/forms").rglob("*")}
        assert after == before
        tagged = builder.store.get("mine")
        assert tagged == replace(result, source="tag", cached=True)
        assert builder.build("mine") == tagged
        builder.store.remove("mine")
        assert builder.build(layout.source).cached, "one name less changes nothing for the other"
        with pytest.raises(ImageNotFoundError):
            builder.store.get("mine")
        result.canonical_layers[0].path.unlink()
        with pytest.raises(ImageNotFoundError, match="there is no disk"):
            builder.save_tag("mine", result)


# Archives.


@pytest.fixture(scope="session")
def archives(layout, tmp_path_factory):
    """The image in all forms that are imported, by their names."""
    place = tmp_path_factory.mktemp("archives")
    store = StoreUnderTest(place)
    store.pull(layout.source, "--tag", "box")
    found = {"directory": layout.path}
    for kind in ("oci-archive", "docker-archive"):
        found[kind] = place / f"{kind}.tar"
        done = store.orlop("save", "box", "--format", kind, "-o", found[kind])
        assert done.code == 0, done
    found["compressed"] = place / "compressed.tar.gz"
    found["compressed"].write_bytes(gzip.compress(found["oci-archive"].read_bytes()))
    return found


@pytest.mark.parametrize("kind", ["directory", "oci-archive", "docker-archive", "compressed"])
def test_import(options, archives, tmp_path, kind):
    with Builder(options()) as builder:
        result = builder.import_image(archives[kind], "mine")
        assert not result.cached
        assert result.source == "import"
        assert builder.store.get("mine") == replace(result, cached=True)
        assert builder.import_image(str(archives[kind]), "other").cached
        assert builder.build("mine").cached
    clean(tmp_path / "root")


class Stream(io.RawIOBase):
    """A pipe: it is read once, in pieces."""

    def __init__(self, data, error=None, then=lambda: None):
        self.data, self.error, self.then = io.BytesIO(data), error, then

    def read(self, size=-1):
        piece = self.data.read(min(size, 10_000))
        if not piece:
            self.then()
            if self.error:
                raise self.error
        return piece


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive", "compressed"])
def test_import_of_a_stream(options, archives, tmp_path, kind):
    data = archives[kind].read_bytes()
    with Builder(options()) as builder:
        builder.import_image(Stream(data), "mine")
        builder.import_image(io.BytesIO(data), "other")
        assert [each.tag for each in builder.store.list()] == ["other", "mine"]
    clean(tmp_path / "root")


def test_a_collection_leaves_the_stream_of_an_import_alone(options, archives, tmp_path):
    def collect():
        with Store(tmp_path / "root") as store:
            store.gc()

    with Builder(options()) as builder:
        builder.import_image(Stream(archives["oci-archive"].read_bytes(), then=collect), "mine")


def test_a_stream_that_breaks_is_no_lack_of_room(options, tmp_path):
    with (
        Builder(options()) as builder,
        pytest.raises(TarballError, match="cannot be read to its end"),
    ):
        builder.import_image(Stream(b"x" * 100_000, ConnectionResetError("reset")), "mine")
    clean(tmp_path / "root")


def broken_archives(place, archive):
    data = archive.read_bytes()
    two = ImageBuilder().layer(file("one"))
    two.write(place / "two", tag="one")
    two.layer(file("two")).write(place / "two", tag="two")
    yield "two images", place / "two", "holds 2 images, and not one"
    yield "missing", place / "none", "none"
    (place / "directory").mkdir()
    yield "empty directory", place / "directory", "directory"
    for name, content in {
        "empty": b"",
        "text": b"hello\n" * 1000,
        "truncated": data[: 3 * 512],  # inside of its first files, whatever comes first
        "other tar": tar(file("letter", b"x")),
        "truncated gzip": gzip.compress(data)[:500],
    }.items():
        (place / name).write_bytes(content)
        yield name, place / name, name


def test_archives_that_are_none(options, archives, tmp_path):
    (tmp_path / "broken").mkdir()
    with Builder(options()) as builder:
        for name, path, says in broken_archives(tmp_path / "broken", archives["oci-archive"]):
            with pytest.raises(TarballError, match=says):
                builder.import_image(path, "mine")
            if path.is_file():
                with pytest.raises(TarballError):
                    builder.import_image(io.BytesIO(path.read_bytes()), "mine")
            assert builder.store.list() == [], name
    clean(tmp_path / "root")


def test_import_where_nothing_can_be_written(options):
    with Builder(options()) as builder:
        staging = builder.store.storage.places.staging
        staging.rmdir()
        staging.touch()
        with pytest.raises(CreateTempError, match="there is no room for the archive"):
            builder.import_image(io.BytesIO(b"x"), "mine")
        staging.unlink()
        staging.mkdir()


# Errors.


@pytest.mark.parametrize("reference", ["", "UPPER", "a b", "a:b:c", "https://x/y", "\udcff"])
def test_what_is_no_reference(build, tmp_path, reference):
    with pytest.raises(ParseReferenceError):
        build(reference)
    clean(tmp_path / "root")


def test_places_that_have_no_image(build, layout, tmp_path):
    for reference in (f"oci:{tmp_path}/none", f"oci:{layout.path}:none", f"oci-archive:{__file__}"):
        with pytest.raises(PullImageError):
            build(reference)


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_registry_that_refuses(build, registry, tmp_path, status):
    registry.add_image("app", "1", [tar(file("one"))])
    registry.fail("head", faults.status(status))
    registry.fail("manifest", faults.status(status))
    with pytest.raises(PullImageError, match="app"):
        build(f"{registry.address}/app:1", source=NO_WAITING)
    registry.heal()
    registry.fail("blob", faults.status(status))
    with pytest.raises(PullImageError):
        build(f"{registry.address}/app:1", source=NO_WAITING)
    registry.heal()
    assert not build(f"{registry.address}/app:1", source=NO_WAITING).cached
    clean(tmp_path / "root")


def test_no_registry(build):
    with pytest.raises(PullImageError):
        build("127.0.0.1:1/app:1", source=NO_WAITING)


@pytest.mark.parametrize("what", ["manifest", "config", "manifest gone", "config gone"])
def test_documents_that_are_broken(build, tmp_path, what):
    layout = ImageBuilder().layer(file("one")).write(tmp_path / "layout")
    path = layout.blob(layout.manifest)
    if what.startswith("config"):
        path = layout.blob(json.loads(path.read_bytes())["config"])
    if what.endswith("gone"):
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b" ")
    with pytest.raises(ImageDigestError if "gone" not in what else PullImageError):
        build(layout)
    clean(tmp_path / "root")


@pytest.mark.parametrize("name", ["name leads out", "hard link to nothing", "cut in data", "noise"])
def test_layers_that_are_hostile_or_broken(build, tmp_path, name):
    data, says = BROKEN[name]
    layout = ImageBuilder().layer(directory("etc")).raw_layer(data).write(tmp_path / "layout")
    with pytest.raises(ExtractError, match=says.replace(".", r"\.")):
        build(layout)
    with Store(tmp_path / "root") as store:
        assert store.list() == []
    clean(tmp_path / "root")


def test_layers_that_are_too_large(build, layout):
    limits = LayerLimits(decompression=DecompressionLimits(max_size=4096))
    with pytest.raises(ExtractError, match="limit"):
        build(layout, limits=limits)


def test_a_disk_that_is_too_small(build, layout, tmp_path):
    with pytest.raises(CreateExt4Error, match="limit"):
        build(layout, DiskOptions(fs="ext4", size=8192))
    clean(tmp_path / "root")


def test_no_program_that_writes_squashfs(build, layout, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolNotFoundError, match="squashfs needs") as caught:
        build(layout, DiskOptions(fs="squashfs"))
    assert "install" in caught.value.hint
    clean(tmp_path / "root")


def test_a_program_that_fails(build, layout, tmp_path, monkeypatch):
    tool = tmp_path / "tar2sqfs"
    tool.write_text("#!/bin/sh\ncat >/dev/null; echo no luck >&2; exit 3\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(CreateExt4Error, match="no luck"):
        build(layout, DiskOptions(fs="squashfs"))
    clean(tmp_path / "root")


def test_interrupted_in_the_middle(options, layout, tmp_path):
    def interrupt(step):
        raise KeyboardInterrupt

    with (
        Builder(options(DiskOptions(layout="layers"), on_write=interrupt)) as builder,
        pytest.raises(KeyboardInterrupt),
    ):
        builder.build(layout.source)
    clean(tmp_path / "root")
    with Store(tmp_path / "root") as store:
        assert store.list() == []
        assert not list((tmp_path / "root/forms").glob("*/*/disk.*"))


@pytest.mark.parametrize("fs", ["ext4", "squashfs"])
def test_a_file_of_the_far_future(tmp_path, fs):
    """The disk says the last moment that it can say, and no error is that of a caller."""
    layout = ImageBuilder().layer(file("late", mtime=10_000_000_000)).write(tmp_path / "layout")
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        image = store.pull(layout.source, tag="late")
        (disk,) = image.disks(tmp_path / "disk", DiskOptions(fs=fs))
        assert disk.size


# Several at once.


def test_two_threads_build_it_once(options, layout):
    lock, begun = threading.Barrier(2), []

    def run(_):
        steps = []
        with Builder(options(on_write=steps.append)) as builder:
            lock.wait()
            result = builder.build(layout.source)
        begun.append(bool(steps))
        return result

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(run, range(2))
    assert one.layers == two.layers
    assert sorted(begun) == [False, True]


PROCESS = """
import sys
from orlop.disks import Builder, BuildOptions

steps = []
options = BuildOptions(cache_dir=sys.argv[1], run_dir=sys.argv[2], on_write=steps.append)
with Builder(options) as builder:
    sys.stdin.readline()
    print(bool(steps), builder.build(sys.argv[3]).rootfs_path, bool(steps))
"""


def test_two_processes_build_it_once(layout, tmp_path):
    words = [sys.executable, "-c", PROCESS, tmp_path / "root", tmp_path / "run", layout.source]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(words, **pipes) for _ in range(2)]
    for each in started:
        each.stdin.write("go\n")
        each.stdin.flush()
    found = [each.communicate(timeout=60)[0].split() for each in started]
    assert sorted(words[2] for words in found) == ["False", "True"]
    assert found[0][1] == found[1][1]
    clean(tmp_path / "root")


KILLED = """
import os, signal, sys
from orlop.disks import Builder, BuildOptions, DiskOptions

def die(step):
    if step.done:
        os.kill(os.getpid(), signal.SIGKILL)

options = BuildOptions(
    cache_dir=sys.argv[1], run_dir=sys.argv[2], on_write=die, disk=DiskOptions(layout="layers")
)
Builder(options).build(sys.argv[3])
"""


def test_what_a_killed_builder_leaves_is_collected(build, layout, tmp_path):
    words = [tmp_path / "root", tmp_path / "run", layout.source]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], check=False)
    assert done.returncode == -9
    staging = tmp_path / "root/staging"
    assert os.listdir(staging)
    with Store(tmp_path / "root") as store:
        assert store.gc() == 0
        assert os.listdir(staging) == []
        assert store.list() == []
    assert not build(layout, DiskOptions(layout="layers")).cached
    clean(tmp_path / "root")


def test_a_collection_takes_nothing_from_under_a_builder(options, layout, tmp_path):
    disk = DiskOptions(layout="layers")

    def collect(step):
        with Store(tmp_path / "root") as store:
            store.gc()

    with Builder(options(disk, on_write=collect)) as builder:
        result = builder.build(layout.source)
        builder.store.gc()
        assert builder.build(layout.source) == replace(result, cached=True)
    clean(tmp_path / "root")


def test_builders_and_collectors_at_once(options, layout, tmp_path):
    over = threading.Event()

    def collect():
        with Store(tmp_path / "root", tmp_path / "run") as store:
            while not over.is_set():
                store.gc()

    def build(number):
        with Builder(options(VARIANTS[number % 3])) as builder:
            for _ in range(4):
                result = builder.build(layout.source)
                assert all(path.is_file() for path in result.lower_paths)
                builder.save_tag(f"tag {number}", result)
                builder.store.remove(f"tag {number}")

    with ThreadPoolExecutor(4) as pool:
        collecting = pool.submit(collect)
        try:
            list(pool.map(build, range(3)))
        finally:
            over.set()
        collecting.result()
    clean(tmp_path / "root")


# Upkeep.


@pytest.mark.parametrize("damage", ["cut short", "removed", "flipped"])
def test_damage_is_found_removed_and_built_again(build, layout, tmp_path, damage):
    result = build(layout)
    path = result.rootfs_path
    good = path.read_bytes()
    if damage == "removed":
        path.unlink()
    elif damage == "cut short":
        os.truncate(path, 100)
    else:
        path.write_bytes(good[:2000] + bytes([good[2000] ^ 1]) + good[2001:])
    command = StoreUnderTest(tmp_path)
    found = command.orlop("check", "--format", "json")
    assert found.code != 0
    kind = {"removed": "missing", "cut short": "size", "flipped": "digest"}[damage]
    assert f'"damage": "{kind}"' in found.out
    assert f"the disk.erofs of {result.layer_digests[0]}" in found.out
    assert '"remedy": "remove"' in found.out
    repaired = command.orlop("check", "--repair")
    assert repaired.code == 0, repaired
    assert not path.exists()
    assert command.orlop("check").code == 0
    again = build(layout)
    assert not again.cached
    assert path.read_bytes() == good
    assert command.orlop("check").code == 0


def test_a_quick_check_sees_a_disk_that_is_cut_short(build, layout, tmp_path):
    os.truncate(build(layout).rootfs_path, 100)
    found = StoreUnderTest(tmp_path).orlop("check", "--quick")
    assert found.code != 0
    assert "disk.erofs" in found.out


def test_a_disk_counts(build, layout, tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        store.pull(layout.source, tag="box")
        before = store.usage().layers
        result = build(layout, DiskOptions(fs="ext4", size=64 << 20))
        after = store.usage().layers
        assert after.size - before.size >= result.size > 0
        assert after.count == before.count + 1


def test_records_say_what_is_kept(build, layout, store):
    result = build(layout, DiskOptions(layout="layers"))
    with store.storage.database.read() as tx:
        for each in result.layers:
            record = Forms(tx).get(each.digest, "disk.erofs")
            assert record.durable
            assert record.size == each.size == each.path.stat().st_size
            assert record.digest == Digest.of(each.path.read_bytes())
