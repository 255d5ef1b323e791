import errno
import os
import threading

import pytest

from orlop.digest import Digest
from orlop.drivers import erofs as module
from orlop.drivers import is_mounted, mount_erofs, unmount
from orlop.drivers.probing import probe_erofs
from orlop.drivers.tiny import CONTENT
from orlop.errors import InvalidImageError, NotFoundError, SizeMismatchError, UnsupportedError
from orlop.fsimage.erofs import Device, write_index
from orlop.tree import Node, directory
from orlop.tree.node import S_IFREG

ways = pytest.mark.parametrize("loop", [None, True])


@ways
def test_a_detached_mount_shows_the_file_on_the_device(image, loop):
    index, device = image
    with mount_erofs(index, [device], loop=loop) as mount:
        assert mount.target is None
        assert os.listdir(mount.path) == ["data"]
        assert (mount.path / "data").read_bytes() == CONTENT
        assert os.stat("data", dir_fd=mount.fileno()).st_size == len(CONTENT)


@ways
def test_a_mount_at_a_target_stays_until_it_is_unmounted(image, target, loop):
    mount = mount_erofs(*lists(image), target, loop=loop)
    mount.close()
    assert mount.target == target
    assert (target / "data").read_bytes() == CONTENT
    assert is_mounted(target, mount_id=mount.mount_id)
    unmount(target, mount_id=mount.mount_id)
    assert not is_mounted(target, mount_id=mount.mount_id)
    assert os.listdir(target) == []


@ways
def test_it_is_read_only_whoever_asks(image, target, loop):
    mount = mount_erofs(*lists(image), target, loop=loop)
    try:
        for flags in (os.O_WRONLY, os.O_WRONLY | os.O_CREAT):
            with pytest.raises(OSError) as caught:
                os.open(target / "data", flags)
            assert caught.value.errno == errno.EROFS
    finally:
        unmount(target, mount_id=mount.mount_id)


@pytest.mark.parametrize(("nodev", "nosuid"), [(True, True), (False, False), (True, False)])
def test_device_nodes_and_set_user_id_bits_are_dead_unless_asked(image, nodev, nosuid):
    with mount_erofs(*lists(image), nodev=nodev, nosuid=nosuid) as mount:
        flags = os.fstatvfs(mount.fileno()).f_flag
    assert bool(flags & os.ST_NODEV) == nodev
    assert bool(flags & os.ST_NOSUID) == nosuid
    assert flags & os.ST_RDONLY


def test_one_filesystem_at_several_places(image, tmp_path, target):
    other = tmp_path / "other"
    other.mkdir()
    with mount_erofs(*lists(image)) as mount:
        clone = mount.clone()
        clone.attach(target)
        mount.attach(other)
        third = mount.clone()
    with third:
        devices = {os.stat(place / "data").st_dev for place in (target, other, third.path)}
        assert len(devices) == 1
        assert len({mount.mount_id, clone.mount_id, third.mount_id}) == 3
        assert os.fstatvfs(third.fileno()).f_flag & (os.ST_NODEV | os.ST_NOSUID)
    unmount(target, mount_id=clone.mount_id)
    unmount(other, mount_id=mount.mount_id)
    with pytest.raises(NotFoundError):
        mount.clone()


def test_a_plain_directory_in_the_mounts_place_is_not_cloned(image, target):
    mount = mount_erofs(*lists(image), target)
    unmount(target, mount_id=mount.mount_id)
    with pytest.raises(NotFoundError, match=str(mount.mount_id)):
        mount.clone()


@ways
def test_paths_longer_than_an_option_may_be(image, tmp_path, loop):
    deep = tmp_path / ("x" * 200) / ("y" * 200)
    deep.mkdir(parents=True)
    places = [path.rename(deep / path.name) for path in image]
    with mount_erofs(*lists(places), loop=loop) as mount:
        assert (mount.path / "data").read_bytes() == CONTENT


@ways
@pytest.mark.parametrize(
    "name", ["with space", "a,b=c:d", "back\\slash", "quo\"te'", "ü", "\udcff"]
)
def test_names_that_option_strings_would_trip_over(image, tmp_path, name, loop):
    folder = tmp_path / name
    folder.mkdir()
    places = [path.rename(folder / path.name) for path in image]
    with mount_erofs(*lists(places), loop=loop) as mount:
        assert (mount.path / "data").read_bytes() == CONTENT


