"""User namespaces are what they are asked to be, and making them leaves nothing behind."""

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from orlop._sys import userns
from orlop._sys.userns import (
    MAX_MAP_SIZE,
    UserNamespaces,
    make_namespace,
    user_namespace,
    write_maps,
)
from orlop.errors import LimitExceededError
from orlop.idmap import MAX_RANGES, IdMapping
from support.marks import needs_root
from support.nobody import unprivileged_place
from support.unprivileged import run_as_nobody

pytestmark = needs_root

MAPPING = IdMapping.parse(["0:100000:65536", "70000:5:1"], ["0:300000:10"])


def children():
    """The pids whose parent is this process."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            data = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(data[data.rindex(b")") + 2 :].split()[1]) == os.getpid():
            found.add(path.parent.name)
    return found


@pytest.fixture(autouse=True)
def nothing_left_behind():
    before = children(), len(os.listdir("/proc/self/fd"))
    yield
    assert (children(), len(os.listdir("/proc/self/fd"))) == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def read_inside(namespace, path):
    """What a process in the namespace reads."""
    number = namespace.fileno()
    command = ["nsenter", f"--user=/proc/self/fd/{number}", "cat", path]
    done = subprocess.run(command, pass_fds=[number], capture_output=True, text=True, check=True)
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def test_the_maps_are_the_kernels():
    with user_namespace(MAPPING) as namespace:
        assert read_inside(namespace, "/proc/self/uid_map") == ["0 100000 65536", "70000 5 1"]
        assert read_inside(namespace, "/proc/self/gid_map") == ["0 300000 10"]
        assert read_inside(namespace, "/proc/self/setgroups") == ["allow"]


def test_a_map_as_long_as_the_kernel_takes():
    texts = [f"{number * 2}:{number * 2}:1" for number in range(MAX_RANGES)]
    with user_namespace(IdMapping.parse(texts)) as namespace:
        assert len(read_inside(namespace, "/proc/self/uid_map")) == MAX_RANGES
    longer = [f"{10**9 + number * 2}:{10**9 + number * 2}:1" for number in range(MAX_RANGES)]
    with pytest.raises(LimitExceededError, match=f"MAX_MAP_SIZE = {MAX_MAP_SIZE}"):
        user_namespace(IdMapping.parse(longer))


def test_without_privilege_only_ones_own_ids_are_mapped():
    code = (
        "from orlop._sys.userns import user_namespace\n"
        "from orlop.errors import UnsupportedError\n"
        "from orlop.idmap import IdMapping\n"
        "user_namespace(IdMapping.parse(['0:65534:1'])).close()\n"
        "try:\n"
        "    user_namespace(IdMapping.parse(['0:100000:65536']))\n"
        "except UnsupportedError as error:\n"
        "    print(error)\n"
    )
    with unprivileged_place() as place:
        done = run_as_nobody(["-W", "error", "-c", code], place)
    assert done.stderr == ""
    ids = "0:100000:65536"
    assert done.stdout.startswith(f"no right to map the users {ids} and groups {ids}: ")


def test_where_namespaces_are_forbidden():
    code = (
        "from pathlib import Path\n"
        "from orlop._sys.userns import user_namespace\n"
        "from orlop.errors import UnsupportedError\n"
        "from orlop.idmap import IdMapping\n"
        "Path('/proc/sys/user/max_user_namespaces').write_text('0')\n"
        "try:\n"
        "    user_namespace(IdMapping.parse(['0:0:1']))\n"
        "except UnsupportedError as error:\n"
        "    print(error, error.hint, sep=': ')\n"
    )
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("no user namespace can be made here: No space left")
    assert "max_user_namespaces" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, OSError])
def test_the_child_is_gone_after_an_error(kind):
    seen = []

    def write(pid):
        seen.append(os.path.exists(f"/proc/{pid}"))
        raise kind

    with pytest.raises(kind):
        make_namespace(write)
    assert seen == [True]


def test_a_child_that_somebody_else_waited_for():
    def write(pid):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0x40000000)

    with pytest.raises(FileNotFoundError):
        make_namespace(write)


def test_nobody_else_hears_of_the_child():
    heard = []
    before = signal.signal(signal.SIGCHLD, lambda *_: heard.append("SIGCHLD"))

    def write(pid):
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)

    try:
        make_namespace(write).close()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert heard == []


def test_signals_wait_and_are_not_lost():
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(30):
            user_namespace(MAPPING).close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard


def test_an_interrupt_comes_when_the_child_is_gone():
    def write(pid):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        make_namespace(write)


def test_locks_end_when_this_process_says_so(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    held = os.open(path, os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)

    def write(pid):
        os.close(held)
        again = os.open(path, os.O_RDWR)
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(again)

    make_namespace(write).close()


def test_a_database_in_a_transaction(tmp_path):
    database = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other = sqlite3.connect(tmp_path / "db", timeout=0)
    database.execute("CREATE TABLE t (v)")
    database.execute("BEGIN IMMEDIATE")
    user_namespace(MAPPING).close()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("INSERT INTO t VALUES (1)")
    database.execute("INSERT INTO t VALUES (2)")
    database.execute("COMMIT")
    assert other.execute("SELECT v FROM t").fetchall() == [(2,)]
    database.close()
    other.close()


def test_beside_threads_that_are_busy():
    done = Event()

    def work():
        while not done.is_set():
            bytearray(os.urandom(10_000)).split(b"a")

    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(work) for _ in range(2)]
        makers = [pool.submit(user_namespace, MAPPING) for _ in range(20)]
        found = [maker.result(timeout=30) for maker in makers]
        done.set()
        for task in busy:
            task.result(timeout=30)
    assert len({os.fstat(namespace.fileno()).st_ino for namespace in found}) == 20
    for namespace in found:
        namespace.close()


def test_the_child_goes_by_itself_when_its_parent_is_killed():
    code = (
        "import os, signal\n"
        "from orlop._sys import userns\n"
        "def write(pid):\n"
        "    print(pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "userns.LIFETIME = 1\n"
        "userns.make_namespace(write)\n"
    )
    # Its output ends with the child, which has the descriptors too.
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10  # its descriptors are closed a little before it is gone
    while state(done.stdout.strip()) not in {"", "Z"}:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_but_a_kill_wakes_the_child():
    def write(pid):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1):
            os.kill(pid, number)
        time.sleep(0.05)
        assert state(pid) == "S"

    make_namespace(write).close()


def test_maps_that_are_written_late(monkeypatch):
    def write(pid):
        time.sleep(1.2)
        assert state(pid) == "Z"
        write_maps(pid, MAPPING)

    monkeypatch.setattr(userns, "LIFETIME", 1)
    with make_namespace(write) as namespace:
        assert read_inside(namespace, "/proc/self/gid_map") == ["0 300000 10"]


def state(pid):
    try:
        data = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return ""
    return data[data.rindex(b")") + 2 :].split()[0].decode()


class TestKeptNamespaces:
    def test_the_same_maps_are_one_namespace(self):
        twin = IdMapping(uids=MAPPING.uids[::-1], gids=MAPPING.gids)
        with (
            UserNamespaces() as namespaces,
            namespaces.open(MAPPING) as one,
            namespaces.open(twin) as other,
        ):
            assert one.fileno() != other.fileno()
            assert os.path.sameopenfile(one.fileno(), other.fileno())

    def test_what_was_given_away_stays_open(self):
        namespaces = UserNamespaces()
        one = namespaces.open(MAPPING)
        namespaces.close()
        assert read_inside(one, "/proc/self/gid_map") == ["0 300000 10"]
        one.close()
        namespaces.open(MAPPING).close()
        namespaces.close()

    def test_those_used_last_are_kept(self):
        first, second, third = (IdMapping.parse([f"0:{number}:1"]) for number in (1, 2, 3))
        with UserNamespaces(limit=2) as namespaces:
            held = [namespaces.open(mapping) for mapping in (first, second, first, third)]
            again = [namespaces.open(mapping) for mapping in (first, second)]
            inodes = [os.fstat(namespace.fileno()).st_ino for namespace in held + again]
            for namespace in held + again:
                namespace.close()
        assert inodes[0] == inodes[2] == inodes[4]
        assert inodes[5] not in inodes[:4]
        with pytest.raises(ValueError, match="limit"):
            UserNamespaces(limit=0)

    def test_many_threads_make_one(self):
        with UserNamespaces() as namespaces, ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: namespaces.open(MAPPING), range(40)))
            assert len({os.fstat(namespace.fileno()).st_ino for namespace in found}) == 1
            for namespace in found:
                namespace.close()

    def test_a_failure_is_not_kept(self):
        with UserNamespaces() as namespaces:
            too_long = [f"{10**9 + i * 2}:{10**9 + i * 2}:1" for i in range(MAX_RANGES)]
            for _ in range(2):
                with pytest.raises(LimitExceededError):
                    namespaces.open(IdMapping.parse(too_long))
            namespaces.open(MAPPING).close()
