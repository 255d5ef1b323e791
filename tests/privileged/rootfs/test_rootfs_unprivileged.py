"""The unit tests of this part again, as a user with no privilege at all."""

import shutil
import tempfile
from pathlib import Path

import pytest

from support.marks import needs_root
from support.unprivileged import run_as_nobody

UNIT_TESTS = Path(__file__).parents[2] / "unit" / "rootfs"

pytestmark = needs_root


@pytest.fixture
def home():
    path = Path(tempfile.mkdtemp(prefix="orlop-nobody-"))
    yield path
    shutil.rmtree(path)


def test_the_unit_tests_pass_without_privilege(home):
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs"]
    done = run_as_nobody([*command, f"--basetemp={home}/tmp", UNIT_TESTS], home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
