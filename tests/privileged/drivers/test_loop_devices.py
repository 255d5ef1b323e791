import fcntl
import os
import threading

import pytest

from orlop._sys import loop
from orlop._sys.loop import attach_loop, configure_in_steps, loop_info


@pytest.fixture
def file(tmp_path):
    """A file of three sectors, open for reading."""
    path = tmp_path / "file"
    path.write_bytes(b"0" * 512 + b"1" * 512 + b"2" * 512)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture(autouse=True)
def _loops_here():
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("no loop devices: /dev/loop-control is missing")


def sysfs(path, name):
    with open(f"/sys/block/{os.path.basename(path)}/{name}") as file:
        return file.read().strip()


def test_a_device_shows_the_file_and_ends_with_its_last_user(file, tmp_path):
    device = attach_loop(file, os.fsencode(tmp_path / "file"))
    with open(device.path, "rb") as node:
        assert node.read() == os.pread(file, 9999, 0)
    assert sysfs(device.path, "ro") == "1"
    assert sysfs(device.path, "loop/autoclear") == "1"
    assert sysfs(device.path, "queue/logical_block_size") == "512"
    assert sysfs(device.path, "loop/backing_file") == str(tmp_path / "file")
    device.close()
    device.close()
    assert not os.path.exists(f"/sys/block/{os.path.basename(device.path)}/loop")


def test_it_cannot_be_written(file):
    device = attach_loop(file)
    try:
        with pytest.raises(PermissionError), open(device.path, "r+b", buffering=0) as node:
            node.write(b"x" * 512)
        assert os.pread(file, 512, 0) == b"0" * 512
    finally:
        device.close()


def test_the_old_way_in_steps(file):
    with open("/dev/loop-control", "rb") as control:
        path = f"/dev/loop{fcntl.ioctl(control, loop._LOOP_CTL_GET_FREE)}"
    with open(path, "rb") as node:
        configure_in_steps(node.fileno(), file, loop_info(b"name"))
        assert node.read() == os.pread(file, 9999, 0)
        assert sysfs(path, "ro") == "1"
        assert sysfs(path, "loop/autoclear") == "1"
        assert sysfs(path, "queue/logical_block_size") == "512"


def test_a_kernel_without_the_new_way(file, monkeypatch):
    monkeypatch.setattr(loop, "_LOOP_CONFIGURE", 0x4CFF)
    device = attach_loop(file)
    try:
        with open(device.path, "rb") as node:
            assert node.read(512) == b"0" * 512
    finally:
        device.close()


def test_what_cannot_be_a_loop_device(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="LOOP_CONFIGURE") as caught:
            attach_loop(fd)
        assert caught.value.filename.startswith("/dev/loop")
    finally:
        os.close(fd)


def test_threads_that_want_a_device_at_once_get_one_each(file):
    devices, errors = [], []

    def work():
        try:
            devices.append(attach_loop(file))
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert errors == []
        assert len({device.path for device in devices}) == 8
    finally:
        for device in devices:
            device.close()
