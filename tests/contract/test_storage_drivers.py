"""The contract of storage drivers: as root, without privilege, and as root of a user namespace."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orlop.storage.places import Places
from orlop.testing.storage import HistoryContract, MappingContract, MountContract, StorageContract
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


class TestErofs(StorageContract):
    driver = "erofs"
    others = ("overlay", "vfs")
    test_hundreds_of_layers = pytest.mark.slow(StorageContract.test_hundreds_of_layers)


class TestOverlay(StorageContract):
    driver = "overlay"
    others = ("erofs",)
    test_hundreds_of_layers = pytest.mark.slow(StorageContract.test_hundreds_of_layers)


class TestVfs(StorageContract):
    driver = "vfs"
    others = ("erofs",)
    many_layers = 12


@contextlib.contextmanager
def mounted(folder, kind, *options):
    """A filesystem of its own."""
    path = folder / kind
    path.mkdir()
    subprocess.run(["mount", "-t", kind, *options, path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.fixture(scope="session")
def xfs(tmp_path_factory):
    """An XFS, which shares blocks of files that are copied."""
    folder = tmp_path_factory.mktemp("disk")
    with (folder / "image").open("wb") as image:
        image.truncate(400 << 20)
    subprocess.run(["mkfs.xfs", "-q", folder / "image"], check=True)
    with mounted(folder, "xfs", "-o", "loop", str(folder / "image")) as path:
        yield path


@pytest.fixture(scope="session")
def memory(tmp_path_factory):
    """A tmpfs, as `/run` is one."""
    with mounted(tmp_path_factory.mktemp("memory"), "tmpfs", "none") as path:
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


def test_with_ids_for_automatic_mappings(tmp_path):
    file = tmp_path / "subordinate"
    file.write_text("containers:300000:200000\n")
    binds = "".join(f"mount --bind {file} /etc/{name}\n" for name in ("subuid", "subgid"))
    words = [sys.executable, "-c", PYTEST, *OPTIONS, "-k", "automatic or more_ids"]
    words += [str(Path(__file__)), f"--basetemp={tmp_path / 'inside'}"]
    script = binds + 'exec "$@"'
    passes(
        subprocess.run(
            ["unshare", "--mount", "sh", "-ec", script, "sh", *words],
            capture_output=True, text=True, check=False,
        )
    )  # fmt: skip
