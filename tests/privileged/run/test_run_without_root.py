"""A user without privilege runs containers as root of a user namespace."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from support.runs import MAIN
from support.unprivileged import NOBODY, run_as_nobody

ARCHIVE = Path(__file__).parents[3] / "examples/busybox/busybox.tar"
SUBORDINATE = f"{NOBODY}:200000:65536\n"


@pytest.fixture
def home():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        os.chmod(place, 0o755)
        shutil.copy(ARCHIVE, place)
        yield place


@pytest.mark.parametrize("network", ["none", "host"])
@pytest.mark.parametrize("subordinate", ["", SUBORDINATE], ids=["own", "subordinate"])
def test_a_user_runs_containers(home, runtime, network, subordinate):
    if subordinate and shutil.which("newuidmap") is None:
        pytest.skip("not installed: newuidmap")
    script = "id -u; cat /proc/self/uid_map; echo written > /x; cat /x; exit 5"
    words = ["run", "--runtime", runtime, "--rm", "-q", "--network", network]
    words += [f"oci-archive:{home}/{ARCHIVE.name}", "--", "sh", "-c", script]
    done = run_as_nobody([*MAIN[1:], *words], home, gain=bool(subordinate), subordinate=subordinate)
    assert done.returncode == 5, done
    mapped = [["0", str(NOBODY), "1"], ["1", "200000", "65536"]][: 2 if subordinate else 1]
    said = [line.split() for line in done.stdout.splitlines()]
    assert said == [["0"], *mapped, ["written"]]


@pytest.fixture
def user(home):
    """What commands print to a user without privilege, who has pulled the image `box`."""

    def user(*words, code=0):
        done = run_as_nobody([*MAIN[1:], *words], home)
        assert done.returncode == code, done
        return done.stdout

    user("pull", "-q", f"oci-archive:{home}/{ARCHIVE.name}", "--tag", "box")
    return user


def test_what_a_user_commits_belongs_to_root(user, runtime):
    script = "mkdir -p /made/deep; echo x > /made/x"
    user("run", "--runtime", runtime, "--name", "ship", "-q", "box", "--", "sh", "-c", script)
    listed = user("container", "changes", "ship").splitlines()
    assert listed == ["A /made", "A /made/deep", "A /made/x"]
    user("container", "commit", "ship", "made:1")
    for path in ("/made", "/"):
        owners = {line.split()[1] for line in user("ls", "-l", "made:1", path).splitlines()}
        assert owners == {"0:0"}, path
    user("container", "rm", "ship")


def test_a_mount_of_a_namespace_that_is_gone_keeps_nothing(user, home):
    """Nobody sees all processes; those of the user's own namespaces it does."""
    container = user("container", "create", "box").strip()
    words = [sys.executable, *MAIN[1:], "container", "mount", container]
    user("unshare", "--", *words)
    user("container", "rm", container)
    assert user("container", "ls", "-q") == ""
    user("gc")
    assert user("gc") == "nothing to free\n"


def test_a_program_of_a_user_is_told_where_owners_are(user, home, runtime):
    user("run", "--runtime", runtime, "--name", "ship", "-q", "box", "--", "touch", "/x")
    program = "import orlop; store = orlop.open_store();store.containers.commit('ship', 'wrong:1')"
    done = run_as_nobody(["-c", program], home)
    assert "UnsupportedError" in done.stderr
    assert "in a user namespace" in done.stderr
    user("container", "rm", "ship")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--memory", "20M"), "no limit of memory"),
        (("--pids-limit", "3"), "no limit of pids"),
        (("-u", "5"), "uid 5 is none that this user has"),
    ],
)
def test_what_a_user_cannot_have_is_refused(home, user, runtime, words, said):
    """crun would leave limits away, and say nothing."""
    words = ["run", "--rm", "--runtime", runtime, *words, "box", "--", "true"]
    done = run_as_nobody([*MAIN[1:], *words], home)
    assert done.returncode == 125, done
    assert said in done.stderr
    assert "hint: " in done.stderr


def test_a_bundle_that_root_alone_can_run_is_told(user, home):
    done = run_as_nobody([*MAIN[1:], "bundle", "create", "--uncompressed", "box", "b"], home)
    assert (done.returncode, "--rootless" in done.stderr) == (0, True), done
    user("bundle", "rm", "b")


def test_what_belongs_to_ids_of_a_user_is_removed_and_checked(home, runtime):
    """There alone it can be read: in the user namespace where a container wrote it."""
    if shutil.which("newuidmap") is None:
        pytest.skip("not installed: newuidmap")

    def user(*words):
        done = run_as_nobody([*MAIN[1:], *words], home, gain=True, subordinate=SUBORDINATE)
        assert done.returncode == 0, done
        return done.stdout

    user("pull", "-q", f"oci-archive:{home}/{ARCHIVE.name}", "--tag", "box")
    script = "mkdir -p /p/deep; echo s > /p/s; chmod 700 /p; chown -R 5:6 /p"
    for name in ("ship", "boat"):
        user("run", "--runtime", runtime, "-q", "--name", name, "box", "--", "sh", "-c", script)
    assert user("check") == "nothing is wrong\n"
    user("container", "rm", "ship")
    assert user("gc") == "nothing to free\n"
    user("wipe", "--force")
    assert user("container", "ls", "-q") == ""
