"""Mounts that several hold: one mount, there until the last of them lets go."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

import orlop
from orlop._sys.lock import FileLock
from orlop._sys.mountinfo import mount_at
from orlop.digest import Digest, chain_id
from orlop.errors import AlreadyExistsError, InUseError
from orlop.storage.places import Places

HOLD = """
import sys, orlop
with orlop.open_store(*sys.argv[1:3]) as store:
    with store.image("box").mount(*sys.argv[3:]) as rootfs:
        print(rootfs, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def holder(command):
    """Start processes that hold a mount until they are told to end, or killed."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, command.root, command.run, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        process.path = process.stdout.readline().strip()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_mount_shows_the_image_and_goes_with_its_block(image, mounted):
    with image.mount() as rootfs:
        assert (rootfs / "etc/hostname").read_text() == "second\n"
        assert not (rootfs / "etc/gone").exists()
        assert mounted() == [rootfs]
    assert mounted() == []
    assert not rootfs.exists()


def test_two_holders_of_one_process_share_one_mount(image, mounted):
    first, second = image.mount(), image.mount()
    assert first.path == second.path
    assert mounted() == [first.path]
    first.unmount()
    assert mounted() == [first.path]
    second.unmount()
    assert mounted() == []


def test_letting_go_twice_does_not_take_the_hold_of_another(image, mounted):
    first, second = image.mount(), image.mount()
    first.unmount()
    first.unmount()
    assert mounted() == [second.path]
    second.unmount()


def test_threads_share_one_mount(image, mounted):
    barrier = threading.Barrier(6)
    seen = []

    def work():
        barrier.wait()
        with image.mount() as rootfs:
            seen.append((rootfs / "etc/hostname").read_text())
            barrier.wait()
            seen.append(len(mounted()))
            barrier.wait()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, seen)) == ["1"] * 6 + ["second\n"] * 6
    assert mounted() == []


def test_processes_share_one_mount(holder, image, store, mounted):
    other = holder()
    with image.mount() as rootfs:
        assert str(rootfs) == other.path
        (info,) = store.mounts()
        assert other.pid in info.pids
        assert len(info.pids) == 2
        other.communicate("")
        assert mounted() == [rootfs]
    assert mounted() == []


def test_the_last_process_takes_the_mount_away(holder, image, mounted):
    other = holder()
    with image.mount() as rootfs:
        pass
    assert mounted() == [rootfs]
    other.communicate("")
    assert mounted() == []


def test_a_killed_holder_leaves_what_gc_takes_away(holder, command, store, mounted):
    other = holder()
    assert len(mounted()) == 1
    other.kill()
    other.wait()
    (point,) = [info.target for info in store.mounts()]
    assert [info.pids for info in store.mounts()] == [()]
    assert command.orlop("gc", "--dry-run").out.split()[3:] == ["mount", point, "all", "0", "B"]
    assert len(mounted()) == 1
    assert command.orlop("gc").out == "mounts:  1\n"
    assert mounted() == []
    assert store.mounts() == []
    assert command.orlop("mount").out.split() == ["TARGET", "WHAT", "DRIVER", "HOLDERS"]


def test_a_killed_holder_leaves_what_umount_takes_away(holder, command, store, mounted):
    other = holder()
    other.kill()
    other.wait()
    assert command.orlop("umount", other.path).code == 0
    assert mounted() == []
    assert store.mounts() == []


def test_a_killed_holder_at_a_target_leaves_it_to_the_next(holder, image, target, mounted):
    other = holder(str(target))
    other.kill()
    other.wait()
    with image.mount(target) as rootfs:
        assert (rootfs / "etc/hostname").read_text() == "second\n"
        assert mounted() == [target]
    assert mounted() == []


def test_a_killed_holder_leaves_a_mount_that_newcomers_share_even_if_it_is_busy(
    holder, image, mounted
):
    other = holder()
    with open(f"{other.path}/etc/hostname"):
        other.kill()
        other.wait()
        mount = image.mount()
        assert mounted() == [mount.path]
    mount.unmount()
    assert mounted() == []


def test_a_killed_holder_does_not_count(holder, image, mounted):
    other = holder()
    mine = image.mount()
    other.kill()
    other.wait()
    mine.unmount()
    assert mounted() == []


def test_a_mount_that_a_process_holds_is_not_unmounted_by_command(holder, command, mounted):
    other = holder()
    done = command.orlop("umount", other.path)
    done.check_failure(5, f"held by process {other.pid}")
    assert len(mounted()) == 1
    other.communicate("")


def test_a_kept_mount_outlives_its_process(command, store, mounted):
    done = command.command("mount", "box")
    assert done.code == 0
    (point,) = mounted()
    assert done.out == f"{point}\n"
    (info,) = store.mounts()
    assert (info.kept, info.pids, info.image) == (1, (), "docker.io/library/box:latest")
    command.collect()
    assert mounted() == [point]
    assert command.command("umount", "box").code == 0
    assert mounted() == []


def test_kept_holds_are_counted_too(command, image, mounted):
    for _ in range(2):
        assert command.orlop("mount", "box").code == 0
    with image.mount():
        pass
    assert command.orlop("umount", "box").code == 0
    assert len(mounted()) == 1
    assert command.orlop("umount", "box").code == 0
    assert mounted() == []
    command.orlop("umount", "box").check_failure(3, "nothing of this store is mounted at box")


def test_a_kept_mount_is_released_while_a_process_holds_it(holder, command, mounted):
    other = holder()
    assert command.orlop("mount", "box").code == 0
    assert command.orlop("umount", "box").code == 0
    assert len(mounted()) == 1
    other.communicate("")
    assert mounted() == []


def test_a_target_of_its_own_is_another_mount(image, target, mounted):
    with image.mount() as shared, image.mount(target) as rootfs:
        assert rootfs == target
        assert mounted() == sorted([shared, target])
        assert (target / "etc/hostname").read_text() == "second\n"
    assert mounted() == []
    assert target.is_dir()


def test_many_targets_show_one_filesystem(image, tmp_path, mounted):
    targets = [tmp_path / f"target-{number}" for number in range(3)]
    for each in targets:
        each.mkdir()
    held = [image.mount(each) for each in targets]
    assert len({(each / "etc/hostname").stat().st_dev for each in targets}) == 1
    held[0].unmount()
    assert (targets[1] / "etc/hostname").read_text() == "second\n"
    for each in held[1:]:
        each.unmount()
    assert mounted() == []


def test_a_target_is_taken_once(image, target, mounted):
    with image.mount(target):
        with pytest.raises(AlreadyExistsError, match="is mounted at"):
            image.mount(target)
        assert mounted() == [target]


def test_one_image_under_two_names_is_one_mount(command, layout, store, mounted):
    command.pull(layout.source, "--tag", "twin")
    with store.image("box").mount() as rootfs, store.image("twin").mount() as twin:
        assert rootfs == twin
        assert mounted() == [rootfs]


def test_a_busy_mount_stays_and_says_who_uses_it(image, store, mounted):
    mount = image.mount()
    with open(mount.path / "etc/hostname") as file:
        with pytest.raises(InUseError, match=r"in use by process \d+"):
            mount.unmount()
        assert mounted() == [mount.path]
        assert len(store.mounts()) == 1
        assert file.read() == "second\n"
    mount.unmount()
    assert mounted() == []


def test_a_busy_mount_is_taken_away_lazily(command, mounted):
    assert command.orlop("mount", "box").code == 0
    (point,) = mounted()
    with open(point / "etc/hostname") as file:
        command.orlop("umount", "box").check_failure(5, "in use by")
        assert command.orlop("umount", "--lazy", "box").code == 0
        assert mounted() == []
        assert file.read() == "second\n"


def test_gc_leaves_a_busy_mount_of_a_dead_process_for_later(holder, command, mounted):
    other = holder()
    with open(f"{other.path}/etc/hostname"):
        other.kill()
        other.wait()
        command.collect()
        assert len(mounted()) == 1
    command.collect()
    assert mounted() == []


def test_an_image_that_is_removed_while_mounted_stays_whole(command, store, layout, mounted):
    mount = store.image("box").mount()
    store.remove("box")
    command.collect()
    assert (mount.path / "etc/hostname").read_text() == "second\n"
    assert any(name.startswith("forms/") for name in command.files())
    mount.unmount()
    command.collect()
    assert command.files() == {"format.json"}


def test_mounts_are_read_only_without_devices_and_set_user_ids(image, target):
    with image.mount() as shared, image.mount(target):
        for place in (shared, target):
            options = mount_at(place).options
            assert {"ro", "nodev", "nosuid"} <= set(options)
        with pytest.raises(OSError, match="Read-only file system"):
            (shared / "new").touch()


def test_two_stores_do_not_meet(command, layout, tmp_path, target, mounted):
    with (
        orlop.open_store(tmp_path / "other", tmp_path / "other-run") as other,
        orlop.open_store(command.root, command.run) as store,
    ):
        twin = other.pull(layout.source, tag="box")
        with store.image("box").mount(target):
            with twin.mount():
                assert len(mounted()) == 2
            other.collect()
            assert mounted() == [target]


def test_mounts_are_listed(command, image, target):
    with image.mount(target):
        assert command.orlop("mount", "box", "--driver", "erofs").code == 0
        listed = {
            each["target"]: each
            for each in json.loads(command.orlop("mount", "--format", "json").out)
        }
        assert listed[str(target)].pop("created_at_ns") <= time.time_ns()
        assert listed[str(target)] == {
            "target": str(target),
            "image": "docker.io/library/box:latest",
            "layer": None,
            "container": None,
            "name": "",
            "stack": chain_id(image.config.diff_ids),
            "driver": "erofs",
            "writable": False,
            "kept": 0,
            "pids": [os.getpid()],
        }
        (own,) = set(listed) - {str(target)}
        assert listed[own]["pids"] == []
        assert listed[own]["kept"] == 1
        rows = command.orlop("mount").out.splitlines()
        assert [row.split()[0] for row in rows] == ["TARGET", *listed]
    assert command.orlop("umount", own).code == 0
    assert json.loads(command.orlop("mount", "--format", "json").out) == []


def test_mounting_does_not_wait_for_who_builds(store, image, target):
    """Builders hold their locks for as long as a download takes."""
    places = Places(store.root, store.run)
    with FileLock(places.lock(Digest.of(os.fsencode(target)))), image.mount(target) as rootfs:
        assert (rootfs / "etc/hostname").read_text() == "second\n"
