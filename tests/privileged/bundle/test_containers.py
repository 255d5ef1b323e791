"""Containers run from bundles, by real runtimes."""

import json
import os
import subprocess
import time

import pytest

from orlop.bundle import Bundles, options
from orlop.errors import InUseError
from orlop.idmap import IdMapping
from support.images import ImageBuilder, directory, file, opaque, symlink, whiteout
from support.marks import needs_root, needs_tools
from support.nobody import NOBODY, as_nobody, unprivileged_place
from support.runtimes import Runtime, base_members
from support.stores import StoreUnderTest

pytestmark = needs_root

MAPPING = IdMapping.parse(["0:100000:65536"])


@pytest.fixture(params=["overlay", "uncompressed"])
def bundler(running, request):
    return getattr(running, request.param)


def test_the_images_command_is_run(running, bundler):
    image = running.image(Entrypoint=["/bin/echo"], Cmd=["hello", "there"])
    with bundler.bundle(image, "demo") as bundle:
        assert running.runtime.output(bundle.path) == "hello there\n"
        assert json.loads((bundle.path / "config.json").read_bytes())["ociVersion"] == "1.0.2"
        assert not (bundle.path / "rootfs").is_symlink()


def test_the_exit_code_is_the_commands(running, bundler):
    with bundler.bundle(running.image(), "demo", *running.shell("exit 42")) as bundle:
        assert running.runtime.run(bundle.path).code == 42


def test_a_later_layer_lies_on_an_earlier_one(running, bundler):
    image = running.image(
        [directory("a"), file("a/f", b"old"), file("gone", b"x"), directory("d"), file("d/x")],
        [file("a/f", b"new"), whiteout("gone")],
        [directory("d"), opaque("d"), file("d/y"), symlink("l", "a/f")],
    )
    script = "cat /a/f; ls /gone 2>/dev/null || echo gone; ls /d; cat /l"
    assert running.run(image, script, bundler=bundler) == "newgone\ny\nnew"


def test_the_same_layer_on_two_bases_is_what_it_makes_of_each(running, bundler):
    """An opaque marker hides what this image has below, and not what another one had."""
    top = [directory("d"), opaque("d"), file("d/new")]
    one = running.image([directory("d"), file("d/a")], top)
    other = running.image([directory("d"), file("d/b"), file("d/c")], top)
    for image in (one, other, one):
        assert running.run(image, "ls /d", bundler=bundler) == "new\n"


def test_a_whiteout_in_a_later_layer_of_a_file_that_an_other_image_put_last(running, bundler):
    """Nothing of one extraction is remembered in the next."""
    one = running.image([file("f", b"1")])
    other = running.image([file("f", b"1")], [whiteout("f")])
    assert running.run(one, "ls /f", bundler=bundler) == "/f\n"
    assert running.run(other, "ls /f 2>/dev/null || echo no", bundler=bundler) == "no\n"


@pytest.mark.parametrize("count", [52, 128, 256])
def test_many_layers(running, count):
    layers = [[file("f", b"%d" % number), file(f"n{number}")] for number in range(count - 1)]
    image = running.image(*layers)
    found = running.run(image, "cat /f; echo; ls -d /n* | grep -c .")
    assert found == f"{count - 2}\n{count - 1}\n"


def test_a_user_without_privilege_gets_to_work(running, bundler):
    """The root of an overlay has the mode of its topmost directory: 0700 would be EACCES."""
    image = running.image(User="bob")
    found = running.run(image, "id -u; id -g; id -G; echo $HOME; ls /etc/passwd", bundler=bundler)
    assert found == "1000\n100\n100 10\n/home/bob\n/etc/passwd\n"


def test_mapped_ids(running, bundler):
    image = running.image(User="bob")
    script = (
        "stat -c %u /bin/busybox /etc; id -u; grep -c . /proc/self/uid_map;"
        " touch /tmp/x; stat -c %u /tmp/x"
    )
    mapped = options.user_namespace(MAPPING)
    where = {"path": running.place / "mapped"} if bundler.kind == "uncompressed" else {}
    with bundler.bundle(image, "demo", *running.shell(script, mapped), **where) as bundle:
        assert running.runtime.output(bundle.path) == "0\n0\n1000\n1\n1000\n"


