"""One image, mounted by each driver, from whatever forms its layers have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import orlop
from orlop._sys.mountinfo import mount_at
from orlop.drivers import probe_erofs
from orlop.errors import NotFoundError
from support.images import ImageBuilder, device, directory, fifo, file, hardlink, opaque, symlink

FSTYPES = {"erofs": "erofs", "overlay": "overlay"}


def seen(root):
    """All that a directory shows, but for times and the sizes of directories."""
    found = {}
    for folder, directories, files in os.walk(root):
        for name in [*directories, *files]:
            path = Path(folder, name)
            status = path.lstat()
            content = None
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_file():
                content = path.read_bytes()
            found[str(path.relative_to(root))] = (
                oct(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_rdev,
                content,
            )
    status = os.stat(root)
    return {**found, ".": (oct(status.st_mode), status.st_uid, status.st_gid)}


@pytest.fixture
def corners(tmp_path):
    """An image of three layers that hide, replace and keep what lies below."""
    builder = ImageBuilder()
    builder.layer(
        directory("./", mode=0o751),
        directory("etc"),
        file("etc/passwd", b"root:x:0:0\n", uid=7, gid=8),
        directory("old"),
        file("old/file", b"old"),
        directory("deep/below", mode=0o700),
        device("null", 1, 3, mode=0o666),
    )
    builder.layer(
        directory("etc"),
        directory("old"),
        opaque("old"),
        file("old/new", b"new"),
        file("etc/shadow", b"secret", mode=0o600),
        fifo("pipe"),
        symlink("link", "/etc/passwd"),
    )
    builder.layer(file(".wh.pipe"), file("deep", b"a file now"), file("last", b"z" * 5000))
    return builder.write(tmp_path / "corners", tag="corners")


@pytest.fixture
def needy(tmp_path):
    """An image with a layer that overlay cannot show without those below: a link into them."""
    builder = ImageBuilder()
    builder.layer(directory("bin"), file("bin/tool", b"tool"))
    builder.layer(hardlink("bin/alias", "bin/tool"))
    return builder.write(tmp_path / "needy", tag="needy")


def test_all_drivers_show_the_same(store, corners):
    views = []
    for driver in ("erofs", "overlay", "directory"):
        image = store.pull(corners.source, tag=driver, driver=driver)
        with image.mount(driver=driver) as rootfs:
            assert mount_at(rootfs).fstype == FSTYPES.get(driver, mount_at("/").fstype)
            views.append(seen(rootfs))
    assert views[0]["old/new"][-1] == b"new"
    assert views[0]["."] == ("0o40751", 0, 0)
    assert "pipe" not in views[0]
    assert "old/file" not in views[0]
    assert views[1] == views[0]
    assert views[2] == views[0]


@pytest.mark.parametrize("first", ["erofs", "overlay", "directory"])
@pytest.mark.parametrize("then", ["erofs", "overlay", "directory"])
def test_an_image_is_mounted_by_another_driver_than_it_was_pulled_for(store, corners, first, then):
    """The layers' blobs are here, so nothing but these is needed."""
    image = store.pull(corners.source, tag="corners", driver=first)
    subprocess.run(["rm", "-r", corners.path], check=True)
    with image.mount(driver=then) as rootfs:
        assert store.mounts()[0].driver == then
        assert (rootfs / "etc/shadow").read_bytes() == b"secret"
        assert (rootfs / "deep").read_bytes() == b"a file now"
    with image.mount() as rootfs:
        assert (rootfs / "last").stat().st_size == 5000


def test_another_driver_than_the_one_that_is_mounted(store, corners):
    """Who asks for a driver gets it, though others hold a mount that another one made."""
    image = store.pull(corners.source, tag="corners")
    with image.mount(driver="erofs") as first, image.mount(driver="overlay") as second:
        assert mount_at(first).fstype == "erofs"
        assert mount_at(second).fstype == "overlay"
        with image.mount() as any_of_them:
            assert any_of_them in {first, second}
    assert store.mounts() == []


def test_a_layer_that_needs_its_parents_makes_a_merged_directory(store, needy):
    image = store.pull(needy.source, tag="needy", driver="overlay")
    with image.mount(driver="overlay") as rootfs:
        assert (rootfs / "bin/alias").read_bytes() == b"tool"
        assert os.path.samefile(rootfs / "bin/alias", rootfs / "bin/tool")
        assert store.mounts()[0].driver == "directory"


def test_a_store_mounts_such_an_image_again(command, needy):
    command.pull(needy.source, "--tag", "needy", "--driver", "overlay")
    for driver in ("erofs", "directory", "overlay"):
        target = command.root.parent / driver
        target.mkdir()
        assert command.orlop("mount", "needy", target, "--driver", driver).code == 0
        assert (target / "bin/alias").read_bytes() == b"tool"
        assert command.orlop("umount", target).code == 0


@pytest.mark.parametrize("driver", ["erofs", "overlay", "directory"])
@pytest.mark.parametrize("count", [0, 1])
def test_few_layers(store, tmp_path, driver, count):
    builder = ImageBuilder()
    for number in range(count):
        builder.layer(file(f"file-{number}", b"x"))
    layout = builder.write(tmp_path / "few", tag="few")
    image = store.pull(layout.source, tag="few", driver=driver)
    with image.mount(driver=driver) as rootfs:
        assert sorted(os.listdir(rootfs)) == [f"file-{number}" for number in range(count)]


