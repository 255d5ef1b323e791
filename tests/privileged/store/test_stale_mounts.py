"""Records of mounts that are not there: after reboots, after umount(8), in other namespaces."""

import ctypes
import os
import subprocess
import sys

import pytest

from orlop.metadata import Mounts
from orlop.storage.places import Places
from orlop.storage.storage import Storage

MAIN = "from orlop.cli.main import main; raise SystemExit(main())"


@pytest.fixture
def records(command):
    """What is recorded of mounts, of whatever boot."""

    def read():
        places = Places(command.root, command.run)
        with Storage.open(places) as storage, storage.database.read() as tx:
            return list(Mounts(tx).list())

    return read


@pytest.fixture
def reboot(command):
    """Let the records be those of an earlier boot."""

    def age():
        places = Places(command.root, command.run)
        with Storage.open(places) as storage, storage.database.write() as tx:
            tx.execute("UPDATE mounts SET boot_id = 'an-earlier-boot'")
            tx.execute("UPDATE mount_holders SET boot_id = 'an-earlier-boot' WHERE pid > 0")

    return age


def unmount_by_hand(point):
    subprocess.run(["umount", point], check=True)


def test_mounts_of_an_earlier_boot_are_forgotten(command, target, store, records, reboot, mounted):
    assert command.orlop("mount", "box", target).code == 0
    unmount_by_hand(target)
    reboot()
    assert store.mounts() == []
    command.orlop("umount", target).check_failure(3)
    assert len(records()) == 1
    command.collect()
    assert records() == []


def test_a_mount_after_a_reboot_takes_no_notice_of_old_records(
    command, target, store, records, reboot, mounted
):
    assert command.orlop("mount", "box", target).code == 0
    unmount_by_hand(target)
    reboot()
    with store.image("box").mount(target):
        assert mounted() == [target]
        assert len(records()) == 2
    assert len(records()) == 1


def test_old_records_do_not_keep_layers(command, target, reboot):
    assert command.orlop("mount", "box", target).code == 0
    unmount_by_hand(target)
    assert command.orlop("rm", "box").code == 0
    command.collect()
    reboot()
    command.collect()
    assert command.files() == {"format.json"}


@pytest.mark.parametrize("own", [True, False])
def test_the_next_mount_works_after_umount_by_hand(command, image, target, store, mounted, own):
    first = image.mount(None if own else target)
    unmount_by_hand(first.path)
    assert store.mounts() == []
    with image.mount(None if own else target) as rootfs:
        assert rootfs == first.path
        assert mounted() == [rootfs]
        first.unmount()
        assert mounted() == [rootfs]
    assert mounted() == []


def test_letting_go_after_umount_by_hand_is_no_error(image, records, mounted):
    with image.mount() as rootfs:
        unmount_by_hand(rootfs)
    assert records() == []
    assert not rootfs.exists()


DIE = """
import os, sys, orlop
from orlop.drivers.mounts import MountHandle

root, run, at, *target = sys.argv[1:]
attach = MountHandle.attach

def die(handle, place):
    if at == "after":
        attach(handle, place)
    os._exit(9)

MountHandle.attach = die
orlop.open_store(root, run).image("box").mount(*target, keep=at == "before")
"""


@pytest.mark.parametrize("at", ["before", "after"])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("then", ["gc", "mount"])
def test_a_process_that_dies_while_it_mounts(command, target, records, mounted, at, own, then):
    """Before the mount is there that it wanted to keep, and right after the one for itself is."""
    place = [] if own else [target]
    done = subprocess.run(
        [sys.executable, "-c", DIE, command.root, command.run, at, *place], check=False
    )
    assert done.returncode == 9
    assert len(records()) == 1
    assert len(mounted()) == (at == "after")
    if then == "mount":
        assert command.orlop("mount", "box", *place).code == 0
        assert command.orlop("umount", *(place or ["box"])).code == 0
    else:
        command.collect()
    assert records() == []
    assert mounted() == []


def test_gc_forgets_what_was_unmounted_by_hand(command, target, records):
    assert command.orlop("mount", "box", target).code == 0
    unmount_by_hand(target)
    command.collect()
    assert records() == []


def test_something_else_at_the_target_is_not_unmounted(command, target, mounted):
    """Only the mount with the recorded unique id is ever taken away."""
    assert command.orlop("mount", "box", target).code == 0
    unmount_by_hand(target)
    subprocess.run(["mount", "-t", "tmpfs", "none", target], check=True)
    try:
        command.orlop("umount", target)
        command.collect()
        assert mounted() == [target]
        assert (target / "etc").exists() is False
    finally:
        unmount_by_hand(target)


def test_what_is_mounted_over_a_mount_makes_it_wait(command, image, target, store, mounted):
    mount = image.mount(target)
    subprocess.run(["mount", "-t", "tmpfs", "none", target / "etc"], check=True)
    try:
        with pytest.raises(Exception, match="in use by the mount at"):
            mount.unmount()
    finally:
        unmount_by_hand(target / "etc")
    mount.unmount()
    assert mounted() == []


def test_another_mount_namespace_has_mounts_of_its_own(command, store, image, target, mounted):
    with image.mount(target):
        inner = command.start("mount", "box", target, preexec_fn=enter_namespace)
        out, err = inner.communicate(timeout=30)
        assert (inner.returncode, out) == (0, f"{target}\n"), err
        assert mounted() == [target]
    assert mounted() == []


def test_records_of_a_namespace_that_is_gone_do_not_keep_layers(command, records, mounted):
    inner = command.start("mount", "box", preexec_fn=enter_namespace)
    assert inner.wait(timeout=30) == 0
    inner.communicate()
    assert mounted() == []
    assert len(records()) == 1
    assert command.orlop("rm", "box").code == 0
    command.collect()
    assert records() == []
    command.collect()
    assert command.files() == {"format.json"}


def test_records_of_a_namespace_that_lives_are_left_alone(command, records, store, tmp_path):
    inner = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", "echo ready; read end"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert inner.stdout.readline() == "ready\n"
        enter = ["nsenter", "-t", str(inner.pid), "-m", "--"]
        mount = [*enter, sys.executable, "-c", MAIN, *command.options, "mount", "box"]
        subprocess.run(mount, check=True, stdout=subprocess.DEVNULL)
        command.collect()
        assert len(records()) == 1
        (info,) = store.mounts()
        shown = subprocess.check_output([*enter, "cat", f"{info.target}/etc/hostname"], text=True)
        assert shown == "second\n"
    finally:
        inner.communicate("\n")
    command.collect()
    assert records() == []


def enter_namespace():
    """Begin a mount namespace whose mounts nobody else sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    for done in (
        libc.unshare(0x00020000),
        libc.mount(b"none", b"/", None, 0x4000 | 1 << 18, None),
    ):
        if done:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