def test_mapped_ids_below_a_directory_that_they_may_not_enter(running):
    closed = running.place / "closed"
    closed.mkdir(mode=0o700)
    script = running.shell("id -u", options.user_namespace(MAPPING))
    with running.overlay.bundle(running.image(), "demo", *script, path=closed / "b") as bundle:
        assert running.runtime.output(bundle.path) == "0\n"


def test_what_is_written_is_told_and_the_images_files_stay(running):
    image = running.image()
    with running.overlay.bundle(
        image, "one", *running.shell("echo changed > /etc/passwd; touch /new")
    ) as bundle:
        running.runtime.output(bundle.path)
        changes = {each.path for each in running.store.containers.changes("one")}
        assert {b"etc/passwd", b"new"} <= changes
    assert "root:x" in running.run(image, "cat /etc/passwd; test ! -e /new")


def test_a_read_only_root_has_places_to_mount_at(running, bundler):
    image = running.image()
    script = "touch /x 2>/dev/null && exit 1; touch /data/x; ls /proc/self/status /dev/null"
    found = running.run(image, script, options.read_only(), options.tmpfs("/data"), bundler=bundler)
    assert found == "/dev/null\n/proc/self/status\n"


def test_places_to_mount_at_are_none_of_a_commit(running):
    image = running.image(Volumes={"/data": {}})
    host = running.place / "host.txt"
    host.write_text("host")
    chosen = (options.bind(host, "/deep/down/file", read_only=True), options.tmpfs("/mnt"))
    script = running.shell("touch /data/volume; echo kept > /kept; cat /deep/down/file", *chosen)
    with running.overlay.bundle(image, "demo", *script) as bundle:
        assert running.runtime.output(bundle.path) == "host"
        bundle.commit("localhost/committed:1")
        added = {each.path for each in running.store.containers.changes("demo")}
        assert b"deep/down/file" in added
    committed = running.store.image("localhost/committed:1")
    with committed.files() as files:
        names = {name for name, _ in files.list(b"/")}
    assert names == {b"bin", b"etc", b"tmp", b"kept"}


def test_volumes_have_the_images_files_in_them(running):
    image = running.image([directory("data"), file("data/seed", b"seed")], Volumes={"/data": {}})
    assert running.run(image, "cat /data/seed; echo more > /data/x; cat /data/x") == "seedmore\n"


def test_bound_directories(running, bundler):
    host = running.place / "host"
    host.mkdir()
    (host / "f").write_text("from the host")
    image = running.image()
    script = "cat /a/f; touch /a/x 2>/dev/null && exit 1; echo back > /b/c/out"
    chosen = options.bind(host, "/a", read_only=True), options.bind(host, "/b/c")
    assert running.run(image, script, *chosen, bundler=bundler) == "from the host"
    assert (host / "out").read_text() == "back\n"


def test_limits_are_set(running):
    limits = options.memory_limit("64M"), options.cpu_limit("0.5"), options.pids_limit(50)
    files = (
        "memory/memory.limit_in_bytes memory.max pids/pids.max pids.max cpu/cpu.cfs_quota_us"
        " cpu.max"
    )
    script = f"cd /sys/fs/cgroup; cat {files} 2>/dev/null || true"
    found = running.run(running.image(), script, *limits).split()
    assert found[:3] == [str(64 << 20), "50", "50000"]


def test_the_hosts_network_and_one_of_its_own(running):
    image = running.image()
    script = "ls -l /proc/self/ns/net"
    own = os.readlink("/proc/self/ns/net")
    assert own not in running.run(image, script)
    assert own in running.run(image, script, options.host_network())


def test_the_rest_of_what_can_be_said(running):
    image = running.image()
    script = (
        "hostname; echo $A; pwd; grep 'open files' /proc/self/limits;"
        " grep NoNewPrivs /proc/self/status"
    )
    found = running.run(
        image, script, options.hostname("boxy"), options.env({"A": "b"}),
        options.working_dir("/not/there/yet"), options.rlimit("nofile", 512),
    ).split()  # fmt: skip
    assert found[:3] == ["boxy", "b", "/not/there/yet"]
    assert found[6:8] == ["512", "512"]
    assert found[-1] == "1"


