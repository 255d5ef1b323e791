"""The contract of storage drivers: as root, without privilege, and as root of a user namespace."""

import os
import time
from pathlib import Path

import pytest

from orlop._sys import subids
from orlop.storage.places import Places
from orlop.testing.storage import HistoryContract, MappingContract, MountContract, StorageContract
from orlop.testing.storage.base import member, put
from support import disks
from support.marks import needs_root, needs_tools
from support.nobody import unprivileged_place
from support.unprivileged import run_as_nobody

pytestmark = needs_root

INSIDE = Path(__file__).with_name("storage_inside.py")
SUBORDINATE = "nobody:200000:65536\n"
PYTEST = "import pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
ENTER = "from orlop._sys.enter import enter_user_namespace; enter_user_namespace(); " + PYTEST
OPTIONS = [
    "-q",
    "--tb=short",
    "-p",
    "no:cacheprovider",
    "--rootdir",
    str(Path(__file__).parents[2]),
]


@pytest.fixture(autouse=True)
def subordinate_ids(monkeypatch, tmp_path):
    """IDs to give to containers, whether the machine has set some aside or not."""
    for name in ("SUBUID", "SUBGID"):
        (tmp_path / name).write_text("containers:300000:200000\n")
        monkeypatch.setattr(subids, name, str(tmp_path / name))


class TestErofs(StorageContract):
    driver = "erofs"
    others = ("overlay", "vfs")
    test_hundreds_of_layers = pytest.mark.slow(StorageContract.test_hundreds_of_layers)


class TestOverlay(StorageContract):
    driver = "overlay"
    others = ("erofs",)
    test_hundreds_of_layers = pytest.mark.slow(StorageContract.test_hundreds_of_layers)


class UnmountedWrites:
    """What vfs has nothing of: its layer that takes writes is a directory, and not mounted."""

    test_mounts_are_for_looking_at_and_containers_for_running = None
    test_what_is_in_use_is_unmounted_by_force_alone = None
    test_what_is_in_use_and_nobody_holds_is_unmounted_by_force = None


class TestVfs(UnmountedWrites, StorageContract):
    driver = "vfs"
    others = ("erofs",)
    many_layers = 12

    def test_directories_that_are_exchanged_take_their_files_along(self, storage):
        """They look the same but for their content, and have not changed since they were copied."""
        names = ("a", "a/f", "b", "b/f", "c", "c/f")
        base = put(
            storage, *(member(name, name[:1].encode() if name[1:] else None) for name in names)
        )
        layer = storage.layers.create(base.id)
        with storage.layers.mount(layer.id) as path:
            time.sleep(0.02)
            # As if copying had taken so long.
            os.utime(storage.places.layer(layer.id) / "copied")
            for old, new in (("a", "moved"), ("b", "a"), ("moved", "b")):
                (path / old).rename(path / new)
        changes = storage.layers.changes(layer.id)
        assert [change.path for change in changes] == [b"a/f", b"b/f"]


@pytest.fixture(scope="session")
def xfs(tmp_path_factory):
    """An XFS, which shares blocks of files that are copied."""
    with disks.xfs(tmp_path_factory.mktemp("disk")) as path:
        yield path


@pytest.fixture(scope="session")
def memory(tmp_path_factory):
    """A tmpfs, as `/run` is one."""
    with disks.mounted(tmp_path_factory.mktemp("memory"), "tmpfs", "none") as path:
        yield path


class OnXfs(HistoryContract, MappingContract):
    pytestmark = needs_tools("mkfs.xfs")
    seeds = range(20, 23)

    @pytest.fixture
    def place(self, xfs, request):
        path = xfs / f"{type(self).__name__}-{request.node.name}"
        path.mkdir()
        return path


class TestErofsOnXfs(OnXfs):
    driver = "erofs"


class TestVfsOnXfs(OnXfs):
    driver = "vfs"

    def test_copies_share_their_blocks(self, storage, place):
        parent = storage.layers.create()
        with storage.layers.mount(parent.id) as path:
            (path / "big").write_bytes(os.urandom(1 << 20) * 30)
            os.sync()
            used = blocks(place)
        child = storage.layers.create(parent.id)
        with storage.layers.mount(child.id) as path:
            assert (path / "big").stat().st_size == 30 << 20
            os.sync()
            assert blocks(place) - used < 3 << 20


def blocks(place):
    status = os.statvfs(place)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


class RunInMemory(MountContract):
    many_layers = 12

    @pytest.fixture(autouse=True)
    def run_in_memory(self, memory):
        type(self).memory = memory

    def places(self, place, name):
        run = self.memory / f"{place.name}-{name}"
        return Places(place / name, run)


class TestErofsRunInMemory(RunInMemory):
    driver = "erofs"


def passes(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


def test_vfs_without_privilege():
    with unprivileged_place() as home:
        words = [*OPTIONS, f"--basetemp={home}/tests", f"{INSIDE}::TestVfs"]
        passes(run_as_nobody(["-c", PYTEST, *words], home))


@pytest.mark.parametrize("driver", ["Overlay", "Vfs"])
def test_in_a_user_namespace(driver):
    with unprivileged_place() as home:
        words = [*OPTIONS, f"--basetemp={home}/tests", f"{INSIDE}::Test{driver}"]
        passes(run_as_nobody(["-c", ENTER, *words], home, gain=True, subordinate=SUBORDINATE))
