"""Mounts beside a check: what is mounted stays so, and what is left of others is told."""

import os
import signal
import subprocess
import sys
import time

import pytest

from orlop.errors import InUseError

_HOLD = """
import sys, orlop
store = orlop.open_store(sys.argv[1], sys.argv[2])
container = store.containers.create("box", names=["held"])
mount = store.containers.mount("held")
print(mount.path, flush=True)
sys.stdin.read()
"""


_WRITE = """
import os, sys, time
end = time.monotonic() + 3
while time.monotonic() < end:
    for n in range(50):
        os.makedirs(f"{sys.argv[1]}/d{n}/below", exist_ok=True)
        open(f"{sys.argv[1]}/d{n}/below/f", "w").close()
    for n in range(50):
        os.unlink(f"{sys.argv[1]}/d{n}/below/f")
        os.removedirs(f"{sys.argv[1]}/d{n}/below")
"""


def found(report):
    return [(each.damage, each.subject, each.remedy) for each in report.findings]


@pytest.fixture
def holder(store, image):
    """Another process that has a container mounted; killed at the end."""
    command = [sys.executable, "-c", _HOLD, str(store.root), str(store.run)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.path = process.stdout.readline().strip()
        yield process
        process.kill()
        process.wait()
        store.collect()


def test_what_is_mounted_stays_mounted(store, storage, image):
    container = storage.containers.create("box")
    with image.mount() as one, storage.containers.mount(container.id) as two:
        (two / "file").write_text("x")
        for action in (storage.check, storage.repair, store.collect, storage.check):
            action()
            assert (one / "etc/motd").read_bytes() == b"hello\n"
            assert (two / "file").read_text() == "x"
        assert storage.check().findings == ()
        (two / "other").write_text("y")


def test_somebody_has_unmounted_it_by_hand(storage, image):
    container = storage.containers.create("box")
    mount = storage.containers.mount(container.id)
    assert os.system(f"umount {mount.path}") == 0
    assert found(storage.check()) == [("mount", "mount", "remove")]
    assert storage.repair().left.findings == ()
    assert mount.unmount() == 0
    with storage.containers.mount(container.id) as path:
        assert (path / "etc/motd").read_bytes() == b"hello\n"


def test_a_mount_whose_holder_was_killed(storage, holder):
    assert storage.check().findings == ()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    # The container's own, and that of the stack below it.
    assert set(found(storage.check())) == {("leftover", "mount", "remove")}
    assert storage.check().damaged == ()
    assert os.path.ismount(holder.path)
    assert storage.repair().left.findings == ()
    assert not os.path.ismount(holder.path)


def test_what_others_have_mounted_stays(storage, holder):
    storage.repair(force=True)
    assert os.path.ismount(holder.path)


def test_mount_points_that_are_left(storage, image):
    container = storage.containers.create("box")
    place = storage.layers.mounts.place_of(container.layer)
    place.mkdir(parents=True)
    foreign = place.with_name("0123456789abcdef-layer")
    foreign.mkdir()
    assert found(storage.check()) == [("leftover", "mount", "remove")]
    assert storage.repair().left.findings == ()
    assert not place.exists()
    assert foreign.exists()


def test_a_mount_without_a_record_goes_by_force_alone(storage, image):
    container = storage.containers.create("box")
    mount = storage.containers.mount(container.id)
    with storage.database.write() as tx:
        tx.execute("DELETE FROM mounts WHERE layer IS NOT NULL")
    assert ("mount", "mount", "force") in found(storage.check())
    storage.repair()
    assert os.path.ismount(mount.path)
    assert storage.repair(force=True).left.findings == ()
    assert not os.path.ismount(mount.path)


def test_a_mount_of_an_earlier_boot(storage, image):
    mount = image.mount(keep=True)
    os.system(f"umount {mount.path}")
    with storage.database.write() as tx:
        tx.execute("UPDATE mounts SET boot_id = 'an-earlier-one'")
    assert set(found(storage.check())) == {("leftover", "mount", "remove")}
    assert storage.repair().left.findings == ()


def test_marks_that_orlop_lets_no_kernel_write(storage):
    layer = storage.layers.create()
    with storage.layers.mount(layer.id) as path:
        (path / "file").write_text("x")
    upper = storage.places.layer(layer.id) / "diff/file"
    os.setxattr(upper, "trusted.overlay.metacopy", b"")
    assert found(storage.check()) == [("form", "layer", "none")]
    assert storage.check(quick=True).findings == ()
    assert [why for _, why in storage.repair(force=True).failed] == [
        "nothing that is here says what it was"
    ]
    os.removexattr(upper, "trusted.overlay.metacopy")
    assert storage.check().findings == ()


def test_shutdown(store, storage, image):
    container = storage.containers.create("box")
    kept = storage.containers.mount(container.id, keep=True)
    shown = image.mount(keep=True)
    taken = storage.shutdown()
    assert {str(kept.path), str(shown.path)} <= set(taken)
    assert not os.path.ismount(kept.path)
    assert storage.check().findings == ()
    assert storage.shutdown() == ()


def test_shutdown_while_others_hold_mounts(storage, holder):
    with pytest.raises(InUseError) as caught:
        storage.shutdown()
    assert f"process {holder.pid} at {holder.path}" in caught.value.users
    assert os.path.ismount(holder.path)
    storage.shutdown(force=True)
    assert not os.path.ismount(holder.path)
    assert storage.check().findings == ()


def test_shutdown_while_files_are_open(storage, image):
    container = storage.containers.create("box")
    kept = storage.containers.mount(container.id, keep=True)
    with open(kept.path / "etc/motd", "rb") as file:
        with pytest.raises(InUseError) as caught:
            storage.shutdown()
        assert caught.value.users
        assert os.path.ismount(kept.path)
        storage.shutdown(force=True)
        assert file.read() == b"hello\n"
    assert not os.path.ismount(kept.path)


def test_wipe(store, storage, image):
    container = storage.containers.create("box", names=["web"])
    with storage.containers.mount("web") as path:
        (path / "file").write_text("x")
    storage.containers.commit("web", "localhost/new:1")
    storage.containers.directory("web")
    storage.containers.run_directory("web")
    storage.containers.data.put("web", "item", b"x")
    storage.containers.mount(container.id, keep=True)
    storage.wipe()
    assert store.images() == []
    assert storage.layers.list() == storage.containers.list() == storage.images.list() == ()
    assert storage.check().findings == ()
    usage = store.usage()
    assert usage.total == 0
    left = [name for _, _, names in os.walk(storage.places.root / "containers") for name in names]
    assert left == []


def test_wipe_after_a_restart(storage, image):
    """What was mounted before the machine was started again is not in the way."""
    storage.containers.mount(storage.containers.create("box").id, keep=True)
    for record, _ in storage.mounts.entries():
        subprocess.run(["umount", record.target], check=True)
    with storage.database.write() as tx:
        tx.execute("UPDATE mounts SET boot_id = 'an earlier one'")
    storage.wipe()
    assert storage.containers.list() == ()


def test_wipe_while_others_hold_mounts(store, storage, holder):
    with pytest.raises(InUseError):
        storage.wipe()
    assert len(store.images()) == 1
    storage.wipe(force=True)
    assert store.images() == []


def test_what_leases_keep_outlives_wiping(store, storage, image):
    with store.lease("mine", expires=60) as lease:
        store.leases.hold(lease.id, "box")
        storage.wipe()
        assert store.content().stat(image.manifest_digest) is not None
        assert storage.check().findings == ()
    assert store.collect().blobs == 4


def test_a_check_of_a_container_that_is_written_to(storage, image, second):
    """Files come and go while its directory is read."""
    container = second.containers.create("box")
    with second.containers.mount(container.id) as path:
        writer = subprocess.Popen([sys.executable, "-c", _WRITE, str(path)])
        try:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                assert storage.check().findings == ()
        finally:
            assert writer.wait(30) == 0
