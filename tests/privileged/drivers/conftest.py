import os
from pathlib import Path

import pytest

from orlop._sys.mountinfo import iter_mounts
from orlop._sys.process import CAP_SYS_ADMIN, has_capability, in_initial_user_namespace
from orlop.drivers import probe_erofs
from orlop.drivers.tiny import CONTENT, tiny_image


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    reason = "needs root of the machine itself and the right to mount"
    allowed = has_capability(CAP_SYS_ADMIN) and in_initial_user_namespace()
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.privileged)
            item.add_marker(pytest.mark.skipif(not allowed, reason=reason))


def mounts_below(directory):
    top = os.fsencode(directory) + b"/"
    return [info.mount_point for info in iter_mounts() if info.mount_point.startswith(top)]


def loops_below(directory):
    """The loop devices whose file lies below the directory."""
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            file = path.read_text().strip()
        except OSError:  # gone since it was listed
            continue
        if file.startswith(f"{directory}/"):
            found.append(file)
    return found


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path):
    """Every test ends without a mount, a loop device or a descriptor that it made."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    mounts, loops = mounts_below(tmp_path), loops_below(tmp_path)
    after = len(os.listdir("/proc/self/fd"))
    for point in reversed(mounts):
        os.system(f"umount -l '{os.fsdecode(point)}'")
    assert (mounts, loops, after) == ([], [], before)


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target"
    path.mkdir()
    return path


@pytest.fixture
def image(tmp_path):
    """An EROFS image whose one file, `data`, lies in the file beside it."""
    for loop in (False, True):
        found = probe_erofs(tmp_path, loop=loop)
        if found:
            break
    else:
        pytest.skip(f"EROFS cannot be mounted: {found.reason}")
    index, device = tmp_path / "index.erofs", tmp_path / "layer"
    index.write_bytes(tiny_image())
    device.write_bytes(CONTENT)
    return index, device
