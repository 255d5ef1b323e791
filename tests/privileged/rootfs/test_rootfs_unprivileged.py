"""The unit tests of this part again, as a user with no privilege at all."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

UNIT_TESTS = Path(__file__).parents[2] / "unit" / "rootfs"
NOBODY = 65534

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root"),
]


@pytest.fixture
def base():
    path = Path(tempfile.mkdtemp(prefix="orlop-nobody-"))
    os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


def run_as_nobody(command, base):
    environment = {"PATH": os.environ["PATH"], "HOME": str(base), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command, user=NOBODY, group=NOBODY, extra_groups=[], cwd=base, env=environment,
            text=True, capture_output=True, check=False,
        )  # fmt: skip
    except PermissionError:
        pytest.skip("the interpreter lies where other users cannot run it")


def test_the_unit_tests_pass_without_privilege(base):
    probe = run_as_nobody([sys.executable, "-c", "import orlop, pytest"], base)
    if probe.returncode:
        pytest.skip("the checkout lies where other users cannot read it")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs"]
    done = run_as_nobody([*command, f"--basetemp={base}/tmp", str(UNIT_TESTS)], base)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
