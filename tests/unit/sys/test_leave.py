"""Ending a process at once loses nothing that it has said."""

import os
import subprocess
import sys

import pytest

SAY = """
import atexit, sys
from orlop._sys.leave import leave
atexit.register(lambda: sys.stdout.write(" and at its end"))
sys.stdout.write("said")
sys.stderr.buffer.write(b"complained")
leave(7)
"""
STORAGE = "import sys; sys.argv[1:] = ['--bad']; from orlop.storagecmd.entry import main; main()"


def ended(program, **options):
    """Python buffers what it writes, unless the environment says otherwise."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, check=False, timeout=60, **options
    )


def test_what_was_said_is_handed_on():
    done = ended(SAY, capture_output=True)
    assert (done.returncode, done.stdout) == (7, b"said and at its end")
    assert done.stderr == b"complained"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_exit_code_is_right_where_nothing_can_be_said(stream):
    with open("/dev/full", "wb") as full:
        assert ended(SAY, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                             stream: full}).returncode == 7  # fmt: skip


def test_the_storage_command_says_what_is_wrong():
    done = ended(STORAGE, capture_output=True)
    assert done.returncode == 1
    assert b"flag provided but not defined" in done.stderr
