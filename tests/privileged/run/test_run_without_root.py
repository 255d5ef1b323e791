"""A user without privilege runs containers as root of a user namespace."""

import os
import shutil
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
