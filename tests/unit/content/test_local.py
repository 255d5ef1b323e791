import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256

import pytest

from orlop.content import LocalContent
from orlop.digest import Digest
from orlop.errors import DigestMismatchError, InUseError, NotFoundError, SizeMismatchError

DATA = b"hello, hold"
DIGEST = Digest.of(DATA)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def store(root):
    return LocalContent(root)


def put(store, data=DATA):
    with store.ingest("put", digest=Digest.of(data)) as ingest:
        ingest.write(data)
        return ingest.commit()


def slot(root, reference):
    return root / "ingest" / sha256(reference.encode()).hexdigest()


def begin(store, data, digest=None, reference="r"):
    with store.ingest(reference, digest=digest) as ingest:
        ingest.write(data)


def edit_state(root, **changes):
    path = slot(root, "r") / "state"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_layout_and_modes(store, root):
    put(store)
    begin(store, b"half")
    blob = root / "blobs" / "sha256" / DIGEST.encoded
    assert str(blob) == store.path_of(DIGEST)
    assert stat.S_IMODE(blob.stat().st_mode) == 0o400
    assert sorted(os.listdir(slot(root, "r"))) == ["data", "lock", "state"]
    assert os.listdir(root / "trash") == []
    for path in [root, *root.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == 0o700 if path.is_dir() else mode in {0o400, 0o600}


def test_making_a_store_touches_nothing(store, root):
    assert store.stat(DIGEST) is None
    assert list(store.iter_digests()) == list(store.statuses()) == []
    assert store.prune_ingests(2**62) == store.empty_trash() == 0
    with pytest.raises(NotFoundError):
        store.abort("r")
    assert not root.exists()


def test_damaged_blob_is_not_handed_out(store, root):
    put(store)
    path = root / "blobs" / "sha256" / DIGEST.encoded
    path.chmod(0o600)
    path.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(DigestMismatchError):
        store.read(DIGEST, len(DATA))
    path.write_bytes(DATA[:-1])
    with pytest.raises(SizeMismatchError):
        store.read(DIGEST, len(DATA))
    assert put(store) == DIGEST
    assert store.read(DIGEST, len(DATA)) == DATA


def test_blob_is_no_link(store, root):
    put(store)
    path = root / "blobs" / "sha256" / DIGEST.encoded
    path.rename(root / "elsewhere")
    path.symlink_to(root / "elsewhere")
    with pytest.raises(OSError, match="symbolic") as caught:
        store.open(DIGEST)
    assert caught.value.errno == errno.ELOOP


def test_prefix_is_hashed_again(store, root):
    begin(store, DATA[:5], DIGEST)
    (slot(root, "r") / "data").write_bytes(b"jello")
    with store.ingest("r", digest=DIGEST) as ingest:
        assert ingest.digest == Digest.of(b"jello")
        ingest.write(DATA[5:])
        with pytest.raises(DigestMismatchError):
            ingest.commit()
    assert not slot(root, "r").exists()


def test_after_another_boot_only_what_was_durable_is_kept(store, root):
    begin(store, DATA[:8])
    edit_state(root, boot_id="another", durable=5)
    with store.ingest("r") as ingest:
        assert ingest.offset == 5
        ingest.write(DATA[5:])
        assert ingest.commit() == DIGEST


def test_closing_makes_durable(store, root):
    begin(store, DATA[:8])
    edit_state(root, boot_id="another")
    with store.ingest("r") as ingest:
        assert ingest.offset == 8


@pytest.mark.parametrize(
    "state",
    [
        None,
        b"",
        b"[]",
        b"{",
        b'{"reference": 1}',
        b"[" * 100_000,
        b'{"digest": "evil", "size": -1}',
    ],
)
def test_broken_state_begins_anew(store, root, state):
    begin(store, b"what is this", DIGEST)
    path = slot(root, "r") / "state"
    if state is None:
        path.unlink()
    else:
        path.write_bytes(state)
    assert list(store.statuses()) == []
    with store.ingest("r", digest=DIGEST) as ingest:
        assert ingest.offset == 0
        ingest.write(DATA)
        ingest.commit()
    assert store.read(DIGEST, len(DATA)) == DATA


def test_state_with_nonsense_in_it(store, root):
    begin(store, DATA, DIGEST)
    edit_state(root, digest="evil", size=True, durable="x", boot_id=None)
    (status,) = store.statuses()
    assert (status.digest, status.offset) == (None, len(DATA))
    with store.ingest("r", digest=DIGEST) as ingest:
        assert ingest.offset == 0


def test_blob_is_as_old_as_its_name(store, root):
    """When its bytes came is no matter."""
    now = time.time_ns()
    with store.ingest("r") as ingest:
        ingest.write(DATA)
        os.utime(slot(root, "r") / "data", ns=(1, 1))
        ingest.commit()
    assert abs(store.stat(DIGEST).created_ns - now) < 10**10


def test_state_of_an_earlier_version(store, root):
    """Where nobody noted when an ingest was begun, the time of its last bytes has to do."""
    begin(store, DATA)
    path = slot(root, "r") / "state"
    state = json.loads(path.read_text())
    assert state.pop("started_ns") > 0
    path.write_text(json.dumps(state))
    status = store.status("r")
    assert status.started_ns == status.updated_ns > 0
    with store.ingest("r") as ingest:
        assert ingest.offset == len(DATA)
    assert store.status("r").started_ns == status.started_ns


def test_no_ingest_begins_after_its_last_bytes(store, root):
    begin(store, DATA)
    edit_state(root, started_ns=2**70)
    status = store.status("r")
    assert status.started_ns == status.updated_ns


def test_slot_without_data_is_begun(store, root):
    begin(store, DATA)
    (slot(root, "r") / "data").unlink()
    (status,) = store.statuses()
    assert status.offset == 0
    with store.ingest("r") as ingest:
        assert ingest.offset == 0


def test_prune_takes_broken_slots_and_leaves_strangers(store, root):
    begin(store, DATA)
    (slot(root, "r") / "state").unlink()
    (root / "ingest" / "stranger").write_text("x")
    (root / "ingest" / "empty").mkdir()
    assert store.prune_ingests(2**62) == 2
    assert os.listdir(root / "ingest") == ["stranger"]


def test_two_stores_on_one_directory(store, root):
    with store.ingest("r"), pytest.raises(InUseError, match=f"process {os.getpid()} "):
        LocalContent(root).ingest("r", wait=False)


def test_failed_fsync_condemns_the_file(store, root, tmp_path):
    ingest = store.ingest("r", digest=DIGEST)
    ingest.write(DATA)
    read, write = os.pipe()
    os.dup2(read, ingest._fd)  # A pipe cannot be synced, and says so.
    with pytest.raises(OSError, match="Invalid argument"):
        ingest.commit()
    os.close(read)
    os.close(write)
    assert os.listdir(root / "ingest") == os.listdir(root / "trash") == []
    assert store.stat(DIGEST) is None


def test_full_disk_keeps_what_has_come(store, root):
    """Storage that is full ends the write, not the ingest: a later writer goes on."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with store.ingest("r", digest=DIGEST, size=len(DATA)) as ingest:
            resource.setrlimit(resource.RLIMIT_FSIZE, (7, limits[1]))
            with pytest.raises(OSError, match="too large") as caught:
                ingest.write(DATA)
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert caught.value.errno == errno.EFBIG
            assert ingest.offset == 7
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    with store.ingest("r", digest=DIGEST, size=len(DATA)) as ingest:
        assert ingest.offset == 7
        ingest.write(DATA[7:])
        ingest.commit()


def test_large_writes_are_written_back(store):
    data = os.urandom(1 << 20)
    with store.ingest("r") as ingest:
        for _ in range(20):
            ingest.write(data)
        ingest.restart()
        for _ in range(9):
            ingest.write(data)
        assert ingest.commit(9 << 20) == Digest.of(data * 9)


def test_views_of_other_items_are_bytes(store):
    with store.ingest("r") as ingest:
        ingest.write(memoryview(bytearray(b"abcdefgh")).cast("I"))
        ingest.write(memoryview(b"xaybzc")[::2].tobytes())
        assert ingest.offset == 11
        assert ingest.commit() == Digest.of(b"abcdefghxyz")


def test_descriptors_are_given_back(store):
    before = len(os.listdir("/proc/self/fd"))
    put(store)
    begin(store, DATA)
    store.abort("r")
    store.read(DIGEST, len(DATA))
    store.reader_at(DIGEST).close()
    for use in (store.open, store.reader_at):
        with pytest.raises(SizeMismatchError):
            use(DIGEST, 1)
    with store.ingest("x"), pytest.raises(InUseError):
        store.ingest("x", wait=False)
    store.prune_ingests(2**62)
    assert len(os.listdir("/proc/self/fd")) == before


KILLED = """
import os, sys
from orlop.content import LocalContent
from orlop.digest import Digest

EFFECTS = {"close", "chmod", "execute", "fchmod", "flock", "fsync", "ftruncate", "listdir", "mkdir",
    "open", "pwrite", "rename", "rmdir", "unlink", "utime"}

def killed_before(number, work):
    # Whether the child was killed before its effect of this number; or it came to its end.
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    left = [number]
    def count(frame, event, function):
        if event == "c_call" and function.__name__ in EFFECTS:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), 9)
    sys.setprofile(count)
    work()
    sys.setprofile(None)
    os._exit(0)

