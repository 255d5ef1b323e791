import os
from pathlib import Path

import pytest

import orlop
from orlop._sys.mountinfo import iter_mounts
from orlop._sys.process import CAP_SYS_ADMIN, has_capability, in_initial_user_namespace
from support.images import ImageBuilder, directory, file


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    allowed = has_capability(CAP_SYS_ADMIN) and in_initial_user_namespace()
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.privileged)
            item.add_marker(pytest.mark.skipif(not allowed, reason="needs root, to mount"))


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path):
    """Every test takes away what it mounts, and closes what it opens."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    top = os.fsencode(os.path.realpath(tmp_path)) + b"/"
    left = [os.fsdecode(each.mount_point) for each in iter_mounts()]
    left = [each for each in left if os.fsencode(each).startswith(top)]
    for point in reversed(left):
        os.system(f"umount -l '{point}'")
    assert (left, len(os.listdir("/proc/self/fd"))) == ([], before)


@pytest.fixture
def layout(tmp_path):
    builder = ImageBuilder()
    builder.layer(directory("etc"), file("etc/hostname", b"box\n"), file("big", b"x" * 100_000))
    builder.layer(directory("etc"), file("etc/motd", b"hello\n"))
    return builder.write(tmp_path / "layout", tag="box")


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        yield store


@pytest.fixture
def storage(store):
    return store.storage


@pytest.fixture
def image(store, layout):
    return store.pull(layout.source, tag="box")


@pytest.fixture
def second(tmp_path, store):
    """The same store, as another process has it open."""
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as second:
        yield second
