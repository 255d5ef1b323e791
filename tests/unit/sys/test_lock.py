import os
import subprocess
import sys
import threading

import pytest

from orlop._sys.lock import FileLock
from orlop.errors import InUseError

HOLD = """
import sys
from orlop._sys.lock import FileLock
with FileLock(sys.argv[1], shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process that holds the lock until told to let go."""

    def __init__(self, path, kind="exclusive"):
        command = [sys.executable, "-c", HOLD, str(path), kind]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"held\n"

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.communicate()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


def test_an_exclusive_lock_keeps_other_holders_out(path):
    with FileLock(path), pytest.raises(InUseError):
        FileLock(path, timeout=0).acquire()
    with FileLock(path, timeout=0) as lock:
        assert lock.held
    assert not lock.held


def test_shared_locks_go_together_and_keep_writers_out(path):
    writer = FileLock(path, timeout=0)
    with FileLock(path, shared=True), FileLock(path, shared=True, timeout=0) as second:
        assert second.held
        with pytest.raises(InUseError, match="others"):
            writer.acquire()
    with FileLock(path), pytest.raises(InUseError):
        FileLock(path, shared=True, timeout=0).acquire()


def test_another_process_is_named(path):
    with Holder(path) as process, pytest.raises(InUseError) as caught:
        FileLock(path, timeout=0.01).acquire()
    assert f"process {process.pid} (" in str(caught.value)
    assert os.path.basename(sys.executable) in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_the_lock_of_a_dead_process_is_free_and_names_nobody(path):
    holder = Holder(path)
    holder.process.kill()
    holder.process.communicate()
    assert b" " in path.read_bytes(), "a killed holder leaves its record"
    with FileLock(path, shared=True, timeout=0), pytest.raises(InUseError, match="by others"):
        FileLock(path, timeout=0).acquire()
    with FileLock(path, timeout=0):
        pass
    assert path.read_bytes().startswith(b"\n"), "an empty record"
    with FileLock(path, shared=True, timeout=0), pytest.raises(InUseError, match="by others"):
        FileLock(path, timeout=0).acquire()


def test_whoever_waits_gets_it_when_it_is_released(path):
    got = threading.Event()

    def wait():
        with FileLock(path, timeout=30):
            got.set()

    with FileLock(path):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not got.is_set()
    thread.join()
    assert got.is_set()


def test_threads_exclude_each_other(path):
    inside, most = [], []

    def work():
        for _ in range(20):
            with FileLock(path):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert max(most) == 1


def test_opening_the_file_elsewhere_loses_nothing(path):
    with FileLock(path):
        os.close(os.open(path, os.O_RDWR))
        with pytest.raises(InUseError):
            FileLock(path, timeout=0).acquire()


def test_a_waiter_locks_the_file_that_is_there_by_then(path):
    first = FileLock(path)
    first.acquire()
    waiter = FileLock(path)
    thread = threading.Thread(target=waiter.acquire)
    thread.start()
    os.unlink(path)
    first.release()
    thread.join()
    assert waiter.held
    with pytest.raises(InUseError):
        FileLock(path, timeout=0).acquire()
    waiter.release()


def test_a_forked_child_does_not_keep_it(path):
    lock = FileLock(path)
    lock.acquire()
    number = max(int(name) for name in os.listdir("/proc/self/fd"))
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        pass_fds=[fd for fd in range(3, number + 1) if is_file(fd, path)],
    )
    try:
        lock.release()
        with FileLock(path, timeout=0):
            pass
    finally:
        sleeper.communicate()


def is_file(fd, path):
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False


def test_one_object_is_one_holder(path):
    lock = FileLock(path)
    with lock, pytest.raises(ValueError, match="already"):
        lock.acquire()
    lock.release()
    with lock:
        assert lock.held


def test_a_link_is_no_lock_file(path, tmp_path):
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="lock"):
        FileLock(path).acquire()
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_directory_is_an_error_with_its_path(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        FileLock(tmp_path / "none" / "lock").acquire()
    assert caught.value.filename == str(tmp_path / "none" / "lock")


def test_a_vain_attempt_leaves_no_descriptor(path):
    with FileLock(path):
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(InUseError):
                FileLock(path, timeout=0).acquire()
        assert len(os.listdir("/proc/self/fd")) == before