root = sys.argv[1]
store, data = LocalContent(root), os.urandom(30_000)
digest = Digest.of(data)

def work():
    with store.ingest("r", digest=digest, size=len(data)) as ingest:
        while ingest.offset < len(data):
            ingest.write(data[ingest.offset:ingest.offset + 5000])
    with store.ingest("r", digest=digest, size=len(data)) as ingest:
        ingest.commit()
    assert store.stat(digest).size == len(data)
    assert store.delete(digest)

number = 1
while killed_before(number, work):
    if store.stat(digest) is not None:
        assert store.read(digest, len(data)) == data
    with store.ingest("r", digest=digest, size=len(data), wait=False) as ingest:
        assert ingest.digest == Digest.of(data[:ingest.offset])
        ingest.write(data[ingest.offset:])
        ingest.commit()
    assert store.read(digest, len(data)) == data
    store.delete(digest)
    store.empty_trash()
    assert os.listdir(root + "/ingest") == os.listdir(root + "/trash") == []
    number += 1
print(number)
"""


def test_killed_writers(root):
    """Whatever a writer was about to do when it was killed, the next one completes its work."""
    command = [sys.executable, "-c", KILLED, str(root)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert int(done.stdout) > 30


SHARER = """
import sys
from orlop.content import LocalContent
from orlop.digest import Digest
store, data = LocalContent(sys.argv[1]), b"x" * 100_000
for number in range(20):
    content = data + b"%d" % number
    digest = Digest.of(content)
    with store.ingest(digest, digest=digest) as ingest:
        if store.stat(digest) is None:
            print(number, flush=True)
            ingest.write(content)
            ingest.commit()