def test_capabilities(running):
    image = running.image()
    script = "grep CapEff /proc/self/status"
    none = running.run(image, script, options.drop_capabilities("ALL"))
    assert int(none.split()[1], 16) == 0
    some = options.drop_capabilities("ALL"), options.add_capabilities("CAP_KILL")
    assert int(running.run(image, script, *some).split()[1], 16) == 1 << 5


def test_devices_and_hooks(running):
    mark = running.place / "mark"
    hook = options.hook("poststop", "/bin/sh", ["sh", "-c", f"touch {mark}"])
    found = running.run(
        running.image(), "stat -c %t:%T /dev/hole", options.device("/dev/null", "/dev/hole"), hook
    )
    assert found == "1:3\n"
    assert mark.exists()


def test_a_bundle_can_be_run_again_and_keeps_what_was_written(running):
    image = running.image()
    script = running.shell("test -e /x && echo again; touch /x")
    with running.overlay.bundle(image, "demo", *script) as bundle:
        assert running.runtime.output(bundle.path) == ""
        assert running.runtime.output(bundle.path) == "again\n"


def wait_until(condition):
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it takes too long")


def test_a_running_container_is_not_removed(running, bundler):
    script = running.shell("sleep 60")
    bundle = bundler.bundle(running.image(), "demo", *script)
    bundles = Bundles(running.store.storage)
    process = subprocess.Popen(
        running.runtime.command("run", "--bundle", bundle.path, "demo"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: bundles.state(bundles.get("demo")) == "running")
        with pytest.raises(InUseError, match="process") as caught:
            bundle.cleanup()
        assert caught.value.users
        with pytest.raises(InUseError):
            bundles.remove(bundles.get("demo"), force=True)
        assert running.under_test.orlop("bundle", "rm", "--force", bundle.id).code == 5
        assert (bundle.path / "rootfs/bin/busybox").exists()
    finally:
        running.runtime("kill", "demo", "KILL")
        process.wait(timeout=30)
    wait_until(lambda: bundles.state(bundles.get("demo")) != "running")
    running.runtime("delete", "--force", "demo")
    bundle.cleanup()
    bundle.cleanup()
    assert not bundle.path.exists()


@pytest.mark.parametrize(
    "more", [pytest.param(each, marks=needs_tools("runc")) for each in ([], ["--uncompressed"])]
)
def test_all_of_it_without_privilege(more):
    """The bundle is made, run and removed by a user who may not mount."""
    with unprivileged_place() as place:
        place.chmod(0o755)
        script = "id -u; touch /x; cat /proc/self/uid_map"
        config = {"Env": ["PATH=/bin"], "Cmd": ["sh", "-ec", script]}
        builder = ImageBuilder(config={"config": config})
        source = builder.layer(*base_members(), file("own", uid=33)).write(place / "image").source
        state = place / "state"
        state.mkdir()
        for path in (state, *(place / "image").rglob("*"), place / "image"):
            os.chown(path, NOBODY, NOBODY)
        orlop, bundle = StoreUnderTest(place).orlop, str(place / "b")
        done = as_nobody(orlop, "bundle", "create", source, bundle, "--rootless", *more)
        assert done.code == 0, done
        found = Runtime("runc", state, user=NOBODY).run(bundle)
        assert found.code == 0, found
        assert found.out.split() == ["0", "0", str(NOBODY), "1"]
        assert as_nobody(orlop, "bundle", "rm", bundle).code == 0
        assert not os.path.exists(bundle)


@pytest.mark.parametrize("runtime", [pytest.param("runc", marks=needs_tools("runc"))])
def test_a_user_without_privilege_runs_a_bundle(place, runtime, yard):
    """The store's user makes the bundle, and another one runs it, rootless."""
    image = yard.image()
    state = place / "state"
    state.mkdir()
    os.chown(state, 4242, 4242)
    script = yard.shell("id -u; cat /proc/self/uid_map; touch /x", options.rootless(4242, 4242))
    bundle = yard.uncompressed.bundle(image, "demo", *script, path=place / "b")
    with bundle:
        os.chown(bundle.path / "config.json", 4242, 4242)
        found = Runtime(runtime, state, user=4242).run(bundle.path)
        assert found.code == 0, found
        assert found.out.split() == ["0", "0", "4242", "1"]
