import os
from pathlib import Path

import pytest

import orlop
from orlop._sys.mountinfo import iter_mounts
from orlop._sys.process import CAP_SYS_ADMIN, has_capability, in_initial_user_namespace
from support.images import ImageBuilder, directory, file, symlink
from support.stores import StoreUnderTest


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    allowed = has_capability(CAP_SYS_ADMIN) and in_initial_user_namespace()
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.privileged)
            item.add_marker(pytest.mark.skipif(not allowed, reason="needs root, to mount"))


def mounts_below(place):
    top = os.fsencode(os.path.realpath(place)) + b"/"
    return [info for info in iter_mounts() if info.mount_point.startswith(top)]


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path):
    """Every test takes away what it mounts, and closes what it opens."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    left = [os.fsdecode(info.mount_point) for info in mounts_below(tmp_path)]
    after = len(os.listdir("/proc/self/fd"))
    for point in reversed(left):
        os.system(f"umount -l '{point}'")
    assert (left, after) == ([], before)


@pytest.fixture
def mounted(tmp_path):
    """What is mounted below the test's directory: mount points, in order."""
    return lambda: sorted(Path(os.fsdecode(info.mount_point)) for info in mounts_below(tmp_path))


@pytest.fixture
def layout(tmp_path):
    builder = ImageBuilder(config={"config": {"Cmd": ["sh"]}})
    builder.layer(directory("etc"), file("etc/hostname", b"first\n"), file("etc/gone", b"x"))
    builder.layer(
        file("etc/hostname", b"second\n"),
        file("etc/.wh.gone"),
        file("suid", b"#!", mode=0o4755),
        symlink("name", "etc/hostname"),
    )
    return builder.write(tmp_path / "layout", tag="box")


@pytest.fixture
def command(tmp_path, layout):
    """The command, on a store that has the image `box`."""
    command = StoreUnderTest(tmp_path)
    command.pull(layout.source, "--tag", "box")
    return command


@pytest.fixture
def store(command):
    with orlop.open_store(command.root, command.run) as store:
        yield store


@pytest.fixture
def image(store):
    return store.image("box")


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target"
    path.mkdir()
    return path