"""


def test_many_processes_fetch_once(store, root):
    """Who waited for another writer finds the content there, and does not fetch it again."""
    command = [sys.executable, "-c", SHARER, str(root)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    fetched = [int(line) for process in processes for line in process.communicate()[0].split()]
    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(fetched) == list(range(20))
    assert len(list(store.iter_digests())) == 20
    assert os.listdir(root / "ingest") == []


HOLDER = """
import sys
from orlop.content import LocalContent
with LocalContent(sys.argv[1]).ingest("r", size=100) as ingest:
    ingest.write(b"half of it")
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [True, False])
def test_another_process_writes(store, root, killed):
    """Others see how far it has come, and have the ingest when it is gone, not before."""
    command = [sys.executable, "-c", HOLDER, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        before = store.status("r")
        assert (before.offset, before.size) == (10, 100)
        with pytest.raises(InUseError, match=f"process {process.pid} "):
            store.abort("r")
        with pytest.raises(InUseError, match=f"process {process.pid} "):
            store.ingest("r", wait=False)
        assert store.prune_ingests(2**62) == 0
        if killed:
            process.kill()
    assert store.status("r") == before
    with store.ingest("r", size=100) as ingest:
        assert ingest.offset == 10
    store.abort("r")
    assert store.status("r") is None


def test_a_reader_notices_that_its_file_was_cut(store):
    put(store)
    with store.reader_at(DIGEST) as reader:
        os.chmod(store.path_of(DIGEST), 0o600)
        os.truncate(store.path_of(DIGEST), 7)
        assert reader.read_at(2, 5) == DATA[2:7]
        with pytest.raises(SizeMismatchError, match="expected 11, found 7"):
            reader.read_at(2, 6)


def test_closing_a_reader_under_its_users(store, root):
    """No read ever sees another file that got the descriptor."""
    data = bytes(1000)
    digest = put(store, data)
    (root / "other").write_bytes(b"x" * 1000)
    for _ in range(30):
        reader = store.reader_at(digest)
        with ThreadPoolExecutor(2) as threads:
            reads = [threads.submit(read_until_closed, reader, 1000) for _ in range(2)]
            reader.close()
            with open(root / "other", "rb"), open(root / "other", "rb"):
                assert [read.result() for read in reads] == [{data}] * 2


def read_until_closed(reader, size):
    seen = {bytes(size)}
    with suppress(ValueError):
        while True:
            seen.add(reader.read_at(0, size))
    return seen


FULL = """
import errno, os, sys
from orlop.content import LocalContent
from orlop.digest import Digest

root = sys.argv[1] + "/store"
store, data = LocalContent(root), os.urandom(300_000)
digest = Digest.of(data)
with store.ingest("r", digest=digest, size=len(data)) as ingest:
    ingest.write(data[:1])
    room = os.statvfs(root)
    with open(sys.argv[1] + "/ballast", "wb") as ballast:
        ballast.write(bytes((room.f_bavail - 8) * room.f_frsize))
    try:
        ingest.write(data[1:])
    except OSError as error:
        print(errno.errorcode[error.errno])
    kept = ingest.offset
    assert 1 < kept < len(data)
    try:
        LocalContent(root).ingest("another")
    except OSError as error:
        print(errno.errorcode[error.errno])
    os.truncate(sys.argv[1] + "/ballast", 0)
assert [status.reference for status in store.statuses()] == ["r"]
with store.ingest("r", digest=digest, size=len(data)) as ingest:
    assert ingest.offset == kept
    ingest.write(data[kept:])
    ingest.commit()
print(store.read(digest, len(data)) == data)
"""


@pytest.mark.privileged
def test_disk_that_is_full(tmp_path):
    """What has come is gone on with once there is room; what could not begin is not listed."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a small filesystem")
    script = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-m", "sh", "-c", script, "-", str(tmp_path), sys.executable, FULL]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout.split() == ["ENOSPC", "ENOSPC", "True"]


READ_ONLY = """
import errno, sys
from orlop.content import LocalContent
from orlop.digest import Digest
store, digest = LocalContent(sys.argv[1]), Digest(sys.argv[2])
print(store.read(digest, store.stat(digest).size).decode(), list(store.iter_digests()) == [digest])
for write in (lambda: store.ingest("new"), lambda: store.delete(digest)):
    try:
        write()
    except OSError as error:
        print(errno.errorcode[error.errno])
"""


@pytest.mark.privileged
def test_read_only_store(store, root):
    if os.getuid() != 0:
        pytest.skip("needs root, to mount read-only")
    put(store)
    script = (
        'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -c "$3" "$1" "$4"'
    )
    command = ["unshare", "-m", "sh", "-c", script, "-", str(root), sys.executable, READ_ONLY]
    done = subprocess.run([*command, DIGEST], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"{DATA.decode()} True", "EROFS", "EROFS"]