def test_relative_paths(image, tmp_path, target, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mount = mount_erofs("index.erofs", ["layer"], "target")
    assert mount.target == target
    unmount("target", mount_id=mount.mount_id)


def test_plain_files_are_refused_on_tmpfs_and_loop_devices_take_over(image, target):
    folder = "/dev/shm"
    if probe_erofs(folder, loop=False):
        pytest.skip("this kernel mounts plain files on tmpfs")
    index, device = image
    copy = f"{folder}/orlop-test-{os.getpid()}.erofs"
    with open(copy, "wb") as file:
        file.write(index.read_bytes())
    try:
        with pytest.raises(UnsupportedError) as caught:
            mount_erofs(copy, [device], loop=False)
        assert caught.value.hint
        with mount_erofs(copy, [device]) as mount:
            assert (mount.path / "data").read_bytes() == CONTENT
    finally:
        os.unlink(copy)


def no_index(index, device, target):
    index.unlink()
    return FileNotFoundError


def no_device(index, device, target):
    device.unlink()
    return FileNotFoundError


def empty_index(index, device, target):
    index.write_bytes(b"")
    return InvalidImageError


def index_cut_in_the_superblock(index, device, target):
    os.truncate(index, 1100)
    return InvalidImageError


def index_cut_in_the_device_table(index, device, target):
    os.truncate(index, 1200)
    return InvalidImageError


def index_cut_before_the_root(index, device, target):
    os.truncate(index, 1280)
    return InvalidImageError


def unknown_feature(index, device, target):
    patch(index, 1024 + 80, b"\x08\x00\x00\x80")
    return InvalidImageError


def root_elsewhere(index, device, target):
    patch(index, 1024 + 14, b"\xff\xff")
    return InvalidImageError


def short_device(index, device, target):
    os.truncate(device, 0)
    return SizeMismatchError


def index_is_a_directory(index, device, target):
    index.unlink()
    index.mkdir()
    return InvalidImageError


def device_is_a_directory(index, device, target):
    device.unlink()
    device.mkdir()
    return InvalidImageError


def device_is_a_pipe(index, device, target):
    device.unlink()
    os.mkfifo(device)
    return InvalidImageError


def no_target(index, device, target):
    target.rmdir()
    return FileNotFoundError


def target_is_a_file(index, device, target):
    target.rmdir()
    target.write_bytes(b"")
    return NotADirectoryError


def target_is_a_link(index, device, target):
    target.rename(target.with_name("real"))
    target.symlink_to("real")
    return NotADirectoryError


DAMAGES = [
    no_index,
    no_device,
    empty_index,
    index_cut_in_the_superblock,
    index_cut_in_the_device_table,
    index_cut_before_the_root,
    unknown_feature,
    root_elsewhere,
    short_device,
    index_is_a_directory,
    device_is_a_directory,
    device_is_a_pipe,
    no_target,
    target_is_a_file,
    target_is_a_link,
]


@ways
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_failure_leaves_nothing_behind(image, target, damage, loop):
    index, device = image
    expected = damage(index, device, target)
    with pytest.raises(expected) as caught:
        mount_erofs(index, [device], target, loop=loop)
    names = {path.name for path in (index, device, target)}
    assert any(name in str(caught.value) for name in names)


@ways
@pytest.mark.parametrize("count", [0, 2])
def test_another_number_of_devices(image, loop, count):
    index, device = image
    with pytest.raises(InvalidImageError, match=f"has 1 devices, {count} are given"):
        mount_erofs(index, [device] * count, loop=loop)


def test_the_kernels_refusal_leaves_no_loop_device(image, monkeypatch):
    index, device = image
    patch(index, 1024 + 80, b"\x08\x00\x00\x80")
    monkeypatch.setattr(module, "check_devices", lambda *_: None)
    for loop in (False, True):
        with pytest.raises(InvalidImageError, match="kernel refuses"):
            mount_erofs(index, [device], loop=loop)


def patch(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def lists(image):
    index, *devices = image
    return index, devices


@pytest.mark.parametrize(("count", "loop"), [(120, None), (10, True)])
def test_many_devices_keep_their_order(image, tmp_path, count, loop):
    contents = [f"layer {number}".encode().ljust(512, b"\n") for number in range(count)]
    root, devices, paths = directory(), [], []
    for number, content in enumerate(contents):
        source = Digest.of(content)
        root.children[b"%d" % number] = Node(S_IFREG | 0o644, size=512, source=source)
        devices.append(Device(source, 512))
        paths.append(tmp_path / f"layer{number}")
        paths[-1].write_bytes(content)
    with open(tmp_path / "many.erofs", "wb") as output:
        write_index(root, devices, output, uuid=bytes(16))
    with mount_erofs(tmp_path / "many.erofs", paths, loop=loop) as mount:
        assert [(mount.path / str(number)).read_bytes() for number in range(count)] == contents


def test_threads_that_mount_through_loop_devices_at_once(image, tmp_path):
    index, device = image
    errors = []

    def work():
        try:
            for _ in range(5):
                with mount_erofs(index, [device], loop=True) as mount:
                    assert (mount.path / "data").read_bytes() == CONTENT
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
