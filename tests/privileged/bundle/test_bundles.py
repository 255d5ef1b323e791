"""Bundles made, found, removed, and what crashes leave of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import orlop
from orlop._sys.mountinfo import iter_mounts
from orlop.bundle import Bundles, OverlayBundler, PullRules, UncompressedBundler, options
from orlop.bundle.records import FLAG, flags_of
from orlop.errors import (
    AlreadyExistsError,
    InUseError,
    InvalidDocumentError,
    InvalidError,
    LimitExceededError,
    NotFoundError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.idmap import IdMapping
from orlop.metadata.owner import NOBODY
from support.images import ImageBuilder, directory, file, symlink
from support.marks import needs_root

pytestmark = needs_root

BUNDLERS = ("overlay", "uncompressed")
MAPPING = IdMapping.parse(["0:100000:65536"])


@pytest.fixture(params=BUNDLERS)
def bundler(yard, request):
    return getattr(yard, request.param)


def nothing_is_left(yard, mounts, *, of=("demo",)):
    """No container, no mount beside those that there were, and nothing to collect of them."""
    assert yard.store.containers.list() == ()
    assert mount_points(yard) <= mounts
    assert [path for name in of for path in yard.place.rglob(f"{name}/bundle")] == []
    assert not yard.store.layers.list() or all(not each.containers for each in ())


def mount_points(yard):
    place = os.fsencode(yard.place)
    points = {mount.mount_point for mount in iter_mounts()}
    return {each for each in points if each.startswith(place) and not each.endswith(b"-erofs")}


def small(yard, *layers, **config):
    config = {"Cmd": ["sh"], **config}
    return yard.image([directory("etc"), file("etc/f", b"f")], *layers, base=False, **config)


def test_a_bundle_has_its_files_and_configuration(yard, bundler):
    with bundler.bundle(small(yard), "demo", path=yard.place / "b") as bundle:
        assert bundle.path == yard.place / "b"
        assert (bundle.path / "rootfs/etc/f").read_bytes() == b"f"
        document = json.loads((bundle.path / "config.json").read_bytes())
        assert document["root"] == {"path": "rootfs", "readonly": False}
        assert document["hostname"] == "demo"
        assert bundle.path.stat().st_mode & 0o777 == 0o711
        assert (bundle.path / "config.json").stat().st_mode & 0o777 == 0o600
        assert (bundle.path / "rootfs").stat().st_mode & 0o777 == 0o755
        assert (bundle.path / "rootfs/dev").is_dir()
    assert not (yard.place / "b").exists()
    nothing_is_left(yard, set())


def test_cleaning_up_twice_does_nothing_more(yard, bundler):
    bundle = bundler.bundle(small(yard), "demo")
    bundle.cleanup()
    bundle.cleanup()
    nothing_is_left(yard, set())


def test_what_others_put_beside_a_bundle_stays(yard, bundler):
    bundle = bundler.bundle(small(yard), "demo", path=yard.place / "b")
    (bundle.path / "notes").write_text("mine")
    bundle.cleanup()
    assert [each.name for each in (yard.place / "b").iterdir()] == ["notes"]


def test_a_record_that_points_at_anothers_bundle_never_touches_it(yard, bundler):
    """Whoever was killed before it made its directory may leave one."""
    bundle = bundler.bundle(small(yard), "demo", path=yard.place / "b")
    for kind in BUNDLERS:
        yard.store.containers.create(id=kind, flags=flags_of(bundle.path, kind, "x"))
        stray = Bundles(yard.store.storage).get(kind)
        assert Bundles(yard.store.storage).at(bundle.path).id == "demo"
        assert Bundles(yard.store.storage).state(stray) == "incomplete"
        Bundles(yard.store.storage).remove(stray, force=True)
    assert (bundle.path / "rootfs/etc/f").exists()
    assert (bundle.path / "config.json").exists()
    bundle.cleanup()
    assert not bundle.path.exists()


def test_bundles_of_an_image_share_its_mount(yard):
    image = small(yard)
    with yard.overlay.bundle(image, "one"), yard.overlay.bundle(image, "two"):
        shared = [each for each in iter_mounts() if each.mount_point.endswith(b"-erofs")]
        here = [each for each in shared if each.mount_point.startswith(os.fsencode(yard.place))]
        assert len(here) == 1


def test_uncompressed_bundles_are_fresh_each_time(yard):
    image = small(yard)
    with yard.uncompressed.bundle(image, "one") as one:
        (one.path / "rootfs/etc/f").write_text("changed")
        with yard.uncompressed.bundle(image, "two") as two:
            assert (two.path / "rootfs/etc/f").read_text() == "f"


@pytest.mark.parametrize(
    ("option", "error"),
    [
        (options.user("nobody-knows"), NotFoundError),
        (options.args(), InvalidDocumentError),
        (options.cgroups_path(5), InvalidDocumentError),
        (options.namespace("user"), InvalidError),
        (lambda spec: 1 / 0, ZeroDivisionError),
    ],
)
def test_a_failure_leaves_nothing(yard, bundler, option, error):
    image = small(yard)
    with pytest.raises(error):
        bundler.bundle(image, "demo", option, path=yard.place / "b")
    assert not (yard.place / "b").exists()
    nothing_is_left(yard, set())
    with bundler.bundle(image, "demo", path=yard.place / "b"):
        pass


def test_an_id_that_is_taken(yard, bundler):
    with bundler.bundle(small(yard), "demo"):
        with pytest.raises(AlreadyExistsError):
            bundler.bundle(small(yard), "demo")
        assert [each.id for each in Bundles(yard.store.storage).list()] == ["demo"]


def test_a_directory_that_is_taken(yard, bundler):
    image = small(yard)
    with bundler.bundle(image, "demo", path=yard.place / "b") as bundle:
        with pytest.raises(AlreadyExistsError):
            bundler.bundle(image, "other", path=yard.place / "b")
        assert (bundle.path / "rootfs/etc/f").exists()
        assert (bundle.path / "config.json").exists()
    mine = yard.place / "mine"
    mine.mkdir()
    (mine / "config.json").write_text("mine")
    with pytest.raises(AlreadyExistsError):
        bundler.bundle(image, "other", path=mine)
    assert (mine / "config.json").read_text() == "mine"


def test_too_many_layers_are_refused_before_anything_is_written(yard):
    image = small(yard, [file("g")], [file("h")])
    for kind in (OverlayBundler, UncompressedBundler):
        before = sorted(yard.place.rglob("*"))
        with pytest.raises(LimitExceededError) as caught:
            kind(yard.store, max_layers=2).bundle(image, "demo", path=yard.place / "b")
        assert (caught.value.limit, caught.value.value) == ("MAX_LAYERS", 2)
        assert sorted(yard.place.rglob("*")) == before
        with kind(yard.store, max_layers=3).bundle(image, "demo"):
            pass


def test_257_layers_are_one_too_many(yard, bundler):
    builder = ImageBuilder(compression="none")
    for _ in range(257):
        builder.layer(file("f"))
    yard.store.pull(builder.write(yard.place / "deep").source, tag="localhost/deep:1")
    with pytest.raises(LimitExceededError, match="257"):
        bundler.bundle("localhost/deep:1", "demo")


def test_an_image_without_layers(yard, bundler):
    yard.store.pull(
        ImageBuilder(config={"config": {"Cmd": ["x"]}}).write(yard.place / "none").source,
        tag="localhost/none:1",
    )
    with bundler.bundle("localhost/none:1", "demo") as bundle:
        assert (bundle.path / "rootfs/proc").is_dir()


def test_when_images_are_pulled(yard):
    builder = ImageBuilder(config={"config": {"Cmd": ["one"]}}).layer(file("f", b"1"))
    source = builder.write(yard.place / "src", tag="t").source

    def command(policy):
        bundler = OverlayBundler(yard.store, rules=PullRules(policy=policy))
        with bundler.bundle(source, os.urandom(8).hex()) as bundle:
            return json.loads((bundle.path / "config.json").read_bytes())["process"]["args"]

    with pytest.raises(NotFoundError):
        command("never")
    assert command("always") == ["one"]
    name = yard.store.images()[0].name
    with OverlayBundler(yard.store, rules=PullRules(policy="never")).bundle(name, "demo"):
        pass
    with OverlayBundler(yard.store).bundle(name, "demo"):
        pass
    assert command("missing") == ["one"]


def test_mount_targets_never_follow_links_out_of_the_root(yard, bundler):
    outside = yard.place / "outside"
    outside.mkdir()
    image = small(
        yard, [symlink("abs", str(outside)), symlink("up", "../../../../.." + str(outside))]
    )
    for link in ("/abs", "/up"):
        with pytest.raises(UnsafePathError):
            bundler.bundle(image, "demo", options.tmpfs(f"{link}"))
    assert list(outside.iterdir()) == []
    inside = small(yard, [directory("real"), symlink("link", "/real")])
    with bundler.bundle(inside, "demo", options.tmpfs("/link/below")) as bundle:
        assert (bundle.path / "rootfs/real/below").is_dir()


def test_a_mount_target_that_is_a_file_of_the_image(yard, bundler):
    with pytest.raises((UnsafePathError, OSError)):
        bundler.bundle(small(yard), "demo", options.tmpfs("/etc/f/x"))
    nothing_is_left(yard, set())


def test_open_files_keep_an_overlay_until_force(yard):
    bundle = yard.overlay.bundle(small(yard), "demo")
    with open(bundle.path / "rootfs/etc/f", "rb"):
        with pytest.raises(InUseError):
            bundle.cleanup()
        assert (bundle.path / "config.json").exists()
    bundle.cleanup()
    nothing_is_left(yard, set())


def test_a_closed_directory_stops_a_mapped_root_by_name(yard):
    closed = yard.place / "closed"
    closed.mkdir(mode=0o700)
    mapped = options.user_namespace(MAPPING)
    with pytest.raises(UnsupportedError, match="closed"):
        yard.uncompressed.bundle(small(yard), "demo", mapped, path=closed / "b")
    assert list(closed.iterdir()) == []


def test_mapped_files_belong_to_the_mapped_ids(yard, bundler):
    image = small(yard, [file("owned", uid=33, gid=44)])
    mapped = options.user_namespace(MAPPING)
    with bundler.bundle(image, "demo", mapped, path=yard.place / "b") as bundle:
        found = (bundle.path / "rootfs/owned").stat()
        assert (found.st_uid, found.st_gid) == (100033, 100044)
        assert (bundle.path / "rootfs/proc").stat().st_uid == 100000


def test_only_an_overlay_is_committed(yard):
    bundle = yard.uncompressed.bundle(small(yard), "demo")
    with bundle, pytest.raises(UnsupportedError):
        bundle.commit("localhost/x:1")


def test_a_commit_restores_the_places_to_mount_at(yard):
    with yard.overlay.bundle(small(yard), "demo", options.tmpfs("/a/b")) as bundle:
        bundle.commit("localhost/x:1")
        assert (bundle.path / "rootfs/a/b").is_dir()
        done = yard.under_test.orlop("container", "commit", "demo", "localhost/y:1")
        assert done.code == 0, done
        assert (bundle.path / "rootfs/a/b").is_dir()
    for name in ("localhost/x:1", "localhost/y:1"):
        with yard.store.image(name).files() as files:
            assert [entry for entry, _ in files.list(b"/")] == [b"etc"]


CRASH = """
import os, signal, sys
sys.path[:0] = {path!r}
import orlop
from orlop.bundle import bundler as module, OverlayBundler, UncompressedBundler
from pathlib import Path
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module, {at!r}, die)
store = orlop.open_store({root!r}, {run!r})
getattr(module, {kind!r})(store).bundle({image!r}, "demo", path=Path({place!r}))
"""


@pytest.mark.parametrize(
    "at", ["make_bundle_directory", "finish_spec", "write_targets", "write_spec"]
)
@pytest.mark.parametrize("kind", ["OverlayBundler", "UncompressedBundler"])
@pytest.mark.parametrize("way", ["again", "gc", "rm"])
def test_what_a_crash_leaves_is_cleaned(yard, at, kind, way):
    image, place = small(yard), yard.place / "b"
    under = yard.under_test
    code = CRASH.format(
        path=sys.path, at=at, root=str(under.root), run=str(under.run), kind=kind, image=image,
        place=str(place),
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done
    bundles = Bundles(yard.store.storage)
    assert [(each.id, bundles.state(each)) for each in bundles.list()] == [("demo", "incomplete")]
    if way == "again":
        with getattr(orlop.bundle, kind)(yard.store).bundle(image, "demo", path=place) as bundle:
            assert (bundle.path / "rootfs/etc/f").exists()
    elif way == "gc":
        found = yard.store.collect(dry_run=True)
        assert [each.key for each in found.items if each.kind == "container"] == ["demo"]
        assert yard.store.collect().containers == 1
    else:
        done = under.orlop("bundle", "rm", place)
        assert done.code == 0, done
    assert bundles.list() == []
    assert not place.exists()
    nothing_is_left(yard, set())


def test_what_is_being_made_is_no_leftover(yard):
    """The collector of another process leaves alone what lives."""
    bundle = yard.overlay.bundle(small(yard), "demo")
    (bundle.path / "config.json").unlink()
    bundles = Bundles(yard.store.storage)
    [record] = bundles.list()
    assert not bundles.is_stale(record)
    yard.store.collect()
    assert len(bundles.list()) == 1
    assert not bundles.is_stale(replace(record, owner=NOBODY))
    assert bundles.is_stale(replace(record, owner=NOBODY, finished=False))
    bundle.cleanup()


def test_a_broken_note_is_no_bundle(yard):
    for number, note in enumerate(({}, {"path": 1}, "text", None, {"path": "/x", "owner": {}})):
        yard.store.containers.create(id=f"c{number}", flags={FLAG: note})
    assert Bundles(yard.store.storage).list() == []


def test_the_command(yard):
    image, under = small(yard, User="7:8"), yard.under_test
    profile = yard.place / "seccomp.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    place = yard.place / "b"
    done = under.orlop(
        "bundle", "create", image, place, "--memory", "64M", "--cpus", "0.5", "--pids", "9",
        "--env", "A=b", "--env", "B=c=d", "--unset-env", "PATH", "--workdir", "/srv",
        "--volume", f"{yard.place}:/host:ro", "--tmpfs", "/t", "--network", "host", "--read-only",
        "--hostname", "boxy", "--cap-drop", "ALL", "--cap-add", "kill", "--rlimit", "nofile=5:6",
        "--annotation", "k=v", "--seccomp", profile, "--device", "/dev/null:/dev/hole",
        "--cgroup", "/grp", "--", "run", "-x",
    )  # fmt: skip
    assert done.code == 0, done
    document = json.loads((place / "config.json").read_bytes())
    process, linux = document["process"], document["linux"]
    assert process["args"] == ["run", "-x"]
    assert process["env"] == ["A=b", "B=c=d", "HOME=/"]
    assert process["cwd"] == "/srv"
    assert process["user"] == {"uid": 7, "gid": 8}
    assert process["capabilities"]["bounding"] == ["CAP_KILL"]
    assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 6, "soft": 5}]
    assert linux["resources"]["memory"]["limit"] == 64 << 20
    assert linux["resources"]["cpu"]["quota"] == 50000
    assert linux["resources"]["pids"]["limit"] == 9
    assert linux["seccomp"] == {"defaultAction": "SCMP_ACT_ALLOW"}
    assert linux["cgroupsPath"] == "/grp"
    assert "network" not in [each["type"] for each in linux["namespaces"]]
    assert document["root"]["readonly"] is True
    assert document["hostname"] == "boxy"
    assert document["annotations"]["k"] == "v"
    places = {each["destination"]: each for each in document["mounts"]}
    assert places["/host"]["options"] == ["rbind", "ro"]
    assert "/t" in places
    listed = json.loads(under.orlop("bundle", "ls", "--format", "json").out)
    assert [(each["path"], each["state"], each["kind"]) for each in listed] == [
        (str(place), "ready", "overlay")
    ]
    assert under.orlop("bundle", "ls", "--quiet").out == f"{place}\n"
    assert listed[0]["container"] == done.out.strip()
    assert str(place) in under.orlop("bundle", "ls").out
    assert under.orlop("bundle", "rm", place).out == f"{place}\n"
    under.orlop("bundle", "rm", place).check_failure(3, "no bundle")
    assert under.orlop("bundle", "ls").out.count("\n") <= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--volume", "/x"], "volume"),
        (["--volume", "/etc:/x:rx"], "volume"),
        (["--env", "A"], "NAME=VALUE"),
        (["--memory", "lots"], "size"),
        (["--cpus", "0"], "processors"),
        (["--rlimit", "nofile=x"], "limit"),
        (["--cap-add", "FLY"], "capability"),
        (["--user", "nobody-knows"], "nobody-knows"),
        (["--rootless", "--uidmap", "0:1:2"], "excludes"),
        (["--pull", "never"], ""),
    ],
)
def test_what_the_command_refuses(yard, arguments, says):
    image = small(yard) if says else "localhost/unknown:1"
    done = yard.under_test.orlop("bundle", "create", image, yard.place / "b", *arguments)
    assert done.code != 0
    done.check_failure(done.code, says)
    assert not (yard.place / "b").exists()
    nothing_is_left(yard, set())


def test_labels_that_are_left_out_are_told(yard):
    image = small(yard, Labels={"run.oci.hooks.stdout": "/etc/x"})
    done = yard.under_test.orlop("bundle", "create", image, yard.place / "b")
    assert "run.oci.hooks.stdout" in done.err
    assert done.code == 0


def test_a_relative_directory(yard, monkeypatch):
    monkeypatch.chdir(yard.place)
    with yard.overlay.bundle(small(yard), "demo", path=Path("rel")) as bundle:
        assert bundle.path == yard.place / "rel"
        assert Bundles(yard.store.storage).get("rel").id == "demo"
        assert Bundles(yard.store.storage).get("demo").path == bundle.path


def make_by_command(yard, name):
    """A bundle whose maker has ended; its container."""
    done = yard.under_test.orlop("bundle", "create", "-q", small(yard), yard.place / name)
    assert done.code == 0, done
    own = done.out.strip()
    container = yard.store.containers.get(own)
    note = {**container.flags[FLAG], "owner": asdict(NOBODY)}
    yard.store.containers.set_flags(own, {FLAG: note})
    return own


def written(yard, own):
    return yard.store.storage.places.layer(yard.store.containers.get(own).layer) / "diff/written"


@pytest.mark.parametrize("what", ["moved", "unconfigured", "unmounted", "removed"])
def test_a_finished_bundle_is_never_collected(yard, what):
    own, place = make_by_command(yard, "b"), yard.place / "b"
    (place / "rootfs/written").write_text("mine")
    if what == "unconfigured":
        (place / "config.json").unlink()
    elif what == "moved":
        place.rename(yard.place / "c")
    else:
        yard.store.containers.unmount(own)
        shutil.rmtree(place) if what == "removed" else place.rename(yard.place / "c")
    collected = yard.store.collect()
    assert [each for each in collected.items if each.key == own] == []
    assert written(yard, own).read_text() == "mine"
    if what == "moved":
        assert (yard.place / "c/rootfs/written").read_text() == "mine"
        (yard.place / "c").rename(place)
    Bundles(yard.store.storage).remove(Bundles(yard.store.storage).get(own), force=True)
    nothing_is_left(yard, set())


def test_what_is_mounted_elsewhere_is_never_removed(yard):
    own, place = make_by_command(yard, "b"), yard.place / "b"
    (place / "rootfs/written").write_text("mine")
    moved = yard.place / "c"
    place.rename(moved)
    for words in (
        ("bundle", "rm", place),
        ("bundle", "rm", "--force", place),
        ("container", "rm", "--force", own),
        ("container", "mount", own),
    ):
        done = yard.under_test.orlop(*words)
        done.check_failure(5, str(moved / "rootfs"))
        assert (moved / "rootfs/written").read_text() == "mine"
        assert (moved / "config.json").exists()
    assert Bundles(yard.store.storage).rootfs(Bundles(yard.store.storage).get(own)) == (
        moved / "rootfs"
    )
    subprocess.run(["umount", moved / "rootfs"], check=True)
    assert yard.under_test.orlop("bundle", "rm", place).code == 0
    nothing_is_left(yard, set())


@pytest.mark.parametrize("own", ["../../../outside/deep", "/outside", "", "a" * 129, "a/b", ".."])
def test_an_id_that_cannot_be_one_makes_no_directory(yard, bundler, own):
    image = small(yard)
    before = sorted(yard.place.rglob("*"))
    for path in (None, yard.place / "b"):
        with pytest.raises(InvalidError, match="cannot be an ID"):
            bundler.bundle(image, own, path=path)
    assert sorted(yard.place.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "args"),
    [
        ([], ["echo", "\udcff"]),
        (["-e", "A=\udcff"], []),
        (["--workdir", "/\udcff"], []),
        (["-v", "./\udcff:/data"], []),
        (["-v", "/tmp:/\udcff"], []),
        (["--tmpfs", "/\udcff"], []),
        (["--annotation", "\udcff=x"], []),
        (["--hostname", "\udcff"], []),
    ],
)
def test_words_that_are_not_utf8(yard, monkeypatch, options, args):
    monkeypatch.chdir(yard.place)
    (yard.place / "\udcff").mkdir()
    words = ("bundle", "create", "-q", *options, small(yard), yard.place / "b", "--", *args)
    yard.under_test.orlop(*words).check_failure(1)
    assert not (yard.place / "b").exists()
    nothing_is_left(yard, set())


def test_a_bundle_whose_container_is_gone_is_removed(yard):
    own, place = make_by_command(yard, "b"), yard.place / "b"
    assert yard.under_test.orlop("container", "rm", "--force", own).code == 0
    subprocess.run(["mount", "--bind", yard.place, place / "rootfs"], check=True)
    yard.under_test.orlop("bundle", "rm", place).check_failure(5, "is a mount")
    subprocess.run(["umount", place / "rootfs"], check=True)
    done = yard.under_test.orlop("bundle", "rm", place)
    assert (done.code, done.out) == (0, f"{place}\n")
    assert done.err == f"container {own[:12]} was removed before\n"
    assert not place.exists()
    yard.under_test.orlop("bundle", "rm", place).check_failure(3)
    nothing_is_left(yard, set())


def test_of_a_bundle_without_a_container_what_is_not_orlops_stays(yard, monkeypatch):
    own, place = make_by_command(yard, "b"), yard.place / "b"
    assert yard.under_test.orlop("container", "rm", "--force", own).code == 0
    (place / "rootfs/mine").write_text("mine")
    monkeypatch.chdir(yard.place)
    done = yard.under_test.orlop("bundle", "rm", "b")
    assert done.code == 0
    assert "stays" in done.err
    assert sorted(place.rglob("*")) == [place / "rootfs", place / "rootfs/mine"]


def test_a_moved_bundle_is_named_where_it_is_recorded(yard):
    make_by_command(yard, "b")
    (yard.place / "b").rename(yard.place / "c")
    done = yard.under_test.orlop("bundle", "rm", yard.place / "c")
    done.check_failure(3, f"recorded at {yard.place / 'b'}")
    assert (yard.place / "c/config.json").exists()
    (yard.place / "c").rename(yard.place / "b")


@pytest.mark.parametrize("closed", [False, True])
def test_a_bundle_is_mounted_again_after_a_restart(running, closed):
    """One that a mapped root cannot reach is mounted elsewhere, and is so again."""
    yard, place = running, running.place / "b"
    if closed:
        place = yard.place / "closed/b"
        place.parent.mkdir(mode=0o700)
    found = Bundles(yard.store.storage)
    script = yard.shell("echo more >> /kept; cat /kept", options.user_namespace(MAPPING))
    bundle = yard.overlay.bundle(yard.image(), "demo", *script, path=place)
    assert (found.rootfs(found.get("demo")) == place / "rootfs") is not closed
    assert yard.runtime.output(place, "demo") == "more\n"
    rootfs = found.rootfs(found.get("demo"))
    subprocess.run(["umount", rootfs], check=True)
    assert found.state(found.get("demo")) == "unmounted"
    assert "more" not in {each.name for each in (place / "rootfs").iterdir()}
    for _ in range(2):
        done = yard.under_test.orlop("bundle", "mount", place)
        assert (done.code, done.out) == (0, f"{rootfs}\n")
        assert found.state(found.get("demo")) == "ready"
    assert yard.runtime.output(place, "demo") == "more\nmore\n"
    bundle.cleanup()
    nothing_is_left(yard, set())


def test_what_is_no_whole_bundle_is_not_mounted(yard, bundler):
    bundle = bundler.bundle(small(yard), "demo", path=yard.place / "b")
    assert Bundles(yard.store.storage).mount(Bundles(yard.store.storage).get("demo")) == (
        yard.place / "b/rootfs"
    )
    yard.store.containers.unmount("demo", force=True)
    (bundle.path / "config.json").write_text("{}")
    done = yard.under_test.orlop("bundle", "mount", "demo")
    assert "names no root directory" in done.err or bundler.kind == "uncompressed"
    (bundle.path / "config.json").unlink()
    yard.under_test.orlop("bundle", "mount", "demo").check_failure(3, "is not whole")
    yard.under_test.orlop("bundle", "mount", "nothing").check_failure(3)
    bundle.cleanup()


def test_places_that_were_made_to_mount_at_are_no_changes(yard):
    image = small(yard)
    with yard.overlay.bundle(image, "demo", options.tmpfs("/new/place"), path=yard.place / "b"):
        assert (yard.place / "b/rootfs/new/place").is_dir()
        (yard.place / "b/rootfs/mine").write_text("x")
        assert yard.under_test.orlop("container", "changes", "demo").out == "A /mine\n"
        tar = yard.place / "tar"
        assert yard.under_test.orlop("container", "diff", "demo", "-o", tar).code == 0
        with tarfile.open(tar) as opened:
            assert [each for each in opened.getnames() if each != "."] == ["mine"]
        assert (yard.place / "b/rootfs/new/place").is_dir()


def test_hints_name_the_commands_of_bundles(yard, monkeypatch):
    monkeypatch.chdir(yard.place)
    with yard.overlay.bundle(small(yard), "demo", path=yard.place / "b") as bundle:
        done = yard.under_test.orlop("container", "rm", "demo")
        done.check_failure(5)
        assert done.err.endswith(f"orlop bundle rm {bundle.path}\n")
    (yard.place / "full").mkdir()
    yard.under_test.orlop("bundle", "rm", "full").check_failure(3, "no bundle is at full")


@pytest.fixture
def held(running):
    """A bundle whose container runs, and whose mount was taken away here: it has one of its own."""
    yard = running
    image = yard.image()
    script = yard.shell("echo kept > /data; echo begun; read line; cat /data")
    bundle = yard.overlay.bundle(image, "demo", *script, path=yard.place / "b")
    command = yard.runtime.command("run", "--bundle", bundle.path, "demo")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        subprocess.run(["umount", bundle.path / "rootfs"], check=True)
        yield yard, bundle
        assert process.communicate(b"end\n", timeout=30) == (b"kept\n", None)
    bundle.cleanup()
    nothing_is_left(yard, set())


def test_what_runs_is_found_when_its_mount_was_taken_away(held):
    yard, bundle = held
    found = Bundles(yard.store.storage)
    assert found.state(found.get("demo")) == "running"
    for words in (
        ("bundle", "mount", bundle.path),
        ("bundle", "rm", bundle.path),
        ("bundle", "rm", "--force", bundle.path),
        ("container", "rm", "--force", "demo"),
    ):
        done = yard.under_test.orlop(*words)
        done.check_failure(5)
        assert "in use by process" in done.err, words


def test_a_mount_elsewhere_is_none_of_the_bundle(yard):
    """A runtime would find an empty directory where its configuration says."""
    bundle = yard.overlay.bundle(small(yard), "demo", path=yard.place / "b")
    found = Bundles(yard.store.storage)
    yard.store.containers.unmount("demo")
    other = yard.store.containers.mount("demo", keep=True).path
    assert found.state(found.get("demo")) == "unmounted"
    done = yard.under_test.orlop("bundle", "mount", "demo")
    done.check_failure(5, f"mounted at {other}, and not at {bundle.path / 'rootfs'}")
    yard.store.containers.unmount("demo", force=True)
    assert yard.under_test.orlop("bundle", "mount", "demo").code == 0
    assert found.state(found.get("demo")) == "ready"
    bundle.cleanup()
    nothing_is_left(yard, set())


@pytest.mark.parametrize("root", ["../..", "/etc", "../c/rootfs", "a\0b"])
def test_a_root_that_orlop_does_not_mount_is_refused(yard, root):
    bundle = yard.overlay.bundle(small(yard), "demo", path=yard.place / "b")
    yard.store.containers.unmount("demo")
    document = json.loads((bundle.path / "config.json").read_bytes())
    document["root"]["path"] = root
    (bundle.path / "config.json").write_text(json.dumps(document))
    done = yard.under_test.orlop("bundle", "mount", "demo")
    assert done.code == 1, done
    assert yard.store.containers.mounted("demo") == 0
    bundle.cleanup()
    nothing_is_left(yard, set())


def test_a_pipe_for_a_configuration_is_no_reason_to_wait(yard):
    bundle = yard.overlay.bundle(small(yard), "demo", path=yard.place / "b")
    (bundle.path / "config.json").unlink()
    os.mkfifo(bundle.path / "config.json")
    assert yard.under_test.orlop("bundle", "mount", "demo").code == 1
    bundle.cleanup()


def test_places_that_a_runtime_makes_meanwhile_stay(yard):
    option = options.tmpfs("/new/place")
    with yard.overlay.bundle(small(yard), "demo", option, path=yard.place / "b") as bundle:
        found = Bundles(yard.store.storage)
        with found.without_targets(found.get("demo")):
            assert not (bundle.path / "rootfs/new").exists()
            (bundle.path / "rootfs/new/place").mkdir(parents=True)
        assert (bundle.path / "rootfs/new/place").is_dir()


def test_a_directory_that_was_there_stays_when_the_making_fails(yard, bundler):
    place = yard.place / "b"
    place.mkdir()
    place.chmod(0o750)
    os.chown(place, 12, 34)
    with pytest.raises(NotFoundError):
        bundler.bundle(small(yard), "demo", options.user("nobody-knows"), path=place)
    found = place.stat()
    assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o750, 12, 34)
    assert list(place.iterdir()) == []


def test_no_container_loses_its_mount_to_another(running):
    """The kernel would show both half of what is written."""
    yard = running
    script = yard.shell("echo begun; read line")
    with yard.overlay.bundle(yard.image(), "demo", *script, path=yard.place / "b") as bundle:
        command = yard.runtime.command("run", "--bundle", bundle.path, "demo")
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"begun\n"
            done = yard.under_test.orlop("container", "umount", "--force", "demo")
            done.check_failure(5)
            assert "is the root of process" in done.err
            subprocess.run(["umount", bundle.path / "rootfs"], check=True)
            done = yard.under_test.orlop("run", "demo", "--", "true")
            assert done.code == 125
            assert "is the root of process" in done.err
            process.communicate(b"end\n", timeout=30)