@pytest.mark.parametrize("driver", ["erofs", "overlay", "directory"])
def test_many_layers(store, tmp_path, driver):
    builder = ImageBuilder(compression="none")
    for number in range(130):
        builder.layer(file(f"file-{number:03}", b"%d" % number), file("same", b"%d" % number))
    layout = builder.write(tmp_path / "many", tag="many")
    image = store.pull(layout.source, tag="many", driver=driver)
    with image.mount(driver=driver) as rootfs:
        assert len(os.listdir(rootfs)) == 131
        assert (rootfs / "same").read_bytes() == b"129"
        assert (rootfs / "file-007").read_bytes() == b"7"


def test_the_same_layer_twice(store, tmp_path):
    builder = ImageBuilder()
    builder.layer(file("one", b"1")).layer(file(".wh.one")).layer(file("one", b"1"))
    layout = builder.write(tmp_path / "twice", tag="twice")
    for driver in ("erofs", "overlay", "directory"):
        image = store.pull(layout.source, tag="twice", driver=driver)
        with image.mount(driver=driver) as rootfs:
            assert (rootfs / "one").read_bytes() == b"1"


def test_a_mounted_image_is_pulled_for_another_driver(store, corners):
    image = store.pull(corners.source, tag="corners", driver="erofs")
    with image.mount() as rootfs:
        store.pull(corners.source, tag="corners", driver="overlay")
        assert (rootfs / "last").stat().st_size == 5000


def test_files_that_are_collected_while_they_are_read(store, corners):
    image = store.pull(corners.source, tag="corners", driver="overlay")
    with image.files() as files:
        image.remove()
        store.collect()
        with pytest.raises(NotFoundError, match="is not unpacked"):
            files.open(b"last")


@pytest.fixture(params=["tmpfs", "overlay"])
def foreign(request, tmp_path):
    """A filesystem that the kernel does not mount EROFS files from, or not in all versions."""
    place = tmp_path / request.param
    place.mkdir()
    options = ["none"]
    if request.param == "overlay":
        for name in ("lower", "upper", "work"):
            (tmp_path / name).mkdir()
        options = [
            "-o",
            f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work",
            "none",
        ]
    subprocess.run(["mount", "-t", request.param, *options, place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_store_on_another_filesystem(foreign, corners):
    with orlop.open_store(foreign / "root", foreign / "run") as store:
        image = store.pull(corners.source, tag="corners")
        with image.mount() as rootfs, image.mount(), image.mount():
            assert (rootfs / "last").read_bytes() == b"z" * 5000
        for driver in ("overlay", "directory"):
            with image.mount(driver=driver) as rootfs:
                assert (rootfs / "last").read_bytes() == b"z" * 5000
        image.remove()
        store.collect()
        assert list((foreign / "run/mounts").iterdir()) == []


ELSEWHERE = """
import os, subprocess, sys
import orlop

place, source = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
if os.path.exists("/dev/loop-control"):
    subprocess.run(["mount", "--bind", "/dev/null", "/dev/loop-control"], check=True)
with orlop.open_store(f"{place}/root", f"{place}/run") as store:
    image = store.pull(source, tag="corners", driver="directory")
    with image.mount() as rootfs:
        print(store.mounts()[0].driver, (rootfs / "etc/shadow").read_text())
"""
"""A program for a mount namespace of its own, with a tmpfs and no loop devices: no EROFS then."""


def test_an_index_is_passed_over_where_the_kernel_refuses_it(tmp_path, corners):
    """What was pulled for a directory, or on another machine, has an index all the same."""
    place = tmp_path / "tmpfs"
    place.mkdir()
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", ELSEWHERE, place, corners.source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["overlay", "secret"]


def test_loop_devices_go_with_the_mount(foreign, corners):
    (foreign / "trial").mkdir()
    if not probe_erofs(foreign / "trial", loop=True):
        pytest.skip("the kernel has no loop devices that EROFS takes")
    with orlop.open_store(foreign / "root", foreign / "run") as store:
        image = store.pull(corners.source, tag="corners", driver="erofs")
        with image.mount(driver="erofs") as rootfs:
            assert mount_at(rootfs).fstype == "erofs"
            assert (rootfs / "last").read_bytes() == b"z" * 5000
    assert loops_below(foreign) == []


def loops_below(place):
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found.append(path.read_text().strip())
        except OSError:  # gone since it was listed
            continue
    return [each for each in found if each.startswith(f"{place}/")]


@pytest.mark.parametrize("driver", ["erofs", "overlay", "directory"])
def test_files_are_read_after_a_crash_of_the_machine(store, corners, driver):
    """What was derived and may be lost is verified, or made again from the blobs."""
    image = store.pull(corners.source, tag="corners", driver=driver)
    with store._storage.database.write() as tx:
        for table in ("forms", "chains"):
            tx.execute(f"UPDATE {table} SET boot_id = 'an-earlier-boot', durable = 0")
    assert image.read("/old/new") == b"new"
    assert image.read("/etc/passwd") == b"root:x:0:0\n"
    with image.mount() as rootfs:
        assert (rootfs / "old/new").read_bytes() == b"new"
