import os
import shutil
from pathlib import Path

import pytest

import orlop
from orlop._sys.process import CAP_SYS_ADMIN, has_capability, in_initial_user_namespace
from orlop.runtime import RunOptions
from support.images import ImageBuilder, directory, file, symlink
from support.machine import busybox
from support.runs import left_of, mounts_below
from support.stores import StoreUnderTest

APPLETS = (
    *("cat", "echo", "env", "false", "grep", "head", "hostname", "id", "kill", "ls", "mkdir"),
    *("pwd", "sh", "sleep", "stty", "touch", "true", "tty", "trap", "yes"),
)
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nsailor:x:1000:1001:A sailor:/home/sailor:/bin/sh\n"
GROUP = b"root:x:0:\ncrew:x:1001:\ndeck:x:1002:sailor\n"


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    allowed = has_capability(CAP_SYS_ADMIN) and in_initial_user_namespace()
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.privileged)
            item.add_marker(pytest.mark.skipif(not allowed, reason="needs root, to mount"))


@pytest.fixture(params=["crun", "runc"])
def runtime(request):
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if shutil.which(request.param, path=path) is None:
        pytest.skip(f"not installed: {request.param}")
    return request.param


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path):
    """Every test takes away what it mounts, and closes what it opens."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    left = mounts_below(tmp_path)
    after = len(os.listdir("/proc/self/fd"))
    for point in reversed(left):
        os.system(f"umount -l '{point}'")
    assert (left, after) == ([], before)


@pytest.fixture(scope="session")
def layout(tmp_path_factory):
    """An image of busybox that says how it is to be run."""
    config = {
        "Env": ["PATH=/bin", "FROM=image"],
        "Cmd": ["echo", "hello"],
        "WorkingDir": "/srv",
    }
    builder = ImageBuilder(config={"config": config})
    builder.layer(
        *map(directory, ("bin", "etc", "home", "root", "srv", "usr", "usr/bin")),
        directory("tmp", mode=0o1777),
        directory("home/sailor", uid=1000, gid=1001),
        file("bin/busybox", busybox(), mode=0o755),
        *[symlink(f"bin/{name}", "busybox") for name in APPLETS],
        file("etc/passwd", PASSWD),
        file("etc/group", GROUP),
    )
    return builder.write(tmp_path_factory.mktemp("layout") / "box", tag="box")


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
def run(store, runtime):
    """Run a container of the image, and keep what it writes."""

    def run(*args, name="box", **options):
        options = RunOptions(**{"runtime": runtime, "capture": True, **options})
        return store.run_container(name, args, options)

    return run


@pytest.fixture
def shell(run):
    """What a script prints in a container, which must succeed."""

    def shell(script, **options):
        done = run("sh", "-c", script, **options)
        assert done.exit_code == 0, done
        return done.stdout.decode()

    return shell


@pytest.fixture
def nothing(store):
    """Nothing is left of any container."""

    def nothing():
        assert left_of(store) == ([], [], [])
        return True

    return nothing
